// SPDX-License-Identifier: BSD-2-Clause
#include "connection/stream.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "harness/lab.hpp"

namespace connection_test {

using namespace peermr;
using namespace std::chrono_literals;
using guest_test::must;

namespace {

constexpr std::size_t kWindow = 48;
constexpr std::uint64_t kMessageBit = 1ull << 40;  // of a work's id
constexpr std::uint64_t kPlaceId = 1ull << 41;

pnic_test::Mr register_with(ibv_pd* pd, std::vector<std::uint64_t>& words) {
  pnic_test::Mr mr(ibv_reg_mr(pd, words.data(), words.size() * 8, IBV_ACCESS_LOCAL_WRITE));
  if (!mr) guest_test::give_up("cannot register memory");
  return mr;
}

}  // namespace

Stream::Stream(ibv_pd* writer_pd, ibv_pd* owner_pd, const ConnectionOptions& options)
    : staging_mr_(register_with(writer_pd, staging_)),
      outbox_mr_(register_with(writer_pd, outbox_)),
      inbox_mr_(register_with(owner_pd, inbox_)) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    guest_test::give_up("no socket pair");
  }
  owner_.emplace(
      must(RcConnection::create(owner_pd, must(StreamChannel::adopt(UniqueFd(ends[0]))), options)));
  writer_.emplace(must(
      RcConnection::create(writer_pd, must(StreamChannel::adopt(UniqueFd(ends[1]))), options)));
}

void Stream::begin(Region& region) {
  must(owner_->publish(kRegion, region));
  post_receives();
  const auto end = std::chrono::steady_clock::now() + 20s * guest_test::time_scale();
  while (writer_->state() != ConnectionState::kLive || !writer_->remote_region(kRegion)) {
    must(owner_->process());
    must(writer_->process());
    if (std::chrono::steady_clock::now() > end) guest_test::give_up("no connection");
  }
  take_events();
}

void Stream::write_all_again() {
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    if (newest_[slot] != 0) to_write_.insert(slot);
  }
}

void Stream::post_receives() {
  for (; receives_ < account_.messages + 128; ++receives_) {
    must(owner_->post_receive(
        receives_, LocalMemory::of(Lkey(inbox_mr_->lkey), &inbox_[receives_ % inbox_.size()], 8)));
  }
}

bool Stream::post_write(std::uint64_t slot, std::uint64_t value) {
  std::uint64_t* const words = &staging_[slot * kSlotBytes / 8];
  std::fill(words, words + kSlotBytes / 8, value);
  if (!writer_->post({.operation = Operation::kWrite,
                      .id = slot,
                      .region = kRegion,
                      .offset_bytes = slot * kSlotBytes,
                      .local = LocalMemory::of(Lkey(staging_mr_->lkey), words, kSlotBytes)})) {
    return false;
  }
  newest_[slot] = value;
  busy_.insert(slot);
  ++outstanding_;
  return true;
}

/// What may be lost first; then, unless it settles, a new value for the next slot, and a message.
void Stream::post_work() {
  while (outstanding_ < kWindow) {
    const auto lost = std::find_if(to_write_.begin(), to_write_.end(),
                                   [this](std::uint64_t one) { return !busy_.contains(one); });
    if (lost != to_write_.end()) {
      if (!post_write(*lost, newest_[*lost])) return;
      continue;
    }
    if (settling_ || busy_.contains(next_slot_)) return;
    if (!post_write(next_slot_, next_value_)) return;
    next_slot_ = (next_slot_ + 1) % kSlots;
    ++next_value_;
    outbox_[next_message_ % outbox_.size()] = next_message_;
    if (!writer_->post({.operation = Operation::kSend,
                        .id = kMessageBit | next_message_,
                        .local = LocalMemory::of(Lkey(outbox_mr_->lkey),
                                                 &outbox_[next_message_ % outbox_.size()], 8)})) {
      return;
    }
    ++next_message_;
    ++outstanding_;
  }
}

void Stream::take(const Completion& completion) {
  --outstanding_;
  const bool good = completion.status == CompletionStatus::kSuccess;
  if (completion.operation == Operation::kPlace) {
    placed_ = good;
    if (!good) {
      ++account_.not_placed;
      write_all_again();
    }
  } else if ((completion.id & kMessageBit) != 0) {
    // What was not taken is sent again, from the first such on.
    if (!good) next_message_ = std::min(next_message_, completion.id & ~kMessageBit);
  } else {
    ++account_.writes;
    busy_.erase(completion.id);
    if (good && completion.generation == generation_) {
      to_write_.erase(completion.id);
    } else {
      to_write_.insert(completion.id);
    }
  }
  if (good) return;
  ++account_.given_back;
  if (completion.status == CompletionStatus::kFailed) {
    fail(std::string(to_string(completion.operation)) + ": " +
         ibv_wc_status_str(completion.wc_status));
  }
}

void Stream::take_message(const Completion& completion) {
  if (completion.status != CompletionStatus::kSuccess) return fail("a receive failed");
  const std::uint64_t number = inbox_[completion.id % inbox_.size()];
  if (number != account_.messages) {
    fail("message " + std::to_string(number) + " instead of " + std::to_string(account_.messages));
  }
  ++account_.messages;
}

void Stream::take_events() {
  while (const auto event = writer_->next_event()) {
    account_.epochs = std::max(account_.epochs, event->epoch);
    if (event->kind != ConnectionEvent::Kind::kRegion ||
        event->region.generation == event->previous_generation) {
      continue;
    }
    // All that was written may be gone.
    ++account_.generations;
    generation_ = event->region.generation;
    write_all_again();
    placed_ = false;
  }
  while (owner_->next_event()) {
  }
}

bool Stream::step() {
  pollfd waits[2] = {{writer_->fd(), POLLIN, 0}, {owner_->fd(), POLLIN, 0}};
  ::poll(waits, 2, 5);
  for (auto* const side : {&*owner_, &*writer_}) {
    if (const auto done = side->process(); !done) fail(done.error().message());
  }
  std::array<Completion, 16> batch;
  while (const std::size_t count = writer_->poll(batch)) {
    for (std::size_t i = 0; i < count; ++i) take(batch[i]);
  }
  while (const std::size_t count = owner_->poll(batch)) {
    for (std::size_t i = 0; i < count; ++i) take_message(batch[i]);
  }
  take_events();
  post_receives();
  post_work();
  return error_.empty();
}

bool Stream::settle(std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  settling_ = true;
  placed_ = false;
  while (!placed_) {
    if (outstanding_ == 0 && to_write_.empty() &&
        writer_->post({.operation = Operation::kPlace, .id = kPlaceId, .region = kRegion})) {
      ++outstanding_;
    }
    if (!step()) break;
    if (std::chrono::steady_clock::now() > end) fail("it does not settle");
  }
  settling_ = false;
  return error_.empty();
}

}  // namespace connection_test
