// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/target_spec.hpp"

namespace peermr::tool {

/// The command line of `peermr bench revoke`, parsed.
struct RevokeOptions {
  std::string device;                  ///< importer; empty: the first RDMA device
  std::vector<TargetSpec> targets;     ///< BARs of one device
  std::vector<std::uint32_t> buffers;  ///< so many at once, for each row
  std::string against;                 ///< VFIO driver to compare with; empty: none
  unsigned pairs = 30;                 ///< rounds; with `against` on both drivers
  unsigned repeats = 7;                ///< of a round; the fastest of each phase counts
  bool allow_registers = false;
  std::string label;
  std::string json_path;
};

}  // namespace peermr::tool
