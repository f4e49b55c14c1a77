// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "peermr/work.hpp"

namespace peermr::detail {

/// Receives from the moment they are asked for until their completions are taken, in order. What an
/// error flushes is posted again.
class ReceiveLog {
 public:
  struct Entry {
    enum class State : std::uint8_t { kWaiting, kPosted, kFlushed, kFailed, kFinished };
    std::uint64_t id = 0;
    LocalMemory local = {};
    std::uint64_t number = 0;
    State state = State::kWaiting;
    Generation local_generation = {};  // when last posted
    Completion completion = {};
  };

  explicit ReceiveLog(std::size_t capacity) : entries_(capacity) {}

  [[nodiscard]] bool full() const noexcept { return end_ - begin_ == entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
  /// Messages that were taken, ever.
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

  void append(std::uint64_t id, const LocalMemory& local);
  [[nodiscard]] Entry* next_to_post() noexcept;
  void posted(Entry& entry) noexcept;
  /// False: it is not in flight.
  bool completed(std::uint64_t number, const ibv_wc& completion) noexcept;

  /// After the queue pair was drained: what it flushed waits again, and so does what failed and
  /// `is_explained`, by a revoke of its memory.
  void resolve(const std::function<bool(const Entry&)>& is_explained);
  /// The connection is over.
  void abandon() noexcept;

  std::optional<Completion> take() noexcept;

 private:
  Entry& at(std::uint64_t number) noexcept { return entries_[number % entries_.size()]; }
  void finish(Entry& entry, CompletionStatus status, ibv_wc_status why) noexcept;

  std::vector<Entry> entries_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t next_ = 0;
  std::size_t in_flight_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace peermr::detail
