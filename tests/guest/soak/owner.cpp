// SPDX-License-Identifier: BSD-2-Clause
#include "soak/owner.hpp"

#include <array>
#include <cstdio>
#include <utility>

namespace soak {

using namespace peermr;
using namespace std::chrono_literals;
using guest_test::must;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kReceives = 64;

RcConnection connect(const Nic& nic, UniqueFd socket) {
  ConnectionOptions options;
  options.max_receives = kReceives;
  options.recovery.limit = 20s * guest_test::time_scale();
  return must(
      RcConnection::create(nic.pd.get(), must(StreamChannel::adopt(std::move(socket))), options));
}

Region make_region(const OwnerPlan& plan, const Nic& nic, const RcConnection& connection) {
  return must(Region::create(nic.pd.get(), *plan.buffer,
                             {.length_bytes = kStreamBytes,
                              .keys = plan.keys,
                              .on_event = connection.wake_on_change(),
                              .monitor = plan.monitor}));
}

}  // namespace

Owner::Owner(const OwnerPlan& plan, UniqueFd socket, Counts& counts)
    : plan_(plan),
      counts_(counts),
      nic_(plan.nic),
      inbox_(nic_, kReceives),
      connection_(connect(nic_, std::move(socket))),
      region_(make_region(plan, nic_, connection_)) {
  // That the peer is gone already is for turn() to say.
  static_cast<void>(connection_.publish(kRegion, region_));
  for (std::uint64_t place = 0; place < inbox_.size(); ++place) post_receive(place);
}

void Owner::post_receive(std::uint64_t place) {
  if (connection_.post_receive(place, inbox_.whole(place))) ++receives_;
}

Result<void> Owner::turn() {
  watch_over_region();
  const auto done = connection_.process();
  std::array<Completion, 16> batch;
  while (const std::size_t count = connection_.poll(batch)) {
    for (std::size_t i = 0; i < count; ++i) take(batch[i]);
  }
  while (const auto event = connection_.next_event()) {
    // Its peer was faster than the monitor.
    if (event->kind == ConnectionEvent::Kind::kPeerFailed) {
      region_.report_completion(IBV_WC_REM_ACCESS_ERR, region_.generation());
    }
  }
  return done;
}

// The monitor knows of some revokes only by the next sign of life.
void Owner::watch_over_region() {
  if (region_.state() == RegionState::kLive) {
    live_at_ = Clock::now();
  } else if (Clock::now() - live_at_ > 500ms) {
    static_cast<void>(region_.recover(100ms));
  }
}

void Owner::take(const Completion& received) {
  --receives_;
  if (received.status != CompletionStatus::kSuccess) {
    if (connection_.state() == ConnectionState::kDead) return;
    ++counts_.unexplained;
    std::printf("unexplained: a receive: %s; %s\n", to_string(received.status).data(),
                describe().c_str());
    return;
  }
  const Message& inbox = inbox_[received.id];
  const std::uint64_t number = arrivals_.number_of(inbox, received);
  if (!is(inbox, received, plan_.number, number)) {
    ++counts_.wrong;
    std::printf("wrong: a message of %u bytes that nobody sent; %s\n", received.length_bytes,
                describe().c_str());
  } else if (const std::int64_t ahead = arrivals_.take(number); ahead < 0) {
    ++counts_.twice;
    std::printf("twice: message %llu; %s\n", static_cast<unsigned long long>(number),
                describe().c_str());
  } else if (ahead > 0) {
    counts_.missing += static_cast<std::uint64_t>(ahead);
    std::printf("missing: %lld messages in front of %llu; %s\n", static_cast<long long>(ahead),
                static_cast<unsigned long long>(number), describe().c_str());
  }
  post_receive(received.id);
}

std::string Owner::end() {
  if (connection_.state() != ConnectionState::kDead) return "the connection is not dead";
  if (receives_ != 0) return std::to_string(receives_) + " receives were never completed";
  if (const auto closed = region_.close(); !closed) return closed.error().message();
  return {};
}

std::string Owner::describe() const {
  return "connection " + std::to_string(plan_.number) + " on " + region_.name() + ": region " +
         std::string(to_string(region_.state())) + ", generation " +
         std::to_string(region_.generation().value()) + ", owner's end " +
         std::string(to_string(connection_.state())) + ", message " +
         std::to_string(arrivals_.due()) + " is due";
}

}  // namespace soak
