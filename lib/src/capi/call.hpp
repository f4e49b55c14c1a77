// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <string_view>

#include "capi/handles.hpp"

// What the functions of the C interface have in common: no exception leaves them, null is an error
// with a sentence, and no time that a caller can name overflows.

namespace peermr::capi {

/// -ENOMEM, with a text that takes no memory.
int fail_for_memory() noexcept;

/// -EINVAL: an argument of `operation` is null, or says something that cannot be.
int refuse(std::string_view operation, std::string_view why) noexcept;
int refuse_null(std::string_view operation) noexcept;

/// What `call` returns; an exception, which can only be for want of memory or threads, is an error.
template <typename Call>
int guarded(const Call& call) noexcept {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    return fail_for_memory();
  } catch (const std::exception& exception) {
    return fail(make_error(std::errc::resource_unavailable_try_again, "call libpeermr", "",
                           exception.what()));
  }
}

/// Whether an enumerator of the C interface has the value of its like in C++, so that there is
/// nothing to look up.
template <auto cpp, auto c>
inline constexpr bool kSame = static_cast<int>(cpp) == static_cast<int>(c);

/// A span that can be added to a clock's time.
template <typename Duration>
Duration span_of(std::uint64_t count) noexcept {
  constexpr auto kLongest = std::chrono::duration_cast<Duration>(std::chrono::hours(24 * 36500));
  return Duration(
      static_cast<std::int64_t>(std::min(count, static_cast<std::uint64_t>(kLongest.count()))));
}

/// CLOCK_MONOTONIC, which steady_clock is here.
inline std::uint64_t to_ns(std::chrono::steady_clock::time_point time) noexcept {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

}  // namespace peermr::capi
