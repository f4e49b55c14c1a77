// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

// Of a completion with an error nothing is valid but its wr_id and status: the wr_id says of which
// queue it is.

namespace peermr::detail {

inline constexpr std::uint64_t kReceiveBit = std::uint64_t{1} << 63;

constexpr std::uint64_t send_wr_id(std::uint64_t number) noexcept {
  return number;
}
constexpr std::uint64_t receive_wr_id(std::uint64_t number) noexcept {
  return number | kReceiveBit;
}
constexpr bool is_receive(std::uint64_t wr_id) noexcept {
  return (wr_id & kReceiveBit) != 0;
}
constexpr std::uint64_t number_of(std::uint64_t wr_id) noexcept {
  return wr_id & ~kReceiveBit;
}

}  // namespace peermr::detail
