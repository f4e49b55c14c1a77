// SPDX-License-Identifier: BSD-2-Clause
#include "kick_page.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "memory.hpp"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

namespace peermr::native {

namespace {

// How often serve() looks for the store before it gives up; the store then faults again.
constexpr int kStoreYields = 1000;

UniqueFd open_userfaultfd() {
  if (std::getenv("PEERMR_NATIVE_NO_UFFD") != nullptr) return UniqueFd();
  UniqueFd fd(static_cast<int>(
      ::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  uffdio_api api{};
  api.api = UFFD_API;
  if (fd && ::ioctl(fd.get(), UFFDIO_API, &api) != 0) fd.reset();
  return fd;
}

void wait_for_store(uint64_t page) {
  // Users write a value other than 0, though the device would take any.
  const std::atomic_ref<uint32_t> word(*reinterpret_cast<uint32_t*>(page));
  for (int i = 0; i < kStoreYields && word.load(std::memory_order_relaxed) == 0; ++i)
    ::sched_yield();
}

}  // namespace

KickPages::KickPages() : uffd_(open_userfaultfd()) {}

void* KickPages::map(int prot) {
  // Readable as well: the wait for the store reads.
  void* const page =
      ::mmap(nullptr, kPage, prot | PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || !uffd_) return page;
  uffdio_register area{};
  area.range.start = reinterpret_cast<uintptr_t>(page);
  area.range.len = kPage;
  area.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(uffd_.get(), UFFDIO_REGISTER, &area) != 0) {
    ::munmap(page, kPage);
    return MAP_FAILED;
  }
  return page;
}

void KickPages::serve(const std::function<void()>& kick) {
  uffd_msg message{};
  while (::read(uffd_.get(), &message, sizeof(message)) == sizeof(message)) {
    if (message.event != UFFD_EVENT_PAGEFAULT) continue;
    const uint64_t page = message.arg.pagefault.address & ~uint64_t{kPage - 1};
    uffdio_zeropage zero{};
    zero.range.start = page;
    zero.range.len = kPage;
    if (::ioctl(uffd_.get(), UFFDIO_ZEROPAGE, &zero) == 0) {
      wait_for_store(page);
      ::madvise(reinterpret_cast<void*>(page), kPage, MADV_DONTNEED);
    } else {
      // The page is there already, or the address space is changing: let the store try again.
      ::ioctl(uffd_.get(), UFFDIO_WAKE, &zero.range);
    }
    kick();
  }
}

}  // namespace peermr::native
