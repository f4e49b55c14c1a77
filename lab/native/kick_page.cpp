// SPDX-License-Identifier: BSD-2-Clause
#include "kick_page.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <mutex>

#include "memory.hpp"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

namespace peermr::native {

namespace {

// How often serve() looks for the store before it gives up; the store then faults again.
constexpr int kStoreYields = 1000;

// All kick pages of the process: 0 marks a free entry. Entries are changed, and pages are looked at,
// with the mutex held; whether there is an entry can be asked without.
constexpr size_t kMaxPages = 256;
std::array<std::atomic<uintptr_t>, kMaxPages> pages;
std::mutex pages_mutex;

std::atomic<uintptr_t>* find_page(uintptr_t address) {
  for (auto& page : pages)
    if (page.load(std::memory_order_relaxed) == address) return &page;
  return nullptr;
}

UniqueFd open_userfaultfd() {
  if (std::getenv("PEERMR_NATIVE_NO_UFFD") != nullptr) return UniqueFd();
  UniqueFd fd(static_cast<int>(
      ::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY)));
  uffdio_api api{};
  api.api = UFFD_API;
  if (fd && ::ioctl(fd.get(), UFFDIO_API, &api) != 0) fd.reset();
  return fd;
}

// The kernel's fault orders the store before this, which ThreadSanitizer cannot see.
__attribute__((no_sanitize("thread"))) void wait_for_store(uint64_t page) {
  // Users write a value other than 0, though the device would take any.
  const auto* word = reinterpret_cast<const volatile uint32_t*>(page);
  for (int i = 0; i < kStoreYields && *word == 0; ++i) ::sched_yield();
}

}  // namespace

KickPages::KickPages() : uffd_(open_userfaultfd()) {}

bool KickPages::unmap(void* page) {
  const auto address = reinterpret_cast<uintptr_t>(page);
  if (address == 0 || find_page(address) == nullptr) return false;
  const std::lock_guard guard(pages_mutex);
  std::atomic<uintptr_t>* const entry = find_page(address);
  if (entry == nullptr) return false;
  entry->store(0, std::memory_order_relaxed);
  ::syscall(SYS_munmap, page, kPage);
  return true;
}

void* KickPages::map(int prot) {
  const std::lock_guard guard(pages_mutex);
  std::atomic<uintptr_t>* const entry = find_page(0);
  errno = ENOMEM;
  if (entry == nullptr) return MAP_FAILED;
  // Readable as well: the wait for the store reads.
  void* const page =
      ::mmap(nullptr, kPage, prot | PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return page;
  uffdio_register area{};
  area.range.start = reinterpret_cast<uintptr_t>(page);
  area.range.len = kPage;
  area.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (uffd_ && ::ioctl(uffd_.get(), UFFDIO_REGISTER, &area) != 0) {
    ::syscall(SYS_munmap, page, kPage);
    return MAP_FAILED;
  }
  entry->store(area.range.start, std::memory_order_relaxed);
  return page;
}

void KickPages::serve(const std::function<void()>& kick) {
  uffd_msg message{};
  while (::read(uffd_.get(), &message, sizeof(message)) == sizeof(message)) {
    if (message.event != UFFD_EVENT_PAGEFAULT) continue;
    const uint64_t page = message.arg.pagefault.address & ~uint64_t{kPage - 1};
    {
      const std::lock_guard guard(pages_mutex);
      if (find_page(page) == nullptr) continue;  // unmapped: whoever stored is gone
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
    }
    kick();
  }
}

}  // namespace peermr::native
