// SPDX-License-Identifier: BSD-2-Clause
#include "soak/stream.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>

#include "harness/threads.hpp"

namespace soak {

using namespace peermr;
using namespace std::chrono_literals;
using revoke_test::Clock;
using revoke_test::kDeadline;

namespace {

constexpr std::uint64_t kDepth = 4;
constexpr unsigned kOneReadIn = 3;
constexpr unsigned kOneIntrusionIn = 4;  // new keys
constexpr std::size_t kOldKeys = 16;

Region make_region(const StreamPlan& plan, ibv_pd* pd) {
  return guest_test::must(Region::create(
      pd, *plan.buffer,
      {.length_bytes = kStreamBytes, .keys = plan.keys, .monitor = plan.monitor}));
}

}  // namespace

Stream::Stream(const StreamPlan& plan, Counts& counts)
    : plan_(plan),
      counts_(counts),
      random_(plan.seed),
      initiator_(plan.initiator),
      target_(plan.target),
      host_(initiator_, kDepth * kRecordBytes),
      region_(make_region(plan, target_.pd())),
      keys_(region_.keys().value()) {
  revoke_test::connect(initiator_, target_);
}

Record& Stream::local(std::uint64_t place) {
  return reinterpret_cast<Record*>(host_.data())[place];
}

bool Stream::is_busy(std::uint32_t slot) const {
  for (const auto& [place, operation] : in_flight_) {
    if (operation.slot == slot) return true;
  }
  return false;
}

std::string Stream::describe() const {
  return "stream " + std::to_string(plan_.number) + " on " + region_.name() + ": region " +
         std::string(to_string(region_.state())) + ", generation " +
         std::to_string(region_.generation().value()) + ", " + std::to_string(in_flight_.size()) +
         " in flight";
}

void Stream::run(const std::atomic<bool>& stop) {
  stop_ = &stop;
  while (!stop || !in_flight_.empty()) turn();
}

void Stream::turn() {
  if (broken_ && in_flight_.empty()) {
    revoke_test::connect(initiator_, target_);
    broken_ = false;
  }
  if (in_flight_.empty() && wants_to_intrude_) {
    wants_to_intrude_ = false;
    intrude(old_keys_[random_() % old_keys_.size()]);
    return;
  }
  bool live = false;
  if (!broken_ && !*stop_ && !wants_to_intrude_) {
    if (const Lease lease = region_.lease()) {
      live = true;
      note(*lease);
      post_some(*lease);
    }
  }
  if (!in_flight_.empty()) {
    complete();
  } else if (!live && !wants_to_intrude_ && !*stop_) {
    wait_for_keys();
  }
}

void Stream::note(const RegionKeys& keys) {
  if (keys.key_epoch == keys_.key_epoch) return;
  if (plan_.keys == KeyPolicy::kFresh) old_keys_.push_back(keys_);
  keys_ = keys;
  wants_to_intrude_ = !old_keys_.empty() && random_() % kOneIntrusionIn == 0;
}

void Stream::post_some(const RegionKeys& keys) {
  for (std::uint64_t place = 0; place < kDepth; ++place) {
    if (in_flight_.contains(place)) continue;
    const auto slot = static_cast<std::uint32_t>(random_() % kSlots);
    if (is_busy(slot)) continue;
    const auto expected = ledger_.expected(slot, keys.generation);
    Operation operation{.slot = slot, .generation = keys.generation};
    if (expected && random_() % kOneReadIn == 0) {
      operation.read = true;
      operation.sequence = *expected;
    } else {
      operation.sequence = ledger_.begin(slot);
      fill(local(place), plan_.number, slot, operation.sequence);
    }
    revoke_test::post(initiator_, {.opcode = operation.read ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE,
                                   .local = host_.address() + place * kRecordBytes,
                                   .lkey = host_.lkey(),
                                   .remote = keys.address.value() + slot * kRecordBytes,
                                   .rkey = keys.rkey.value(),
                                   .bytes = kRecordBytes,
                                   .id = place});
    in_flight_.emplace(place, operation);
    // Now and then all has to be finished, for the intruder.
    if (random_() % kOneReadIn == 0) return;
  }
}

void Stream::complete() {
  const auto wc = initiator_.poll();
  if (wc) {
    finish(*wc);
    return;
  }
  ++counts_.stuck;
  std::printf("stuck: no completion; %s\n", describe().c_str());
  in_flight_.clear();
  broken_ = true;
}

void Stream::finish(const ibv_wc& wc) {
  const auto found = in_flight_.extract(wc.wr_id);
  if (!found) return;
  const Operation& operation = found.mapped();
  if (wc.status == IBV_WC_SUCCESS) {
    succeeded(operation, wc.wr_id);
    return;
  }
  broken_ = true;
  if (wc.status == IBV_WC_WR_FLUSH_ERR) return;
  ++counts_.errors;
  if (region_.report_completion(wc.status, operation.generation) == CompletionVerdict::kUnrelated) {
    ++counts_.unexplained;
    std::printf("unexplained: %s; %s\n", ibv_wc_status_str(wc.status), describe().c_str());
  }
}

void Stream::succeeded(const Operation& operation, std::uint64_t place) {
  if (operation.read) {
    ++counts_.reads;
    verify(operation, local(place));
  } else {
    ++counts_.writes;
    ledger_.acknowledged(operation.slot, operation.sequence, operation.generation);
  }
}

void Stream::verify(const Operation& operation, const Record& found) {
  if (has_intruder(found)) {
    ++counts_.intruded;
    std::printf("intruded: slot %u; %s\n", operation.slot, describe().c_str());
  } else if (is(found, plan_.number, operation.slot, operation.sequence)) {
    ++counts_.verified;
  } else if (!is_told_of_loss_since(operation.generation)) {
    ++counts_.missing;
    std::printf("missing: write %llu of slot %u; %s\n",
                static_cast<unsigned long long>(operation.sequence), operation.slot,
                describe().c_str());
  }
}

// Whoever took the memory away has done so: what is under way may end, and nothing new begins, so
// that a later loss does not pass for this one.
bool Stream::is_told_of_loss_since(Generation generation) {
  const std::unique_lock quiet(*plan_.trouble);
  for (const auto end = Clock::now() + kDeadline; Clock::now() < end;) {
    if (region_.generation() != generation) return true;
    std::this_thread::sleep_for(100us);
  }
  return false;
}

void Stream::wait_for_keys() {
  const auto begin = Clock::now();
  while (!*stop_ && !region_.lease()) {
    std::this_thread::sleep_for(100us);
    // The monitor knows of some revokes only by the next sign of life.
    if (Clock::now() - begin > 500ms) static_cast<void>(region_.recover(100ms));
    if (Clock::now() - begin < kDeadline) continue;
    ++counts_.stuck;
    std::printf("stuck: no keys; %s\n", describe().c_str());
    guest_test::print_threads(::getpid(), "soak");
    return;
  }
}

// With nothing in flight, over the queue pair that the current key is good for.
void Stream::intrude(const RegionKeys& old) {
  fill(local(0), kIntruder, 0, 1);
  const auto slot = random_() % kSlots;
  const auto wc = revoke_test::execute(initiator_, {.opcode = IBV_WR_RDMA_WRITE,
                                                    .local = host_.address(),
                                                    .lkey = host_.lkey(),
                                                    .remote = old.address.value() + slot * kRecordBytes,
                                                    .rkey = old.rkey.value(),
                                                    .bytes = kRecordBytes,
                                                    .id = 0});
  ++counts_.intrusions;
  broken_ = true;
  if (!wc) {
    ++counts_.stuck;
    std::printf("stuck: an old key is neither refused nor let in; %s\n", describe().c_str());
  } else if (wc->status == IBV_WC_SUCCESS) {
    ++counts_.intruded;
    std::printf("intruded with the key of epoch %llu; %s\n",
                static_cast<unsigned long long>(old.key_epoch.value()), describe().c_str());
  }
  while (old_keys_.size() > kOldKeys) old_keys_.pop_front();
  guest_test::must(region_.release_keys_before(old_keys_.front().key_epoch));
}

}  // namespace soak
