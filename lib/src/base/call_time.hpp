// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cerrno>
#include <chrono>
#include <utility>

namespace peermr::detail {

/// Adds up the time that calls take which leave the library, for the kernel and what is behind it.
/// One thread at a time.
class CallTime {
 public:
  /// What `call` returns; errno is as it left it.
  template <typename Call>
  auto of(Call&& call) {
    const auto begin = std::chrono::steady_clock::now();
    auto result = std::forward<Call>(call)();
    const int error_number = errno;
    total_ += std::chrono::steady_clock::now() - begin;
    errno = error_number;
    return result;
  }

  [[nodiscard]] std::chrono::nanoseconds total() const noexcept { return total_; }

 private:
  std::chrono::nanoseconds total_{};
};

}  // namespace peermr::detail
