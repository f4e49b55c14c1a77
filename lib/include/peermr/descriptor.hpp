// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"

namespace peermr {

/// Name of a region among those of one connection, chosen by its owner.
using RegionId = Strong<struct RegionIdTag, std::uint64_t>;

enum class DescriptorState : std::uint8_t {
  kLive = 1,    ///< the key is good, to the best of the owner's knowledge
  kPaused = 2,  ///< the memory is taken away; post nothing until the next descriptor
  kDead = 3,    ///< it never comes back
};

/// "live", "paused", "dead".
[[nodiscard]] PEERMR_API std::string_view to_string(DescriptorState state) noexcept;

/// All that a peer needs to know of a region. Its bytes on the wire are in docs/connection.md.
struct RegionDescriptor {
  static constexpr std::size_t kWireBytes = 56;

  RegionId id = {};
  DescriptorState state = DescriptorState::kPaused;
  /// A revoke kills the key for good, whoever caused it: an access that succeeds shows that there
  /// was none since the key was made.
  bool key_dies_with_generation = false;
  Iova address = {};               ///< of the first byte, for work requests
  std::uint64_t length_bytes = 0;  ///< not 0 while live
  Rkey rkey = {};                  ///< 0 unless live
  Generation generation = {};
  KeyEpoch key_epoch = {};

  friend constexpr bool operator==(const RegionDescriptor&,
                                   const RegionDescriptor&) noexcept = default;
};

[[nodiscard]] PEERMR_API std::array<std::byte, RegionDescriptor::kWireBytes> encode(
    const RegionDescriptor& descriptor) noexcept;

/// Trusts nobody: what it returns is consistent in itself.
/// Errors: Errc::kMalformed, with the field that is wrong.
[[nodiscard]] PEERMR_API Result<RegionDescriptor> decode_descriptor(
    std::span<const std::byte> bytes);

}  // namespace peermr
