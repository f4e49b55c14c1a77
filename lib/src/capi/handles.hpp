// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <utility>

#include "peermr/monitor.hpp"
#include "peermr/peermr.h"
#include "peermr/region.hpp"
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

struct peermr_region {
  peermr::Region region;
};

namespace peermr::capi {

/// Keeps the message for peermr_last_error() and returns the negative errno value that comes
/// nearest.
int fail(const Error& error) noexcept;

/// 0, or fail().
inline int status_of(const Result<void>& result) noexcept {
  return result ? 0 : fail(result.error());
}

}  // namespace peermr::capi
