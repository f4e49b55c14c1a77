// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/log.hpp"

namespace peermr {

void UniqueFd::reset(int fd) noexcept {
  const int old = std::exchange(fd_, fd < 0 ? -1 : fd);
  if (old >= 0 && ::close(old) != 0) {
    const int error = errno;
    log(LogLevel::kWarning, "close file descriptor {}: {}", old,
        std::generic_category().message(error));
  }
}

Result<void> UniqueFd::close() {
  const int old = std::exchange(fd_, -1);
  if (old >= 0 && ::close(old) != 0) {
    return errno_error(errno, "close file descriptor", std::to_string(old));
  }
  return {};
}

Result<UniqueFd> UniqueFd::duplicate() const {
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return errno_error(errno, "duplicate file descriptor", std::to_string(fd_));
  return UniqueFd(copy);
}

}  // namespace peermr
