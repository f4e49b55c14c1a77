// SPDX-License-Identifier: BSD-2-Clause
#include "memory_bar.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace peermr::nic {

Result<MemoryBar> MemoryBar::create(uint64_t size_bytes) {
  constexpr std::string_view kOperation = "create device memory";
  UniqueFd fd(::memfd_create("device-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return errno_error(errno, kOperation);
  if (::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0)
    return errno_error(errno, kOperation);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return errno_error(errno, kOperation);
  return MemoryBar(std::move(fd), size_bytes);
}

Result<void> MemoryBar::clear() {
  if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                  static_cast<off_t>(size_bytes_)) != 0)
    return errno_error(errno, "clear device memory");
  return {};
}

int MemoryBar::read(uint64_t offset, std::span<std::byte> out) const noexcept {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : EIO;
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return 0;
}

int MemoryBar::write(uint64_t offset, std::span<const std::byte> data) noexcept {
  while (!data.empty()) {
    const ssize_t put = ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put < 0 ? errno : EIO;
    offset += static_cast<uint64_t>(put);
    data = data.subspan(static_cast<size_t>(put));
  }
  return 0;
}

}  // namespace peermr::nic
