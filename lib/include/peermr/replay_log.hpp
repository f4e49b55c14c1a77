// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/work.hpp"

namespace peermr {

/// Whether an error of a work request comes from the responder's refusal: then neither that request
/// nor a later one of its queue pair was executed.
[[nodiscard]] PEERMR_API bool responder_refused(ibv_wc_status status) noexcept;

/// The work of a send queue from the moment it is asked for until its completion is taken, in
/// order, and after an error the decision what becomes of each piece. For those who own their queue
/// pairs; RcConnection is built on it.
///
/// Numbers of work begin at 0 and go up by one. Not thread-safe; after the constructor nothing
/// allocates.
class PEERMR_API ReplayLog {
 public:
  enum class State : std::uint8_t {
    kWaiting,   ///< to be posted, for the first time or again
    kPosted,    ///< in the send queue
    kHeld,      ///< executed; the caller checks something before it is finished
    kFinished,  ///< its completion waits to be taken
  };

  struct Entry {
    WorkRequest work = {};
    std::uint64_t number = 0;
    State state = State::kWaiting;
    CompletionStatus status = CompletionStatus::kSuccess;
    ibv_wc_status wc_status = IBV_WC_SUCCESS;
    std::uint32_t region = 0;                               ///< the caller's index of the region
    std::uint32_t failures = 0;                             ///< the caller's count
    std::chrono::steady_clock::time_point failing_since{};  ///< of the first of these
    Generation asked_in = {};          ///< of the region, when the application asked for it
    Generation generation = {};        ///< of the region, when last posted
    KeyEpoch key_epoch = {};           ///< of the region's key, when last posted
    Generation local_generation = {};  ///< of local.region, when last posted
    bool in_flight = false;            ///< posted, and no completion came
    bool may_be_executed = false;      ///< an earlier attempt, which had an effect if it was
    std::uint64_t message = 0;         ///< number among the messages that take a receive
  };

  /// What the caller says of work that was not executed, or may be repeated.
  enum class Verdict { kReplay, kFail, kNewGeneration, kRegionDead };

  /// What is known when the queue pair is drained.
  struct Evidence {
    std::uint64_t peer_received = 0;  ///< messages that the peer has taken, ever
  };

  /// The one that failed first since the last resolve().
  struct Culprit {
    std::uint64_t number = 0;
    ibv_wc_status status = IBV_WC_SUCCESS;
  };

  explicit ReplayLog(std::size_t capacity);

  [[nodiscard]] bool full() const noexcept { return end_ - begin_ == entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
  /// Whether a completion other than success waits to be taken. What is asked for now would come
  /// behind something of which the application does not know yet that it failed.
  [[nodiscard]] bool has_failures() const noexcept { return failures_ != 0; }
  [[nodiscard]] const std::optional<Culprit>& culprit() const noexcept { return culprit_; }

  /// Not while full().
  Entry& append(const WorkRequest& work);

  /// The oldest that waits to be posted, or null.
  [[nodiscard]] Entry* next_to_post() noexcept;
  /// That one is in the send queue now. The caller has filled in generation, key_epoch and
  /// local_generation.
  void posted(Entry& entry) noexcept;

  /// A completion of the send queue; all work is posted signaled. Null when `number` is not in
  /// flight. Success finishes the entry, or holds it, if it is a kPlace. The first error other than
  /// a flush makes it the culprit.
  Entry* completed(std::uint64_t number, ibv_wc_status status) noexcept;
  /// An entry that is held.
  void finish(Entry& entry, CompletionStatus status) noexcept;
  /// Null: no such entry.
  [[nodiscard]] Entry* find(std::uint64_t number) noexcept;

  /// After the queue pair was drained: decides about each entry that is not finished, in order.
  /// - What the peer shows to have executed is finished, READs are repeated for their data, and the
  ///   outcome of an atomic is unknown.
  /// - An atomic that may have been executed: outcome unknown.
  /// - Else `judge` decides; it is told when the entry is the one that failed. What is replayed
  /// waits to be posted again.
  /// - Behind the first that fails none is repeated.
  /// Errors: Errc::kMalformed: the peer's count cannot be.
  Result<void> resolve(const Evidence& evidence,
                       const std::function<Verdict(Entry&, const Culprit*)>& judge);

  /// Those that wait to be posted, from the first one on that `judge` does not want replayed:
  /// finished. `why` is for kFail.
  void give_back(const std::function<Verdict(const Entry&)>& judge,
                 ibv_wc_status why = IBV_WC_GENERAL_ERR);

  /// The connection is over: all is finished.
  void abandon() noexcept;

  /// The entry whose completion take() would return, or null.
  [[nodiscard]] const Entry* front() const noexcept;
  /// The oldest completion, if it is there.
  std::optional<Completion> take() noexcept;

  /// Of the entries in flight.
  void for_each_in_flight(const std::function<void(const Entry&)>& visit) const;

 private:
  Entry& at(std::uint64_t number) noexcept { return entries_[number % entries_.size()]; }
  const Entry& at(std::uint64_t number) const noexcept {
    return entries_[number % entries_.size()];
  }
  void end(Entry& entry, CompletionStatus status, ibv_wc_status why = IBV_WC_SUCCESS) noexcept;
  std::uint64_t end_of_executed(std::uint64_t peer_received) const noexcept;
  void flush(Entry& entry) noexcept;

  std::vector<Entry> entries_;
  std::uint64_t begin_ = 0;  // numbers: begin_ is the oldest, end_ the next
  std::uint64_t end_ = 0;
  std::uint64_t next_ = 0;  // to be posted
  std::size_t in_flight_ = 0;
  std::size_t failures_ = 0;
  std::uint64_t messages_sent_ = 0;          // that were posted and count
  std::uint64_t messages_acknowledged_ = 0;  // of these
  std::optional<Culprit> culprit_;
};

}  // namespace peermr
