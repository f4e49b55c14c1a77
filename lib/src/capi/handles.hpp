// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <utility>

#include "capi/followers.hpp"
#include "peermr/events.hpp"
#include "peermr/monitor.hpp"
#include "peermr/peermr.h"
#include "peermr/region.hpp"
#include "peermr/region_cache.hpp"
#include "peermr/vfio.hpp"
#include "peermr/watch.hpp"

// What the C interface's opaque types are.

struct peermr_device {
  peermr::vfio::Device device;
};

struct peermr_dma_buf {
  peermr::DmaBuf buffer;
};

struct peermr_watch {
  peermr::Watch watch;
};

struct peermr_monitor {
  peermr::Monitor monitor;
};

struct peermr_device_watch {
  peermr::DeviceWatch watch;
};

struct peermr_event_queue {
  peermr::EventQueue queue;
};

struct peermr_region_cache {
  peermr::RegionCache cache;
  std::shared_ptr<peermr::capi::Followers> followers;  ///< of all its regions
};

struct peermr_region {
  std::shared_ptr<peermr::Region> region;
  bool cached = false;  ///< shared with others: let go of, not closed
  /// Told by the region's on_event. Never null.
  std::shared_ptr<peermr::capi::Followers> followers =
      std::make_shared<peermr::capi::Followers>();
};

namespace peermr::capi {

/// What the options say, with what an older program's struct lacks. Null: the defaults.
/// Errors: std::errc::invalid_argument.
[[nodiscard]] Result<RegionOptions> to_cpp(const peermr_region_options* options);

/// `options`, with `followers` told of what becomes of the region.
[[nodiscard]] RegionOptions with_followers(RegionOptions options,
                                           const std::shared_ptr<Followers>& followers);

[[nodiscard]] peermr_state to_c(RegionState state) noexcept;

/// Keeps the message for peermr_last_error() and returns the negative errno value that comes
/// nearest.
int fail(const Error& error) noexcept;

/// 0, or fail().
inline int status_of(const Result<void>& result) noexcept {
  return result ? 0 : fail(result.error());
}

}  // namespace peermr::capi
