// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "bench/target_spec.hpp"

namespace peermr::tool {

/// The command line of `peermr bench events`, parsed.
struct EventsOptions {
  std::string device;      ///< importer; empty: the first RDMA device
  TargetSpec target;       ///< a BAR
  unsigned revokes = 300;  ///< for each row
  bool allow_registers = false;
  std::string label;
  std::string json_path;
};

}  // namespace peermr::tool
