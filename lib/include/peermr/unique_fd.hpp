// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <utility>

#include "peermr/export.hpp"
#include "peermr/result.hpp"

namespace peermr {

/// Owns a file descriptor, or none (-1). Moves, never copies.
///
/// The destructor closes, and logs a failure; close() is for those who need the error.
class PEERMR_API UniqueFd {
 public:
  UniqueFd() noexcept = default;
  /// Takes ownership of `fd`; a negative value means none.
  explicit UniqueFd(int fd) noexcept : fd_(fd < 0 ? -1 : fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

  /// Gives the descriptor away: the caller closes it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

  /// Closes what it has and takes `fd`.
  void reset(int fd = -1) noexcept;

  /// Closes and reports. Afterwards there is no descriptor, whatever the outcome: Linux releases
  /// the number even when close(2) fails. Closing none succeeds.
  Result<void> close();

  /// A new descriptor of the same open file, close-on-exec. EBADF when there is none.
  [[nodiscard]] Result<UniqueFd> duplicate() const;

 private:
  int fd_ = -1;
};

}  // namespace peermr
