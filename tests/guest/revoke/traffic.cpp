// SPDX-License-Identifier: BSD-2-Clause
#include "revoke/traffic.hpp"

#include <algorithm>
#include <cstring>

namespace revoke_test {
namespace {

constexpr std::size_t kWords = Traffic::kSlotBytes / sizeof(std::uint64_t);

std::uint64_t word_of(std::uint64_t number, std::size_t index) {
  return number * 0x9e3779b97f4a7c15 + index;
}

void fill(std::uint8_t* slot, std::uint64_t number) {
  std::array<std::uint64_t, kWords> words;
  for (std::size_t i = 0; i < kWords; ++i) words[i] = word_of(number, i);
  std::memcpy(slot, words.data(), sizeof(words));
}

std::optional<std::size_t> first_difference(const std::uint8_t* slot, std::uint64_t number) {
  for (std::size_t i = 0; i < kWords; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, slot + i * sizeof(word), sizeof(word));
    if (word != word_of(number, i)) return i * sizeof(word);
  }
  return std::nullopt;
}

}  // namespace

Traffic::Traffic(End& end, Target target, const Traffic* before)
    : end_(end), target_(target), source_(end, kBytes) {
  if (before != nullptr) {
    next_ = before->next_;
    slots_ = before->slots_;
  }
  thread_ = std::thread([this] { run(); });
}

Traffic::~Traffic() {
  stop();
}

void Traffic::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void Traffic::wait_for_error() {
  const auto deadline = Clock::now() + kDeadline;
  while (!ended_ && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  stop();
}

std::chrono::milliseconds Traffic::longest_wait() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(longest_wait_);
}

bool Traffic::wait_for(std::uint64_t more) {
  const std::uint64_t wanted = done_ + more;
  const auto deadline = Clock::now() + kDeadline;
  while (done_ < wanted) {
    if (ended_ || Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void Traffic::run() {
  while (broken_.empty()) {
    const bool more = !stop_ && !first_error_;
    while (more && flights_.size() < kSlots) post_next();
    if (flights_.empty()) break;
    const auto wc = end_.poll();
    if (!wc) {
      broken_ = "write " + std::to_string(flights_.front().number) + " is stuck";
      break;
    }
    complete(*wc);
  }
  ended_ = true;
}

void Traffic::post_next() {
  const std::uint64_t number = next_++;
  const std::uint64_t offset = number % kSlots * kSlotBytes;
  fill(source_.data() + offset, number);
  slots_[number % kSlots].content = Content::kUnknown;
  flights_.push_back({number, Clock::now()});
  post(end_, {.opcode = IBV_WR_RDMA_WRITE,
              .local = source_.address() + offset,
              .lkey = source_.lkey(),
              .remote = target_.address + offset,
              .rkey = target_.rkey,
              .bytes = kSlotBytes,
              .id = number});
}

void Traffic::complete(const ibv_wc& wc) {
  const auto now = Clock::now();
  const Flight flight = flights_.front();
  if (wc.wr_id != flight.number) {
    broken_ = "write " + std::to_string(wc.wr_id) + " completed, expected " +
              std::to_string(flight.number);
    return;
  }
  flights_.pop_front();
  longest_wait_ = std::max(longest_wait_, now - std::max(flight.posted, last_completion_));
  last_completion_ = now;
  if (first_error_) {
    ++flushed_;
    if (wc.status != IBV_WC_WR_FLUSH_ERR) {
      broken_ = std::string("after an error: ") + ibv_wc_status_str(wc.status);
    }
  } else if (wc.status == IBV_WC_SUCCESS) {
    slots_[flight.number % kSlots] = {Content::kAcknowledged, flight.number};
    ++done_;
  } else {
    first_error_ = wc;
  }
}

std::string Traffic::verify(const std::uint8_t* target) const {
  for (std::size_t i = 0; i < kSlots; ++i) {
    const Slot& slot = slots_[i];
    if (slot.content != Content::kAcknowledged) continue;
    const auto at = first_difference(target + i * kSlotBytes, slot.number);
    if (at) {
      return "write " + std::to_string(slot.number) +
             " was acknowledged, but the memory differs at byte " + std::to_string(*at) +
             " of slot " + std::to_string(i);
    }
  }
  return {};
}

}  // namespace revoke_test
