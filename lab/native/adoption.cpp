// SPDX-License-Identifier: BSD-2-Clause
#include "adoption.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <thread>

// Debian 12's headers are older than the kernels that it runs on.
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif

namespace peermr::native {

namespace {

int copy_to_file(uintptr_t start, size_t length, int fd) {
  size_t done = 0;
  while (done < length) {
    // The kernel reads the memory: a page without a backing gives EFAULT instead of a signal. And
    // whole pages hold more than the caller's object, which AddressSanitizer would object to.
    const long n = ::syscall(SYS_pwrite64, fd, start + done, length - done, done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? EIO : errno;
    done += static_cast<size_t>(n);
  }
  return 0;
}

// Stops other threads that write to a range until it goes out of scope, as long as the kernel has
// userfaultfd with write protection; elsewhere it does nothing.
class WriteStop {
 public:
  WriteStop(uintptr_t start, size_t length) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED;
    if (!fd || ::ioctl(fd.get(), UFFDIO_API, &api) != 0) return;
    uffdio_register area{};
    area.range.start = start;
    area.range.len = length;
    area.mode = UFFDIO_REGISTER_MODE_WP;
    if (::ioctl(fd.get(), UFFDIO_REGISTER, &area) != 0) return;
    uffdio_writeprotect protect{};
    protect.range = area.range;
    protect.mode = UFFDIO_WRITEPROTECT_MODE_WP;
    if (::ioctl(fd.get(), UFFDIO_WRITEPROTECT, &protect) == 0) uffd_ = std::move(fd);
  }

 private:
  UniqueFd uffd_;  // closing it lets the writers go on
};

// Puts the file's pages, with the memory's present content, in the place of the memory. Between the
// stop and the map nothing but system calls: this thread would wait for itself.
int replace_by_file(uintptr_t start, size_t length, int prot, int fd) {
  const WriteStop stop(start, length);
  if (const int error = copy_to_file(start, length, fd)) return error;
  // Not mmap(): ThreadSanitizer would take it for a write to everything in the pages.
  const long at = ::syscall(SYS_mmap, start, length, prot, MAP_SHARED | MAP_FIXED, fd, 0);
  return at == static_cast<long>(start) ? 0 : errno;
}

// A caller may register a buffer of its stack, whose pages hold the frames of this very call: what
// is written to them between copy and map would be lost. So a thread with a stack of its own does
// it, while this one sleeps.
int replace_by_file_aside(uintptr_t start, size_t length, int prot, int fd) {
  int error = 0;
  try {
    std::thread([&] { error = replace_by_file(start, length, prot, fd); }).join();
  } catch (const std::system_error& e) {
    error = e.code().value();
  }
  return error;
}

UniqueFd find_open_file(dev_t device, ino_t inode) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), &::closedir);
  if (!dir) return UniqueFd();
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const int fd = std::atoi(entry->d_name);
    struct stat st {};
    if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == device && st.st_ino == inode)
      return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  }
  return UniqueFd();
}

}  // namespace

std::shared_ptr<MemoryFile> make_memory_file(UniqueFd fd) {
  struct stat st {};
  if (!fd || ::fstat(fd.get(), &st) != 0) return nullptr;
  auto file = std::make_shared<MemoryFile>();
  file->fd = std::move(fd);
  file->device = st.st_dev;
  file->inode = st.st_ino;
  return file;
}

std::shared_ptr<MemoryFile> create_memory_file(uint64_t size_bytes) {
  UniqueFd fd(::memfd_create("pnic-native", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) return nullptr;
  return make_memory_file(std::move(fd));
}

Adoption& Adoption::instance() {
  // Never destroyed: the pages outlive every destructor that could run before it.
  static auto* const adoption = new Adoption;
  return *adoption;
}

int Adoption::adopt(uintptr_t start, uintptr_t end, int prot, std::shared_ptr<MemoryFile>& out) {
  auto file = create_memory_file(end - start);
  if (file == nullptr) return ENOMEM;
  if (const int error = replace_by_file_aside(start, end - start, prot, file->fd.get()))
    return error;
  files_.push_back(file);
  out = std::move(file);
  return 0;
}

std::shared_ptr<MemoryFile> Adoption::find(dev_t device, ino_t inode) {
  for (const auto& file : files_)
    if (file->device == device && file->inode == inode) return file;
  return make_memory_file(find_open_file(device, inode));
}

void Adoption::collect(const std::vector<Mapping>& maps) {
  std::erase_if(files_, [&maps](const std::shared_ptr<MemoryFile>& file) {
    return file.use_count() == 1 &&
           std::none_of(maps.begin(), maps.end(), [&file](const Mapping& m) {
             return m.inode == file->inode && m.device == file->device;
           });
  });
}

}  // namespace peermr::native
