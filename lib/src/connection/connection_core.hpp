// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "connection/port.hpp"
#include "connection/receive_log.hpp"
#include "connection/remote_regions.hpp"
#include "peermr/connection.hpp"
#include "peermr/handshake.hpp"
#include "peermr/replay_log.hpp"

namespace peermr::detail {

/// The logic of an RcConnection, on a Port and a channel that tests replace.
class ConnectionCore {
 public:
  using Clock = std::chrono::steady_clock;

  ConnectionCore(std::unique_ptr<Port> port, std::unique_ptr<OutOfBand> channel,
                 const ConnectionOptions& options);
  ~ConnectionCore();

  // As RcConnection's.
  Result<void> process();
  Result<void> post(const WorkRequest& work);
  Result<void> post_receive(std::uint64_t id, const LocalMemory& local);
  std::size_t poll(std::span<Completion> completions);
  std::optional<ConnectionEvent> next_event();
  Result<void> publish(std::shared_ptr<Publication> publication);
  [[nodiscard]] std::optional<RegionDescriptor> remote_region(RegionId id) const;
  [[nodiscard]] ConnectionState state() const noexcept;

  /// When process() has something to do though no descriptor is readable.
  [[nodiscard]] Clock::time_point wake_at() const noexcept { return wake_at_; }
  /// Whether post(), poll() or publish() left something for process() that no descriptor shows.
  [[nodiscard]] bool calls_for_process() const noexcept;
  [[nodiscard]] const OutOfBand& channel() const noexcept { return *channel_; }
  [[nodiscard]] const Port& port() const noexcept { return *port_; }

 private:
  struct Published {
    std::shared_ptr<Publication> publication = {};
    Publication::Peer peer = 0;
    std::optional<RegionDescriptor> sent = {};
    bool failed_at_peer = false;  // an event of that is queued
  };
  struct QueuedEvent {
    ConnectionEvent::Kind kind;
    std::size_t index;  // of the region, of the peer's or published
  };

  // connection_core.cpp
  Result<void> check(const WorkRequest& work, std::optional<std::uint32_t> region) const;
  Result<void> check_region(const WorkRequest& work, const RemoteRegion& region) const;
  void judge_placed(Completion& completion, std::uint32_t region);
  ConnectionEvent event_of(const QueuedEvent& queued);
  void queue_state();
  void die(const Error& error);

  // connection_post.cpp
  void pump();
  void pump_receives();
  bool post_entry(ReplayLog::Entry& entry);
  bool submit(ReplayLog::Entry& entry, const ibv_sge& local);
  bool post_receive_entry(ReceiveLog::Entry& entry);
  void fail_waiting(const ReplayLog::Entry& entry, ibv_wc_status why);

  // connection_channel.cpp
  Result<void> read_channel();
  Result<void> send(const Message& message);
  Result<void> tell_peer();
  Result<void> acknowledge_regions();
  bool may_acknowledge(std::uint32_t region);
  Result<void> on(const StartMessage& message);
  Result<void> on(const ReadyMessage& message);
  Result<void> on(const RegionDescriptor& message);
  Result<void> on(const AcknowledgeMessage& message);
  Result<void> on(const SyncMessage& message);
  Result<void> on(const SyncedMessage& message);

  // connection_recovery.cpp
  Result<void> collect();
  void completed(const ibv_wc& completion);
  void placed_read(ReplayLog::Entry& entry);
  void begin_recovery();
  Result<void> step();
  Result<bool> drain();
  Result<void> send_start();
  Result<void> connect();
  Result<void> resume();
  ReplayLog::Verdict judge(ReplayLog::Entry& entry, const ReplayLog::Culprit* culprit);
  ReplayLog::Verdict judge_region(const ReplayLog::Entry& entry);
  bool explained(const ReplayLog::Entry& entry, ibv_wc_status status);
  Result<void> run();
  void plan();

  const ConnectionOptions options_;
  std::unique_ptr<Port> port_;
  std::unique_ptr<OutOfBand> channel_;
  Handshake handshake_;
  ReplayLog sends_;
  ReceiveLog receives_;
  RemoteRegions regions_;
  std::vector<std::uint32_t> to_acknowledge_;  // of regions_
  std::vector<Published> published_;
  std::deque<QueuedEvent> events_;
  std::vector<bool> region_queued_;  // per region of regions_: an event of it is queued
  bool state_queued_ = false;

  std::optional<Error> failure_;  // found where nobody could be told; the next process() will
  std::optional<Error> death_;

  bool open_ = false;  // the queue pair has left RESET and was not stopped since
  std::uint32_t psn_ = 0;
  bool progress_ = false;  // something was done since the last recovery began
  Clock::time_point now_{};
  Clock::time_point recovery_begun_{};
  std::chrono::nanoseconds pause_{};  // of the next recovery that follows one without progress
  bool holding_ = false;              // nothing is posted until hold_until_
  Clock::time_point hold_until_{};
  bool stalled_ = false;  // by memory of this side, or a full queue
  bool busy_ = false;     // more messages wait than one turn takes
  Clock::time_point wake_at_ = Clock::time_point::max();
};

}  // namespace peermr::detail
