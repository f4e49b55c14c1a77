// SPDX-License-Identifier: BSD-2-Clause
#include "soak/writer.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace soak {

using namespace peermr;
using namespace std::chrono_literals;
using guest_test::must;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t kDepth = 24;
constexpr unsigned kOneMessageIn = 3;
constexpr unsigned kOnePlaceIn = 12;
constexpr unsigned kOneReadIn = 3;

RcConnection connect(const Nic& nic, UniqueFd socket, NewGenerationPolicy policy) {
  ConnectionOptions options;
  options.on_new_generation = policy;
  // What is lost in this lab is lost for good: it need not take half a second to see that.
  options.qp.timeout = 12;  // 17 ms
  options.qp.retry_count = 3;
  options.recovery.limit = 20s * guest_test::time_scale();
  return must(
      RcConnection::create(nic.pd.get(), must(StreamChannel::adopt(std::move(socket))), options));
}

// What post() may answer in the midst of trouble: try again.
bool is_temporary(const Error& error) {
  return error.code() == std::errc::resource_unavailable_try_again ||
         error.code() == std::errc::operation_canceled || error.code() == Errc::kStale ||
         error.code() == Errc::kDead;
}

}  // namespace

Writer::Writer(const WriterPlan& plan, UniqueFd socket, Counts& counts)
    : plan_(plan),
      counts_(counts),
      random_(plan.seed),
      nic_(plan.nic),
      local_(nic_, kDepth),
      connection_(connect(nic_, std::move(socket), plan.policy)),
      work_(kDepth) {}

Result<void> Writer::turn() {
  const auto done = connection_.process();
  std::array<Completion, 16> batch;
  while (const std::size_t count = connection_.poll(batch)) {
    for (std::size_t i = 0; i < count; ++i) finish(batch[i]);
  }
  read_events();
  if (done) post_some();
  return done;
}

void Writer::read_events() {
  while (const auto event = connection_.next_event()) {
    if (event->epoch > epoch_)
      counts_.reconnections += event->epoch - std::exchange(epoch_, event->epoch);
    if (event->kind != ConnectionEvent::Kind::kRegion) continue;
    std::erase_if(suspects_, [&event](const Suspect& one) {
      return one.generation < event->region.generation;
    });
  }
}

void Writer::post_some() {
  for (std::uint64_t place = 0; place < kDepth; ++place) {
    if (work_[place].busy) continue;
    if (!post_one(place)) return;
    // Now and then the queue runs empty.
    if (random_() % kDepth == 0) return;
  }
}

bool Writer::post_one(std::uint64_t place) {
  if (next_message_ < end_message_) return post_message(place);
  const auto region = connection_.remote_region(kRegion);
  if (settling_) {
    return !settled_ && outstanding_ == 0 && region &&
           post(place, {.operation = Operation::kPlace}, {});
  }
  if (random_() % kOneMessageIn == 0) return post_message(place);
  if (!region) return false;
  if (random_() % kOnePlaceIn == 0) return post(place, {.operation = Operation::kPlace}, {});
  return post_record(place, region->generation);
}

bool Writer::post_message(std::uint64_t place) {
  Work work{.operation = operation_of(next_message_), .number = next_message_};
  if (work.operation != Operation::kWriteWithImmediate) {
    fill(local_[place], plan_.number, work.number);
    if (!post(place, work, local_.whole(place))) return false;
  } else {
    const auto slot = static_cast<std::uint32_t>(random_() % kSlots);
    if (is_busy(slot) || !connection_.remote_region(kRegion)) return false;
    work.slot = slot;
    work.sequence = ledger_.begin(slot);
    fill(local_[place].body, plan_.number, slot, work.sequence);
    if (!post(place, work, local_.body(place))) return false;
  }
  end_message_ = std::max(end_message_, ++next_message_);
  return true;
}

bool Writer::post_record(std::uint64_t place, Generation generation) {
  const auto slot = static_cast<std::uint32_t>(random_() % kSlots);
  if (is_busy(slot)) return true;
  Work work{.slot = slot, .generation = generation};
  const auto expected = ledger_.expected(slot, generation);
  if (expected && random_() % kOneReadIn == 0) {
    work.operation = Operation::kRead;
    work.sequence = *expected;
    local_[place].body = {};
  } else {
    work.sequence = ledger_.begin(slot);
    fill(local_[place].body, plan_.number, slot, work.sequence);
  }
  return post(place, work, local_.body(place));
}

