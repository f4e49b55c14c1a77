// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/pnic_hw.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace peermr::nic {

// The structures of pnic_hw.h are little-endian and are copied as they are.
static_assert(std::endian::native == std::endian::little);
static_assert(sizeof(pnic_cmd) == PNIC_CMD_SIZE);
static_assert(sizeof(pnic_admin_comp) == 32);
static_assert(sizeof(pnic_eqe) == 32);
static_assert(sizeof(pnic_cqe) == 64);
static_assert(sizeof(pnic_sq_wqe) == 32);
static_assert(sizeof(pnic_rq_wqe) == 16);

using Clock = std::chrono::steady_clock;

/// The counters of QUERY_STATS. They outlive resets.
class Stats {
 public:
  void add(pnic_stat counter, uint64_t amount = 1) noexcept { counters_[counter] += amount; }
  uint64_t get(pnic_stat counter) const noexcept { return counters_[counter]; }
  const std::array<uint64_t, PNIC_STAT_COUNT>& all() const noexcept { return counters_; }

 private:
  std::array<uint64_t, PNIC_STAT_COUNT> counters_{};
};

}  // namespace peermr::nic
