// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "soak/counts.hpp"
#include "soak/trouble.hpp"

namespace soak {

/// What was done to the devices, and what came of it.
struct Totals {
  std::uint64_t invalidates = 0;
  std::uint64_t generations = 0;
  std::uint64_t failures = 0;
  std::array<std::uint64_t, kKinds.size()> done{};
  std::array<bool, kKinds.size()> possible{};  ///< with any of the devices
};

/// Prints it as a line of JSON. Whether all that must be 0 is, and all that must happen did where
/// there are streams, and where there are connections.
bool report(const Counts& counts, const Totals& totals, bool has_streams, bool has_connections,
            std::size_t files_left);

}  // namespace soak
