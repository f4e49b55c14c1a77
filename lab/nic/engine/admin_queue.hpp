// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "admin_commands.hpp"
#include "hardware.hpp"

namespace peermr::nic {

struct NicCore;

/// The admin queue pair (docs/nic-spec.md, section 3): takes commands, executes them one after the
/// other, writes their completions. Bounded work in each turn: a VMM may wait for a reply
/// meanwhile. Single-threaded.
class AdminQueue {
 public:
  struct Config {
    uint64_t submission_base = 0;
    uint64_t completion_base = 0;
    uint32_t log_size = 0;
    uint32_t vector = 0;
  };

  /// Starts over with these queues. Returns why not: ADMIN_CONFIG or ADMIN_DMA, or NONE.
  pnic_fatal_reason configure(NicCore& core, const Config& config);

  /// The two doorbells: free-running counts of commands submitted and of completions consumed.
  void submitted(uint32_t count) noexcept { submitted_ = count; }
  void completions_consumed(uint32_t count) noexcept;

  /// One turn. True if something happened, or is still to be done at once.
  bool poll(NicCore& core);

 private:
  struct Fence {
    uint16_t cmd_id;
    uint32_t key;
  };
  /// A copy measurement, done in pieces.
  struct SelfTest {
    bool active = false;
    uint16_t cmd_id = 0;
    uint32_t bytes = 0;
    uint32_t iterations_left = 0;
    uint32_t at = 0;
    std::chrono::nanoseconds spent{};
    std::vector<std::byte> from;
    std::vector<std::byte> to;
  };

  uint32_t entries() const noexcept { return 1u << config_.log_size; }
  bool has_room() const noexcept { return produced_ - consumed_ < entries(); }
  bool poll_fences(NicCore& core);
  void start(NicCore& core, const pnic_cmd& command);
  void start_self_test(const pnic_cmd& command);
  void step_self_test(NicCore& core);
  void complete(NicCore& core, uint16_t cmd_id, pnic_cmd_status status, uint64_t result);

  Config config_;
  uint32_t submitted_ = 0;  // by the driver
  uint32_t taken_ = 0;      // commands read
  uint32_t produced_ = 0;   // completions written
  uint32_t consumed_ = 0;   // completions, by the driver
  std::vector<Fence> fences_;
  SelfTest self_test_;
};

}  // namespace peermr::nic
