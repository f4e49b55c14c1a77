// SPDX-License-Identifier: BSD-2-Clause
//
// From completions with errors back to a connection that works.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "base/deadline.hpp"
#include "base/log.hpp"
#include "connection/connection_core.hpp"
#include "connection/work_number.hpp"

namespace peermr::detail {
namespace {

using namespace std::chrono_literals;

// When nothing but time can tell that something is over.
constexpr auto kTick = 2ms;

// Whether the same work may succeed another time.
bool worth_another_attempt(ibv_wc_status status) noexcept {
  switch (status) {
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_OP_ERR:
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RNR_RETRY_EXC_ERR:
    case IBV_WC_REM_ABORT_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
      return true;
    default:
      return false;
  }
}

std::uint32_t random_psn() {
  std::random_device source;
  return source() & 0xffffff;
}

// Its memory of this side was revoked since.
bool lost(const Region* region, Generation posted_in) {
  return region != nullptr &&
         (region->state() != RegionState::kLive || region->generation() != posted_in);
}

}  // namespace

Result<void> ConnectionCore::run() {
  holding_ = holding_ && now_ < hold_until_;
  stalled_ = false;
  if (auto told = tell_peer(); !told) return told;
  if (auto read = read_channel(); !read) return read;
  do {
    if (auto collected = collect(); !collected) return collected;
    auto armed = port_->arm();
    if (!armed) return armed.error();
    if (!*armed) break;
  } while (true);
  if (auto stepped = step(); !stepped) return stepped;
  pump_receives();
  pump();
  if (auto acknowledged = acknowledge_regions(); !acknowledged) return acknowledged;
  return channel_->flush();
}

/// When to come back without a descriptor that says so.
void ConnectionCore::plan() {
  wake_at_ = Clock::time_point::max();
  if (death_) return;
  if (busy_) wake_at_ = now_;
  if (stalled_ || handshake_.next() == Handshake::Step::kDrain)
    wake_at_ = std::min(wake_at_, now_ + kTick);
  if (holding_) wake_at_ = std::min(wake_at_, hold_until_);
  if (!handshake_.live() && handshake_.epoch() > 1) {
    wake_at_ = std::min(wake_at_, later(recovery_begun_ + 1ms, options_.recovery.limit));
  }
}

Result<void> ConnectionCore::collect() {
  std::array<ibv_wc, 16> batch;
  bool failed = false;
  while (true) {
    const int count = port_->poll(batch);
    if (count < 0) return errno_error(EIO, "poll", "completion queue");
    for (int i = 0; i < count; ++i) {
      completed(batch[static_cast<std::size_t>(i)]);
      failed = failed || batch[static_cast<std::size_t>(i)].status != IBV_WC_SUCCESS;
    }
    if (count < static_cast<int>(batch.size())) break;
  }
  if (failed && handshake_.failed()) begin_recovery();
  return {};
}

void ConnectionCore::completed(const ibv_wc& completion) {
  const std::uint64_t number = number_of(completion.wr_id);
  bool known = false;
  if (is_receive(completion.wr_id)) {
    known = receives_.completed(number, completion);
  } else if (ReplayLog::Entry* const entry = sends_.completed(number, completion.status)) {
    known = true;
    if (entry->state == ReplayLog::State::kHeld) placed_read(*entry);
  }
  if (!known) log(LogLevel::kWarning, "completion {:#x} is of nothing posted", completion.wr_id);
  progress_ = progress_ || completion.status == IBV_WC_SUCCESS;
}

/// The READ behind WRITEs has succeeded. Was it the memory that they went to?
void ConnectionCore::placed_read(ReplayLog::Entry& entry) {
  const RegionDescriptor& known = regions_.at(entry.region).descriptor;
  // A key that dies with its generation has answered that; otherwise the owner must.
  if (known.key_dies_with_generation) {
    sends_.finish(entry, CompletionStatus::kSuccess);
  } else if (auto asked = send(SyncMessage{entry.number}); !asked) {
    failure_ = asked.error();
  }
}

void ConnectionCore::begin_recovery() {
  // One that interrupts another shares its time.
  if (recovery_begun_ == Clock::time_point{}) recovery_begun_ = Clock::now();
  queue_state();
}

Result<void> ConnectionCore::step() {
  while (true) {
    Result<void> done;
    switch (handshake_.next()) {
      case Handshake::Step::kNothing:
        if (handshake_.live() || handshake_.epoch() == 1 ||
            now_ <= later(recovery_begun_, options_.recovery.limit)) {
          return {};
        }
        return make_error(std::errc::timed_out, "recover", "connection",
                          "the peer does not answer");
      case Handshake::Step::kDrain: {
        auto drained = drain();
        if (!drained) return drained.error();
        if (!*drained) return {};
        break;
      }
      case Handshake::Step::kSendStart:
        done = send_start();
        break;
      case Handshake::Step::kConnect:
        done = connect();
        break;
      case Handshake::Step::kResume:
        done = resume();
        break;
    }
    if (!done) return done;
  }
}

/// Whether all that was posted is completed.
Result<bool> ConnectionCore::drain() {
  if (std::exchange(open_, false)) {
    if (auto stopped = port_->stop(); !stopped) return stopped.error();
  }
  if (auto collected = collect(); !collected) return collected.error();
  if (sends_.in_flight() + receives_.in_flight() != 0) {
    if (now_ <= later(recovery_begun_, options_.recovery.limit)) return false;
    return make_error(std::errc::timed_out, "drain", "queue pair",
                      "the device does not complete what was posted");
  }
  receives_.resolve([](const ReceiveLog::Entry& entry) {
    return lost(entry.local.region, entry.local_generation);
  });
  handshake_.drained();
  return true;
}

Result<void> ConnectionCore::send_start() {
  auto address = port_->address();
  if (!address) return address.error();
  psn_ = random_psn();
  StartMessage message{.epoch = handshake_.epoch(),
                       .address = *address,
                       .psn = psn_,
                       .received = receives_.received()};
  if (const auto& culprit = sends_.culprit()) {
    message.reason = culprit->status;
    const ReplayLog::Entry* const entry = sends_.find(culprit->number);
    if (entry != nullptr && names_region(entry->work.operation)) {
      message.region = entry->work.region;
    }
  }
  handshake_.start_sent();
  return send(message);
}

Result<void> ConnectionCore::connect() {
  if (auto restarted = port_->restart(); !restarted) return restarted;
  open_ = true;
  pump_receives();
  const StartMessage& peer = *handshake_.peer();
  if (auto connected = port_->connect(psn_, peer.address, peer.psn); !connected) return connected;
  handshake_.connected();
  return send(ReadyMessage{handshake_.epoch()});
}

Result<void> ConnectionCore::resume() {
  const auto resolved =
      sends_.resolve({.peer_received = handshake_.peer()->received},
                     [this](ReplayLog::Entry& entry, const ReplayLog::Culprit* culprit) {
                       return judge(entry, culprit);
                     });
  if (!resolved) return resolved;
  handshake_.resumed();
  if (handshake_.epoch() > 1 && !progress_) {
    holding_ = true;
    hold_until_ = now_ + pause_;
    pause_ = std::min(pause_ * 2, options_.recovery.ceiling);
  } else {
    pause_ = options_.recovery.first;
  }
  progress_ = false;
  recovery_begun_ = {};
  queue_state();
  return {};
}

ReplayLog::Verdict ConnectionCore::judge_region(const ReplayLog::Entry& entry) {
  using Verdict = ReplayLog::Verdict;
  if (!names_region(entry.work.operation)) return Verdict::kReplay;
  const RegionDescriptor& known = regions_.at(entry.region).descriptor;
  if (known.state == DescriptorState::kDead) return Verdict::kRegionDead;
  const bool given_back = options_.on_new_generation == NewGenerationPolicy::kGiveBack &&
                          known.generation != entry.asked_in;
  return given_back ? Verdict::kNewGeneration : Verdict::kReplay;
}

bool ConnectionCore::explained(const ReplayLog::Entry& entry, ibv_wc_status status) {
  if (status == IBV_WC_LOC_PROT_ERR) return lost(entry.work.local.region, entry.local_generation);
  if (!names_region(entry.work.operation)) return false;
  const RegionDescriptor& known = regions_.at(entry.region).descriptor;
  return known.state != DescriptorState::kLive || known.generation != entry.generation ||
         known.key_epoch != entry.key_epoch;
}

ReplayLog::Verdict ConnectionCore::judge(ReplayLog::Entry& entry,
                                         const ReplayLog::Culprit* culprit) {
  const auto verdict = judge_region(entry);
  if (verdict != ReplayLog::Verdict::kReplay || culprit == nullptr ||
      explained(entry, culprit->status)) {
    return verdict;
  }
  if (!worth_another_attempt(culprit->status)) return ReplayLog::Verdict::kFail;
  return ++entry.failures < options_.max_failures ? verdict : ReplayLog::Verdict::kFail;
}

}  // namespace peermr::detail
