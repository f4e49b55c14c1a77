// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/row.hpp"
#include "bench/target_spec.hpp"

namespace peermr::tool {

/// The command line of `peermr bench`, parsed.
struct BenchOptions {
  std::string device;         ///< initiator; empty: the first
  std::string target_device;  ///< empty: the second, or the initiator when there is no other
  bool loopback = false;
  std::vector<TargetSpec> targets;
  std::vector<Operation> operations;
  std::vector<std::uint64_t> sizes_bytes;
  std::uint32_t depth = 32;
  double duration_seconds = 1;
  std::uint64_t iterations = 0;
  std::uint64_t latency_samples = 1000;
  double timeout_seconds = 10;
  std::uint64_t span_bytes = 4u << 20;
  unsigned repeat = 0;  ///< 0: 1, or 3 with compare
  bool restore = true;
  bool allow_registers = false;
  bool kernel_verdict = false;
  std::string compare;
  std::string listen;
  std::string connect;
  std::string label;
  std::string json_path;
};

}  // namespace peermr::tool
