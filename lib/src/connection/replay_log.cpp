// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/replay_log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace peermr {
namespace {

CompletionStatus status_of(ReplayLog::Verdict verdict) noexcept {
  switch (verdict) {
    case ReplayLog::Verdict::kNewGeneration:
      return CompletionStatus::kNewGeneration;
    case ReplayLog::Verdict::kRegionDead:
      return CompletionStatus::kRegionDead;
    default:
      return CompletionStatus::kFailed;
  }
}

// On the peer's memory. What SENDs do is counted, not guessed.
bool has_effect(Operation operation) noexcept {
  return is_write(operation) || is_atomic(operation);
}

// What was executed has to be repeated for what it brings.
bool fetches(Operation operation) noexcept {
  return operation == Operation::kRead || operation == Operation::kPlace;
}

}  // namespace

bool responder_refused(ibv_wc_status status) noexcept {
  switch (status) {
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return true;
    default:
      // A remote operation error may come after the operation.
      return false;
  }
}

ReplayLog::ReplayLog(std::size_t capacity) : entries_(std::max<std::size_t>(capacity, 1)) {}

ReplayLog::Entry& ReplayLog::append(const WorkRequest& work) {
  Entry& entry = at(end_);
  entry = Entry{};
  entry.work = work;
  entry.number = end_++;
  return entry;
}

ReplayLog::Entry* ReplayLog::next_to_post() noexcept {
  while (next_ != end_ && at(next_).state != State::kWaiting) ++next_;
  return next_ != end_ ? &at(next_) : nullptr;
}

void ReplayLog::posted(Entry& entry) noexcept {
  entry.state = State::kPosted;
  entry.in_flight = true;
  ++in_flight_;
  if (takes_receive(entry.work.operation)) entry.message = messages_sent_++;
  next_ = entry.number + 1;
}

ReplayLog::Entry* ReplayLog::find(std::uint64_t number) noexcept {
  return number - begin_ < end_ - begin_ ? &at(number) : nullptr;
}

void ReplayLog::end(Entry& entry, CompletionStatus status, ibv_wc_status why) noexcept {
  entry.state = State::kFinished;
  entry.status = status;
  entry.wc_status = why;
  if (status != CompletionStatus::kSuccess) ++failures_;
}

ReplayLog::Entry* ReplayLog::completed(std::uint64_t number, ibv_wc_status status) noexcept {
  Entry* const entry = find(number);
  if (entry == nullptr || !entry->in_flight) return nullptr;
  entry->in_flight = false;
  --in_flight_;
  if (status == IBV_WC_SUCCESS) {
    if (takes_receive(entry->work.operation)) messages_acknowledged_ = entry->message + 1;
    if (entry->work.operation == Operation::kPlace) {
      entry->state = State::kHeld;
    } else {
      end(*entry, CompletionStatus::kSuccess);
    }
  } else if (status != IBV_WC_WR_FLUSH_ERR && !culprit_) {
    culprit_ = Culprit{number, status};
  }
  return entry;
}

void ReplayLog::finish(Entry& entry, CompletionStatus status) noexcept {
  if (entry.state == State::kHeld) end(entry, status);
}

std::uint64_t ReplayLog::end_of_executed(std::uint64_t peer_received) const noexcept {
  for (std::uint64_t number = end_; number != begin_; --number) {
    const Entry& entry = at(number - 1);
    if (entry.state == State::kPosted && takes_receive(entry.work.operation) &&
        entry.message < peer_received) {
      return number;
    }
  }
  return begin_;
}

void ReplayLog::flush(Entry& entry) noexcept {
  end(entry,
      entry.may_be_executed ? CompletionStatus::kOutcomeUnknown : CompletionStatus::kFlushed);
}

Result<void> ReplayLog::resolve(const Evidence& evidence,
                                const std::function<Verdict(Entry&, const Culprit*)>& judge) {
  if (evidence.peer_received < messages_acknowledged_ || evidence.peer_received > messages_sent_) {
    return make_error(Errc::kMalformed, "recover", "connection",
                      fmt::format("the peer counts {} messages; {} were acknowledged and {} sent",
                                  evidence.peer_received, messages_acknowledged_, messages_sent_));
  }
  const std::uint64_t executed_end = end_of_executed(evidence.peer_received);
  const std::optional<Culprit> culprit = culprit_;
  const bool refused = culprit && responder_refused(culprit->status);
  bool stopped = false;
  for (std::uint64_t number = begin_; number != end_; ++number) {
    Entry& entry = at(number);
    if (entry.state == State::kHeld || entry.state == State::kFinished) continue;
    const Operation operation = entry.work.operation;
    const bool executed = number < executed_end;
    const bool never_executed = refused && number >= culprit->number;
    if (entry.state == State::kPosted && has_effect(operation) && !never_executed) {
      entry.may_be_executed = true;
    }
    entry.state = State::kWaiting;
    entry.in_flight = false;
    if (executed && !is_atomic(operation) && !fetches(operation)) {
      end(entry, CompletionStatus::kSuccess);
    } else if (is_atomic(operation) && entry.may_be_executed) {
      end(entry, CompletionStatus::kOutcomeUnknown);
      stopped = true;
    } else if (stopped) {
      flush(entry);
    } else {
      const bool guilty = culprit && culprit->number == number;
      const Verdict verdict = judge(entry, guilty ? &*culprit : nullptr);
      if (verdict == Verdict::kReplay) continue;
      end(entry, status_of(verdict), guilty ? culprit->status : IBV_WC_SUCCESS);
      stopped = true;
    }
  }
  in_flight_ = 0;
  messages_sent_ = messages_acknowledged_ = evidence.peer_received;
  culprit_.reset();
  next_ = begin_;
  return {};
}

void ReplayLog::give_back(const std::function<Verdict(const Entry&)>& judge, ibv_wc_status why) {
  bool stopped = false;
  for (std::uint64_t number = begin_; number != end_; ++number) {
    Entry& entry = at(number);
    if (entry.state != State::kWaiting) continue;
    if (stopped) {
      flush(entry);
    } else if (const Verdict verdict = judge(entry); verdict != Verdict::kReplay) {
      end(entry, status_of(verdict), verdict == Verdict::kFail ? why : IBV_WC_SUCCESS);
      stopped = true;
    }
  }
}

void ReplayLog::abandon() noexcept {
  for (std::uint64_t number = begin_; number != end_; ++number) {
    Entry& entry = at(number);
    if (entry.state == State::kFinished) continue;
    if (entry.state != State::kWaiting) entry.may_be_executed = true;
    entry.in_flight = false;
    flush(entry);
  }
  in_flight_ = 0;
  culprit_.reset();
}

const ReplayLog::Entry* ReplayLog::front() const noexcept {
  return !empty() && at(begin_).state == State::kFinished ? &at(begin_) : nullptr;
}

std::optional<Completion> ReplayLog::take() noexcept {
  if (front() == nullptr) return std::nullopt;
  const Entry& entry = at(begin_);
  if (entry.status != CompletionStatus::kSuccess) --failures_;
  if (next_ == begin_) ++next_;
  ++begin_;
  return Completion{.id = entry.work.id,
                    .operation = entry.work.operation,
                    .status = entry.status,
                    .wc_status = entry.wc_status,
                    .generation = entry.generation};
}

void ReplayLog::for_each_in_flight(const std::function<void(const Entry&)>& visit) const {
  for (std::uint64_t number = begin_; number != end_; ++number) {
    if (at(number).in_flight) visit(at(number));
  }
}

}  // namespace peermr
