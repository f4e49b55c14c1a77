// SPDX-License-Identifier: BSD-2-Clause
#include "connection/connection_core.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/checked.hpp"
#include "base/log.hpp"

namespace peermr::detail {

ConnectionCore::ConnectionCore(std::unique_ptr<Port> port, std::unique_ptr<OutOfBand> channel,
                               const ConnectionOptions& options)
    : options_(options),
      port_(std::move(port)),
      channel_(std::move(channel)),
      sends_(options.max_sends),
      receives_(options.max_receives),
      regions_(options.max_remote_regions),
      pause_(options.recovery.first) {}

ConnectionCore::~ConnectionCore() {
  port_.reset();
  for (const Published& one : published_) one.publication->remove_peer(one.peer);
}

ConnectionState ConnectionCore::state() const noexcept {
  if (death_) return ConnectionState::kDead;
  if (handshake_.live()) return ConnectionState::kLive;
  return handshake_.epoch() == 1 ? ConnectionState::kConnecting : ConnectionState::kRecovering;
}

bool ConnectionCore::calls_for_process() const noexcept {
  return !death_ && (stalled_ || failure_ || handshake_.next() != Handshake::Step::kNothing ||
                     (channel_->events() & POLLOUT) != 0);
}

Result<void> ConnectionCore::process() {
  if (death_) return *death_;
  now_ = Clock::now();
  auto done = run();
  if (done && failure_) done = *std::exchange(failure_, std::nullopt);
  if (!done) die(done.error());
  plan();
  return done;
}

void ConnectionCore::die(const Error& error) {
  log(LogLevel::kWarning, "connection is dead: {}", error.message());
  death_ = error;
  // What is completed is known; then nothing moves any more. A device that is gone does none of it.
  if (std::exchange(open_, false)) static_cast<void>(port_->stop());
  static_cast<void>(collect());
  static_cast<void>(port_->restart());
  sends_.abandon();
  receives_.abandon();
  queue_state();
}

Result<void> ConnectionCore::check_region(const WorkRequest& work,
                                          const RemoteRegion& region) const {
  const auto refuse = [&work](auto code, const std::string& why) {
    return make_error(code, to_string(work.operation),
                      fmt::format("region {:#x}", work.region.value()), why);
  };
  const RegionDescriptor& known = region.descriptor;
  if (known.state == DescriptorState::kDead) return refuse(Errc::kDead, "its owner says so");
  if (options_.on_new_generation == NewGenerationPolicy::kGiveBack &&
      region.told != known.generation) {
    return refuse(Errc::kStale, "read the event of its new generation first");
  }
  const std::uint64_t length = work.operation == Operation::kPlace ? 1 : work.local.length_bytes;
  if (!range_in(work.offset_bytes, length, known.length_bytes)) {
    return refuse(std::errc::invalid_argument,
                  fmt::format("{:#x}+{:#x} is not within its {:#x} bytes", work.offset_bytes,
                              length, known.length_bytes));
  }
  return {};
}

Result<void> ConnectionCore::check(const WorkRequest& work,
                                   std::optional<std::uint32_t> region) const {
  const auto refuse = [&work](auto code, const std::string& why) {
    return make_error(code, to_string(work.operation), "", why);
  };
  if (death_) return make_error(Errc::kDead, "use", "connection", death_->message());
  if (work.operation == Operation::kReceive) {
    return refuse(std::errc::invalid_argument, "call post_receive()");
  }
  if (sends_.has_failures()) {
    return refuse(std::errc::operation_canceled, "earlier work failed: poll its completion first");
  }
  if (sends_.full()) {
    return refuse(std::errc::resource_unavailable_try_again,
                  fmt::format("{} are kept: poll completions first", options_.max_sends));
  }
  if (is_atomic(work.operation)) {
    if (!port_->has_atomics()) {
      return refuse(std::errc::operation_not_supported, "the RDMA device has no atomics");
    }
    if (work.local.length_bytes != 8 || !is_aligned<std::uint64_t>(work.offset_bytes, 8)) {
      return refuse(std::errc::invalid_argument, "atomics are of 8 bytes, aligned to 8");
    }
  }
  if (!names_region(work.operation)) return {};
  if (!region) {
    return refuse(std::errc::no_such_file_or_directory,
                  fmt::format("the peer has told of no region {:#x}", work.region.value()));
  }
  return {};
}

Result<void> ConnectionCore::post(const WorkRequest& work) {
  std::optional<std::uint32_t> region;
  if (names_region(work.operation)) region = regions_.find(work.region);
  if (auto checked = check(work, region); !checked) return checked;
  if (region) {
    if (auto checked = check_region(work, regions_.at(*region)); !checked) return checked;
  }
  ReplayLog::Entry& entry = sends_.append(work);
  if (region) {
    entry.region = *region;
    entry.asked_in = regions_.at(*region).descriptor.generation;
  }
  pump();
  return {};
}

Result<void> ConnectionCore::post_receive(std::uint64_t id, const LocalMemory& local) {
  if (death_) return make_error(Errc::kDead, "use", "connection", death_->message());
  if (receives_.full()) {
    return make_error(std::errc::resource_unavailable_try_again, "receive", "",
                      fmt::format("{} are kept: poll completions first", options_.max_receives));
  }
  receives_.append(id, local);
  pump_receives();
  return {};
}

void ConnectionCore::judge_placed(Completion& completion, std::uint32_t region) {
  if (!is_write(completion.operation) && completion.operation != Operation::kPlace) return;
  std::optional<Generation>& unplaced = regions_.at(region).unplaced;
  if (completion.operation == Operation::kPlace) {
    const bool lost = unplaced && *unplaced != completion.generation;
    if (completion.status == CompletionStatus::kSuccess && lost) {
      completion.status = CompletionStatus::kNewGeneration;
    }
    const bool told = completion.status == CompletionStatus::kSuccess ||
                      completion.status == CompletionStatus::kNewGeneration;
    if (told) unplaced.reset();
  } else if (completion.status == CompletionStatus::kSuccess) {
    unplaced = std::min(unplaced.value_or(completion.generation), completion.generation);
  }
}

std::size_t ConnectionCore::poll(std::span<Completion> completions) {
  if (!death_) {
    if (auto collected = collect(); !collected) failure_ = collected.error();
  }
  std::size_t count = 0;
  while (count < completions.size()) {
    const ReplayLog::Entry* front = sends_.front();
    if (front == nullptr) break;
    const std::uint32_t region = front->region;
    completions[count] = *sends_.take();
    judge_placed(completions[count++], region);
  }
  while (count < completions.size()) {
    const auto received = receives_.take();
    if (!received) break;
    completions[count++] = *received;
  }
  return count;
}

void ConnectionCore::queue_state() {
  if (std::exchange(state_queued_, true)) return;
  events_.push_back({ConnectionEvent::Kind::kState, 0});
}

ConnectionEvent ConnectionCore::event_of(const QueuedEvent& queued) {
  ConnectionEvent event{.kind = queued.kind, .state = state(), .epoch = handshake_.epoch()};
  switch (queued.kind) {
    case ConnectionEvent::Kind::kState:
      state_queued_ = false;
      break;
    case ConnectionEvent::Kind::kRegion: {
      RemoteRegion& region = regions_.at(static_cast<std::uint32_t>(queued.index));
      region_queued_[queued.index] = false;
      event.region = region.descriptor;
      event.previous_generation = std::exchange(region.told, region.descriptor.generation);
      break;
    }
    case ConnectionEvent::Kind::kPeerFailed:
      published_[queued.index].failed_at_peer = false;
      event.region.id = published_[queued.index].publication->id();
      break;
  }
  return event;
}

std::optional<ConnectionEvent> ConnectionCore::next_event() {
  if (events_.empty()) return std::nullopt;
  const QueuedEvent queued = events_.front();
  events_.pop_front();
  return event_of(queued);
}

Result<void> ConnectionCore::publish(std::shared_ptr<Publication> publication) {
  const RegionId id = publication->id();
  if (std::any_of(published_.begin(), published_.end(),
                  [id](const Published& one) { return one.publication->id() == id; })) {
    return make_error(std::errc::file_exists, "publish", fmt::format("region {:#x}", id.value()),
                      "the peer was told of one with this id");
  }
  const auto peer = publication->add_peer();
  published_.push_back({.publication = std::move(publication), .peer = peer, .sent = {}});
  if (death_) return *death_;
  return tell_peer();
}

std::optional<RegionDescriptor> ConnectionCore::remote_region(RegionId id) const {
  const auto index = regions_.find(id);
  if (!index) return std::nullopt;
  return regions_.at(*index).descriptor;
}

}  // namespace peermr::detail
