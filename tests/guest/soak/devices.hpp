// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/peermr.hpp>
#include <vector>

namespace soak {

inline constexpr std::uint64_t kPart = 64 << 10;  ///< of a BAR, for each stream

struct Owned {
  peermr::vfio::Device device;
  peermr::BarIndex bar;
  bool fresh;  ///< its exporter and the importer can keep fresh keys

  /// The part of stream `number`.
  peermr::DmaBuf export_part(unsigned number) const;
  peermr::vfio::BarMapping map_part(unsigned number) const;
};

/// The lab's devices that keep memory in a BAR; SOAK_DEVICES, a list of names, chooses some.
std::vector<Owned> open_devices();

}  // namespace soak
