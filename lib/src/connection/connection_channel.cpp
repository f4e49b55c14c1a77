// SPDX-License-Identifier: BSD-2-Clause
//
// What is said to the peer and what the peer says. The peer may be hostile: what breaks the
// protocol ends the connection, and nothing it says makes this side wait or grow without bound.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/log.hpp"
#include "connection/connection_core.hpp"

namespace peermr::detail {
namespace {

constexpr int kMessagesPerTurn = 64;

Error breach(const std::string& why) {
  return make_error(Errc::kMalformed, "talk to", "peer", why);
}

}  // namespace

Result<void> ConnectionCore::send(const Message& message) {
  return channel_->send(encode(message));
}

Result<void> ConnectionCore::read_channel() {
  busy_ = false;
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto bytes = channel_->receive();
    if (!bytes) return bytes.error();
    if (!*bytes) return {};
    const auto message = decode_message(**bytes);
    if (!message) return message.error();
    auto done = std::visit([this](const auto& one) { return on(one); }, *message);
    if (!done) return done;
  }
  busy_ = true;
  return {};
}

Result<void> ConnectionCore::tell_peer() {
  for (Published& one : published_) {
    const RegionDescriptor now = one.publication->descriptor();
    if (one.sent == now) continue;
    one.sent = now;
    if (auto sent = send(now); !sent) return sent;
  }
  return {};
}

Result<void> ConnectionCore::on(const StartMessage& message) {
  const std::uint32_t before = handshake_.epoch();
  if (auto taken = handshake_.on_start(message); !taken) return taken;
  if (handshake_.epoch() != before) begin_recovery();
  if (message.reason != IBV_WC_REM_ACCESS_ERR) return {};
  const auto found = std::find_if(published_.begin(), published_.end(), [&](const Published& one) {
    return one.publication->id() == message.region;
  });
  if (found != published_.end() && !found->failed_at_peer) {
    found->failed_at_peer = true;
    events_.push_back(
        {ConnectionEvent::Kind::kPeerFailed, static_cast<std::size_t>(found - published_.begin())});
  }
  return {};
}

Result<void> ConnectionCore::on(const ReadyMessage& message) {
  return handshake_.on_ready(message);
}

Result<void> ConnectionCore::on(const RegionDescriptor& message) {
  const auto index = regions_.apply(message);
  if (!index) return index.error();
  region_queued_.resize(regions_.size());
  if (!region_queued_[*index]) {
    region_queued_[*index] = true;
    events_.push_back({ConnectionEvent::Kind::kRegion, *index});
  }
  if (std::find(to_acknowledge_.begin(), to_acknowledge_.end(), *index) == to_acknowledge_.end()) {
    to_acknowledge_.push_back(*index);
  }
  sends_.give_back([this](const ReplayLog::Entry& entry) { return judge_region(entry); });
  return {};
}

Result<void> ConnectionCore::on(const AcknowledgeMessage& message) {
  const auto found = std::find_if(published_.begin(), published_.end(), [&](const Published& one) {
    return one.publication->id() == message.region;
  });
  if (found == published_.end() || !found->sent || message.key_epoch > found->sent->key_epoch) {
    return breach(
        fmt::format("it acknowledges key epoch {} of region {:#x}, of which it was not told",
                    message.key_epoch.value(), message.region.value()));
  }
  const auto released = found->publication->acknowledge(found->peer, message.key_epoch);
  if (!released) log(LogLevel::kWarning, "{}", released.error().message());
  return {};
}

Result<void> ConnectionCore::on(const SyncMessage& message) {
  if (auto told = tell_peer(); !told) return told;
  return send(SyncedMessage{message.token});
}

Result<void> ConnectionCore::on(const SyncedMessage& message) {
  ReplayLog::Entry* const entry = sends_.find(message.token);
  if (entry == nullptr || entry->state != ReplayLog::State::kHeld) {
    return breach("it answers a question that was not asked");
  }
  const RegionDescriptor& known = regions_.at(entry->region).descriptor;
  const bool same = known.state == DescriptorState::kLive && known.generation == entry->generation;
  sends_.finish(*entry, same ? CompletionStatus::kSuccess : CompletionStatus::kNewGeneration);
  return {};
}

bool ConnectionCore::may_acknowledge(std::uint32_t region) {
  const RegionDescriptor& known = regions_.at(region).descriptor;
  bool may = true;
  sends_.for_each_in_flight([&](const ReplayLog::Entry& entry) {
    if (entry.region != region || !names_region(entry.work.operation)) return;
    if (known.state != DescriptorState::kLive || entry.key_epoch < known.key_epoch) may = false;
  });
  return may;
}

Result<void> ConnectionCore::acknowledge_regions() {
  Result<void> first_error;
  std::erase_if(to_acknowledge_, [&](std::uint32_t index) {
    if (!first_error || !may_acknowledge(index)) return false;
    const RegionDescriptor& known = regions_.at(index).descriptor;
    first_error = send(AcknowledgeMessage{.region = known.id,
                                          .state = known.state,
                                          .generation = known.generation,
                                          .key_epoch = known.key_epoch});
    return true;
  });
  return first_error;
}

}  // namespace peermr::detail
