// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <peermr/peermr.hpp>
#include <shared_mutex>
#include <vector>

namespace soak {

inline constexpr std::uint64_t kPart = 64 << 10;  ///< of a BAR, for each stream

struct Owned {
  peermr::vfio::Device device;
  peermr::BarIndex bar;
  bool fresh;  ///< its exporter and the importer can keep fresh keys
  std::unique_ptr<std::shared_mutex> trouble = std::make_unique<std::shared_mutex>();

  /// The part of stream `number`.
  peermr::DmaBuf export_part(unsigned number) const;
  peermr::vfio::BarMapping map_part(unsigned number) const;
};

/// The lab's devices that keep memory in a BAR; SOAK_DEVICES, a list of names, chooses some.
std::vector<Owned> open_devices();

/// Buffers of these devices that somebody still holds, as the exporter lists them.
std::size_t buffers_left();

}  // namespace soak