bool Writer::post(std::uint64_t place, const Work& work, const LocalMemory& local) {
  const auto posted =
      connection_.post({.operation = work.operation,
                        .id = place,
                        .region = names_region(work.operation) ? kRegion : RegionId{},
                        .offset_bytes = work.slot.value_or(0) * kRecordBytes,
                        .local = local,
                        .immediate = static_cast<std::uint32_t>(work.number)});
  if (posted) {
    if (outstanding_++ == 0) progress_ = Clock::now();
    work_[place] = work;
    work_[place].busy = true;
  } else if (!is_temporary(posted.error())) {
    ++counts_.unexplained;
    std::printf("unexplained: %s; %s\n", posted.error().message().c_str(), describe().c_str());
  }
  return posted.has_value();
}

bool Writer::is_busy(std::uint32_t slot) const {
  return std::any_of(work_.begin(), work_.end(),
                     [slot](const Work& one) { return one.busy && one.slot == slot; });
}

void Writer::finish(const Completion& done) {
  Work& work = work_[done.id];
  work.busy = false;
  --outstanding_;
  progress_ = Clock::now();
  if (done.status == CompletionStatus::kSuccess) return succeeded(work, done);
  if (done.status == CompletionStatus::kFailed || done.status == CompletionStatus::kRegionDead) {
    ++counts_.unexplained;
    std::printf("unexplained: %s: %s, %s; %s\n", to_string(done.operation).data(),
                to_string(done.status).data(), ibv_wc_status_str(done.wc_status),
                describe().c_str());
  }
  ++counts_.given_back;
  if (takes_receive(done.operation)) next_message_ = std::min(next_message_, work.number);
  if (done.operation == Operation::kPlace && done.status == CompletionStatus::kNewGeneration) {
    ledger_.not_placed();
  }
}

void Writer::succeeded(const Work& work, const Completion& done) {
  if (is_write(done.operation)) {
    ledger_.acknowledged(*work.slot, work.sequence, done.generation);
  }
  if (takes_receive(done.operation)) {
    ++counts_.messages;
    acknowledged_ = std::max(acknowledged_, work.number + 1);
  } else if (done.operation == Operation::kWrite) {
    ++counts_.writes;
  } else if (done.operation == Operation::kRead) {
    ++counts_.reads;
    verify(work, done);
  } else {
    ++counts_.places;
    ledger_.placed(done.generation);
    placed_ = done.generation;
    settled_ = settling_ && outstanding_ == 0 && next_message_ == end_message_;
  }
}

void Writer::verify(const Work& work, const Completion& done) {
  if (done.generation != work.generation) return;
  if (is(local_[done.id].body, plan_.number, *work.slot, work.sequence)) {
    ++counts_.verified;
  } else {
    suspect(work.generation, *work.slot, "read");
  }
}

void Writer::suspect(Generation generation, std::uint32_t slot, std::string_view where) {
  const auto region = connection_.remote_region(kRegion);
  if (region && region->generation > generation) return;
  suspects_.push_back({generation, slot, where});
}

void Writer::condemn() {
  for (const Suspect& one : suspects_) {
    ++counts_.missing;
    std::printf("missing: record in slot %u of generation %llu, %s; %s\n", one.slot,
                static_cast<unsigned long long>(one.generation.value()), one.where.data(),
                describe().c_str());
  }
  suspects_.clear();
}

bool Writer::is_stuck() const {
  return outstanding_ != 0 && Clock::now() - progress_ > 10s * guest_test::time_scale();
}

std::string Writer::end() {
  if (connection_.state() != ConnectionState::kDead) return "the connection is not dead";
  if (outstanding_ != 0) return std::to_string(outstanding_) + " works were never completed";
  const auto refused = connection_.post({.operation = Operation::kSend});
  if (refused || refused.error().code() != Errc::kDead) return "it takes work though it is dead";
  return {};
}

std::string Writer::describe() const {
  return "connection " + std::to_string(plan_.number) + ", writer's end " +
         std::string(to_string(connection_.state())) + ", " + std::to_string(outstanding_) +
         " outstanding, " + std::to_string(acknowledged_) + " messages acknowledged of " +
         std::to_string(end_message_);
}

}  // namespace soak
