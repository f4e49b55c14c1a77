// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/recover/round.hpp"
#include "bench/target_spec.hpp"

namespace peermr::tool {

/// The command line of `peermr bench recover`, parsed.
struct RecoverOptions {
  std::string device;                  ///< importer; empty: the first RDMA device
  TargetSpec target;                   ///< a BAR
  std::vector<std::uint32_t> regions;  ///< so many at once, for each row
  std::vector<RecoverKind> kinds;      ///< empty: all that importer and exporter allow
  unsigned rounds = 9;
  bool monitor = false;
  bool allow_registers = false;
  std::string label;
  std::string json_path;
};

}  // namespace peermr::tool
