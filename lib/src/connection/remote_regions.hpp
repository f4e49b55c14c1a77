// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "peermr/descriptor.hpp"
#include "peermr/result.hpp"

namespace peermr::detail {

/// A region of the peer's, as this side knows it.
struct RemoteRegion {
  RegionDescriptor descriptor = {};
  Generation told = {};                     // of which the application knows
  std::optional<Generation> unplaced = {};  // the oldest of those in which WRITEs were acknowledged
                                            // since the last kPlace
};

/// All that the peer has told of its regions. It is not believed more than it must be.
class RemoteRegions {
 public:
  explicit RemoteRegions(std::size_t limit) : limit_(limit) {}

  /// The index of the region that has changed.
  /// Errors: Errc::kMalformed: more regions than allowed; a dead region that came back; a
  /// generation or a key epoch that went backwards.
  Result<std::uint32_t> apply(const RegionDescriptor& descriptor);

  [[nodiscard]] std::optional<std::uint32_t> find(RegionId id) const noexcept;
  [[nodiscard]] RemoteRegion& at(std::uint32_t index) noexcept { return regions_[index]; }
  [[nodiscard]] const RemoteRegion& at(std::uint32_t index) const noexcept {
    return regions_[index];
  }
  [[nodiscard]] std::size_t size() const noexcept { return regions_.size(); }

 private:
  const std::size_t limit_;
  std::vector<RemoteRegion> regions_;
  std::unordered_map<std::uint64_t, std::uint32_t> index_;
};

}  // namespace peermr::detail
