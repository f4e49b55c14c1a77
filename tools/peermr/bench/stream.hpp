// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "bench/endpoint.hpp"
#include "bench/pattern.hpp"
#include "bench/row.hpp"
#include "bench/target_side.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

using Clock = std::chrono::steady_clock;

struct StreamOptions {
  Operation operation = Operation::kWrite;
  Layout layout;
  std::uint32_t depth = 1;
  std::uint64_t local_address = 0;
  std::uint32_t lkey = 0;
  std::uint64_t remote_address = 0;
  std::uint32_t rkey = 0;
  /// Without a completion for so long the stream has failed.
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
};

/// Posts the messages of one row in order, message `n` from and to slot `n % slots`, and reaps
/// their completions. Every wait ends: by a completion, by the timeout, by a signal. Not
/// thread-safe; endpoint and target side must outlive it.
class Stream {
 public:
  Stream(const Endpoint& endpoint, TargetSide& target, const StreamOptions& options);

  /// Sends `count` messages, `depth` in flight, and waits for all of them.
  Result<void> run(std::uint64_t count);

  /// Sends at least `least` messages, and more until `duration` has passed; waits for all of them.
  Result<void> run_for(std::chrono::nanoseconds duration, std::uint64_t least);

  /// Sends one and waits for it: the time from before the post to after the completion.
  [[nodiscard]] Result<std::chrono::nanoseconds> round_trip();

  /// READs the last 8 bytes of the target's slots into `scratch`: afterwards everything that was
  /// acknowledged is placed too (an acknowledged WRITE may still be on its way into a BAR).
  Result<void> flush(std::uint64_t scratch);

  [[nodiscard]] std::uint64_t posted() const noexcept { return posted_; }

 private:
  Result<void> post(std::uint32_t count);
  Result<void> reap();
  Result<void> reap_down_to(std::uint64_t in_flight);
  Result<void> take(const ibv_wc& completion);
  Result<void> check_progress();
  Result<void> drain();
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return posted_ - completed_; }

  const Endpoint& endpoint_;
  TargetSide& target_;
  StreamOptions options_;
  std::uint32_t chain_;  // WRs posted by one call; the last of them is signaled
  std::vector<ibv_send_wr> wrs_;
  std::vector<ibv_sge> sges_;
  std::uint64_t posted_ = 0;
  std::uint64_t completed_ = 0;
  unsigned empty_polls_ = 0;
  Clock::time_point last_progress_;
};

}  // namespace peermr::tool
