// SPDX-License-Identifier: BSD-2-Clause
#include "connection/receive_log.hpp"

#include <endian.h>

#include <algorithm>

namespace peermr::detail {

using State = ReceiveLog::Entry::State;

void ReceiveLog::append(std::uint64_t id, const LocalMemory& local) {
  Entry& entry = at(end_);
  entry = Entry{};
  entry.id = id;
  entry.local = local;
  entry.number = end_++;
}

ReceiveLog::Entry* ReceiveLog::next_to_post() noexcept {
  while (next_ != end_ && at(next_).state != State::kWaiting) ++next_;
  return next_ != end_ ? &at(next_) : nullptr;
}

void ReceiveLog::posted(Entry& entry) noexcept {
  entry.state = State::kPosted;
  ++in_flight_;
  next_ = entry.number + 1;
}

void ReceiveLog::finish(Entry& entry, CompletionStatus status, ibv_wc_status why) noexcept {
  entry.state = State::kFinished;
  entry.completion.id = entry.id;
  entry.completion.operation = Operation::kReceive;
  entry.completion.status = status;
  entry.completion.wc_status = why;
}

bool ReceiveLog::completed(std::uint64_t number, const ibv_wc& completion) noexcept {
  if (number - begin_ >= end_ - begin_ || at(number).state != State::kPosted) return false;
  Entry& entry = at(number);
  --in_flight_;
  if (completion.status == IBV_WC_SUCCESS) {
    ++received_;
    finish(entry, CompletionStatus::kSuccess, IBV_WC_SUCCESS);
    entry.completion.length_bytes = completion.byte_len;
    entry.completion.has_immediate = (completion.wc_flags & IBV_WC_WITH_IMM) != 0;
    if (entry.completion.has_immediate) entry.completion.immediate = be32toh(completion.imm_data);
  } else if (completion.status == IBV_WC_WR_FLUSH_ERR) {
    entry.state = State::kFlushed;
  } else {
    entry.state = State::kFailed;
    entry.completion.wc_status = completion.status;
  }
  return true;
}

void ReceiveLog::resolve(const std::function<bool(const Entry&)>& is_explained) {
  for (std::uint64_t number = begin_; number != end_; ++number) {
    Entry& entry = at(number);
    if (entry.state == State::kFailed && !is_explained(entry)) {
      finish(entry, CompletionStatus::kFailed, entry.completion.wc_status);
    } else if (entry.state != State::kFinished) {
      entry.state = State::kWaiting;
    }
  }
  in_flight_ = 0;
  next_ = begin_;
}

void ReceiveLog::abandon() noexcept {
  for (std::uint64_t number = begin_; number != end_; ++number) {
    Entry& entry = at(number);
    if (entry.state != State::kFinished) {
      finish(entry, CompletionStatus::kFlushed, IBV_WC_WR_FLUSH_ERR);
    }
  }
  in_flight_ = 0;
}

std::optional<Completion> ReceiveLog::take() noexcept {
  if (empty() || at(begin_).state != State::kFinished) return std::nullopt;
  next_ = std::max(next_, begin_ + 1);
  return at(begin_++).completion;
}

}  // namespace peermr::detail
