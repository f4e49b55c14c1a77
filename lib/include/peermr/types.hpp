// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <compare>
#include <cstdint>

namespace peermr {

/// An integer that means one thing: no implicit conversion from or to others, so that an lkey
/// cannot be passed where an rkey belongs. value() is the way out.
template <typename Tag, typename Rep>
class Strong {
 public:
  using rep = Rep;

  constexpr Strong() noexcept = default;
  constexpr explicit Strong(Rep value) noexcept : value_(value) {}

  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }

  friend constexpr auto operator<=>(Strong, Strong) noexcept = default;

 private:
  Rep value_{};
};

/// Address within a memory region, as a work request and a peer name it (ibv_sge.addr,
/// wr.rdma.remote_addr).
using Iova = Strong<struct IovaTag, std::uint64_t>;
/// Key for the local side of a work request (ibv_mr.lkey).
using Lkey = Strong<struct LkeyTag, std::uint32_t>;
/// Key that a peer presents (ibv_mr.rkey).
using Rkey = Strong<struct RkeyTag, std::uint32_t>;
/// Counts the revokes of a region's memory: what was written in an older one may be gone.
using Generation = Strong<struct GenerationTag, std::uint64_t>;
/// Counts the keys of a region.
using KeyEpoch = Strong<struct KeyEpochTag, std::uint64_t>;
/// Number of a PCI base address register, 0 to 5.
using BarIndex = Strong<struct BarIndexTag, std::uint8_t>;

}  // namespace peermr
