// SPDX-License-Identifier: BSD-2-Clause
//
// Loans: what borrowers ask for, when loans end, and what becomes of slices then.

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "vend/vendor_core.hpp"

namespace peermr::vend {
namespace {

using namespace std::chrono_literals;

// Taking a slice back is a matter of milliseconds; after this somebody should know that it is not.
constexpr auto kSilence = 1s;
// A wait that would be longer ends then; so no sum of times overflows.
constexpr std::uint64_t kLongestWaitMs = 24u * 3600 * 1000;

// For the wire, which has errno values only.
int number_of(const Error& error) {
  const auto condition = error.code().default_error_condition();
  return condition.category() == std::generic_category() ? condition.value() : EIO;
}

VendorEvent event_of(VendorEvent::Kind kind, const SliceStatus& status) {
  VendorEvent event;
  event.kind = kind;
  event.status = status;
  return event;
}

}  // namespace

bool Vendor::Core::is_ready(std::uint32_t slice) const {
  return options_.keep_content || book_.slice(slice).zero_in == generation_;
}

std::chrono::milliseconds Vendor::Core::clip(std::uint64_t lease_ms) const {
  const auto longest = static_cast<std::uint64_t>(options_.lease_time.count());
  return std::chrono::milliseconds(lease_ms == 0 ? longest : std::min(lease_ms, longest));
}

void Vendor::Core::handle(Client& client, const Request& request, Clock::time_point now) {
  switch (request.kind) {
    case RequestKind::kBorrow:
      return borrow(client, request, now);
    case RequestKind::kRenew:
      return renew(client, request, now);
    case RequestKind::kGiveBack:
      return give_back(client, request, now);
  }
}

void Vendor::Core::borrow(Client& client, const Request& request, Clock::time_point now) {
  const auto no = [&](int error_number, std::string_view why) {
    refuse(client, request.number, error_number, why);
  };
  if (stopping_) return no(ESHUTDOWN, "the vendor stops");
  look_at_device(now);
  if (device_gone_) return no(ENODEV, "the device is gone");
  if (request.bytes > memory_->slice_bytes()) {
    return no(EINVAL, fmt::format("slices have {} bytes", memory_->slice_bytes()));
  }
  if (std::any_of(waiters_.begin(), waiters_.end(),
                  [&](const Waiter& waiter) { return waiter.borrower == client.id; })) {
    return no(EDQUOT, "a request of this borrower waits already");
  }
  if (const auto refusal = book_.refusal(client.id, client.uid)) return no(EDQUOT, *refusal);
  const auto lease_time = clip(request.lease_ms);
  const auto slice = book_.find_free(generation_);
  if (slice && is_ready(*slice)) {
    lend(client, request.number, *slice, lease_time, now);
    return;
  }
  if (!slice && request.wait_ms == 0) {
    const auto next = book_.next_expiry();
    const double left = next ? std::chrono::duration<double>(*next - now).count() : 0;
    return no(EBUSY, next ? fmt::format("none of {} slices is free; unless it is renewed, the next "
                                        "lease runs out in {:.1f} s",
                                        memory_->slices(), std::max(left, 0.0))
                          : fmt::format("none of {} slices is free", memory_->slices()));
  }
  waiters_.push_back(
      {.borrower = client.id,
       .number = request.number,
       .lease_time = lease_time,
       .deadline = now + std::chrono::milliseconds(std::min(request.wait_ms, kLongestWaitMs)),
       .slice = slice});
  if (!slice) return;
  book_.start_clearing(*slice);
  reclaimer_->clear(*slice);
}

void Vendor::Core::lend(Client& client, std::uint32_t number, std::uint32_t slice,
                        std::chrono::milliseconds lease_time, Clock::time_point now) {
  auto buffer = memory_->lend(slice);
  if (!buffer) {
    refuse(client, number, number_of(buffer.error()), buffer.error().message());
    return;
  }
  Notice notice;
  notice.kind = NoticeKind::kLent;
  notice.number = number;
  notice.loan = book_.lend(slice, client.id, client.pid, client.uid, now + lease_time);
  notice.generation = generation_;
  notice.bytes = memory_->slice_bytes();
  notice.lease_ms = static_cast<std::uint64_t>(lease_time.count());
  notice.slice = slice;
  held_[slice] = {};
  held_[slice].buffer = *std::move(buffer);
  VendorEvent event = event_of(VendorEvent::Kind::kLent, book_.slice(slice).status);
  event.generation = generation_;
  tell(std::move(event));
  send(client, notice, held_[slice].buffer->fd());
}

void Vendor::Core::renew(Client& client, const Request& request, Clock::time_point now) {
  const auto slice = book_.find(request.loan, client.id);
  // One that is overdue ends at the end of this turn: too late is too late.
  if (!slice || book_.slice(*slice).status.expires <= now) {
    return refuse(client, request.number, ENOENT, "there is no such loan, or it has ended");
  }
  const auto lease_time = clip(request.lease_ms);
  book_.renew(*slice, now + lease_time);
  Notice notice;
  notice.kind = NoticeKind::kRenewed;
  notice.number = request.number;
  notice.loan = request.loan;
  notice.generation = generation_;
  notice.lease_ms = static_cast<std::uint64_t>(lease_time.count());
  notice.slice = *slice;
  send(client, notice);
  tell(event_of(VendorEvent::Kind::kRenewed, book_.slice(*slice).status));
}

void Vendor::Core::give_back(Client& client, const Request& request, Clock::time_point now) {
  const auto slice = book_.find(request.loan, client.id);
  if (!slice) {
    return refuse(client, request.number, ENOENT, "there is no such loan, or it has ended");
  }
  held_[*slice].give_back_number = request.number;
  held_[*slice].give_back_to = client.id;
  end(*slice, LoanEnd::kGivenBack, now);
}

void Vendor::Core::end(std::uint32_t slice, LoanEnd why, Clock::time_point now) {
  const LoanBook::BorrowerId borrower = book_.slice(slice).borrower;
  book_.end(slice, why);
  Held& held = held_[slice];
  held.ended = now;
  reclaimer_->take_back(slice, *std::exchange(held.buffer, std::nullopt));
  const SliceStatus& status = book_.slice(slice).status;
  tell(event_of(VendorEvent::Kind::kEnded, status));
  Client* const told = why == LoanEnd::kGivenBack ? nullptr : client(borrower);
  if (told == nullptr) return;
  Notice notice;
  notice.kind = NoticeKind::kEnded;
  notice.loan = status.loan;
  notice.slice = slice;
  notice.generation = generation_;
  notice.code = static_cast<std::uint32_t>(why);
  send(*told, notice);
}

void Vendor::Core::end_all(LoanEnd why, Clock::time_point now) {
  for (const auto& slice : book_.slices()) {
    if (slice.status.state == SliceState::kLent) end(slice.status.slice, why, now);
  }
}

// The exporter sees every revoke, whoever made it; borrowers that have no monitor learn of it here.
void Vendor::Core::look_at_device(Clock::time_point now) {
  look_after_ = now + kLookEvery;
  if (device_gone_) return;
  const auto generation = memory_->generation();
  if (!generation) {
    if (generation.error().code() != Errc::kDead) return;
    device_gone_ = true;
    end_all(LoanEnd::kDeviceGone, now);
    tell(event_of(VendorEvent::Kind::kDeviceGone, {}));
    return;
  }
  if (std::exchange(generation_, *generation) == *generation) return;
  VendorEvent event = event_of(VendorEvent::Kind::kGeneration, {});
  event.generation = generation_;
  tell(std::move(event));
  std::set<BorrowerId> told;
  for (const auto& slice : book_.slices()) {
    if (slice.status.state == SliceState::kLent) told.insert(slice.borrower);
  }
  Notice notice;
  notice.kind = NoticeKind::kGeneration;
  notice.generation = generation_;
  for (const BorrowerId id : told) {
    if (Client* const borrower = client(id)) send(*borrower, notice);
  }
}

void Vendor::Core::serve_waiters(Clock::time_point now) {
  while (true) {
    const auto waiter = std::find_if(waiters_.begin(), waiters_.end(),
                                     [](const Waiter& entry) { return !entry.slice; });
    if (waiter == waiters_.end()) return;
    const auto slice = book_.find_free(generation_);
    if (!slice) return;
    Client* const borrower = client(waiter->borrower);
    const auto refusal =
        borrower != nullptr ? book_.refusal(borrower->id, borrower->uid) : std::nullopt;
    if (borrower != nullptr && !refusal && !is_ready(*slice)) {
      waiter->slice = slice;
      book_.start_clearing(*slice);
      reclaimer_->clear(*slice);
      continue;
    }
    const Waiter served = *waiter;
    waiters_.erase(waiter);
    if (borrower == nullptr) continue;
    if (refusal) {
      refuse(*borrower, served.number, EDQUOT, *refusal);
    } else {
      lend(*borrower, served.number, *slice, served.lease_time, now);
    }
  }
}

void Vendor::Core::end_waits(Clock::time_point now) {
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    const bool late = !waiter.slice && waiter.deadline <= now;
    if (!late && !stopped_ && !device_gone_) return false;
    if (Client* const borrower = client(waiter.borrower)) {
      if (stopped_) {
        refuse(*borrower, waiter.number, ESHUTDOWN, "the vendor stops");
      } else if (device_gone_) {
        refuse(*borrower, waiter.number, ENODEV, "the device is gone");
      } else {
        refuse(*borrower, waiter.number, ETIMEDOUT, "no slice became free");
      }
    }
    return true;
  });
}

void Vendor::Core::finish_reclaims(Clock::time_point now) {
  for (const Reclaimer::Done& done : reclaimer_->done()) {
    if (done.work == Reclaimer::Work::kTakeBack) {
      taken_back(done, now);
    } else {
      cleared(done, now);
    }
  }
}

void Vendor::Core::taken_back(const Reclaimer::Done& done, Clock::time_point now) {
  const std::uint32_t slice = done.slice;
  const Held held = std::exchange(held_[slice], {});
  VendorEvent event = event_of(VendorEvent::Kind::kTakenBack, book_.slice(slice).status);
  event.took = now - held.ended;
  Client* const giver = client(held.give_back_to);
  if (!done.result) {
    event.kind = VendorEvent::Kind::kLost;
    event.error = done.result.error();
    if (giver != nullptr) {
      refuse(*giver, held.give_back_number, number_of(done.result.error()),
             done.result.error().message());
    }
    book_.set_lost(slice);
    tell(std::move(event));
    return;
  }
  if (giver != nullptr) {
    Notice notice;
    notice.kind = NoticeKind::kGivenBack;
    notice.number = held.give_back_number;
    notice.loan = event.status.loan;
    notice.slice = slice;
    send(*giver, notice);
  }
  tell(std::move(event));
  if (options_.keep_content || stopping_ || device_gone_) {
    book_.set_free(slice, std::nullopt);
    tell(event_of(VendorEvent::Kind::kFree, book_.slice(slice).status));
    return;
  }
  book_.start_clearing(slice);
  reclaimer_->clear(slice);
}

void Vendor::Core::cleared(const Reclaimer::Done& done, Clock::time_point now) {
  const std::uint32_t slice = done.slice;
  const auto waiter = std::find_if(waiters_.begin(), waiters_.end(),
                                   [slice](const Waiter& entry) { return entry.slice == slice; });
  if (!done.result && done.result.error().code() != Errc::kRevoked) {
    book_.set_lost(slice);
    VendorEvent event = event_of(VendorEvent::Kind::kLost, book_.slice(slice).status);
    event.error = done.result.error();
    tell(std::move(event));
    // Another one may do.
    if (waiter != waiters_.end()) waiter->slice.reset();
    return;
  }
  // While memory is away nothing can be cleared: later, when somebody wants the slice.
  book_.set_free(slice, done.result ? std::optional(*done.result) : std::nullopt);
  if (done.result) {
    VendorEvent event = event_of(VendorEvent::Kind::kFree, book_.slice(slice).status);
    event.took = done.took;
    tell(std::move(event));
  }
  if (waiter == waiters_.end()) return;
  if (stopping_ || device_gone_) {
    waiter->slice.reset();  // and end_waits() says so
    return;
  }
  const Waiter served = *waiter;
  waiters_.erase(waiter);
  Client* const borrower = client(served.borrower);
  if (borrower == nullptr) return;
  look_at_device(now);
  if (!done.result) {
    refuse(*borrower, served.number, EAGAIN, done.result.error().message());
  } else if (const auto refusal = book_.refusal(borrower->id, borrower->uid)) {
    refuse(*borrower, served.number, EDQUOT, *refusal);
  } else if (is_ready(slice)) {
    lend(*borrower, served.number, slice, served.lease_time, now);
  } else {
    refuse(*borrower, served.number, EAGAIN, "the device's memory was revoked meanwhile");
  }
}

void Vendor::Core::say_who_waits(Clock::time_point now) {
  for (const auto& slice : book_.slices()) {
    Held& held = held_[slice.status.slice];
    if (slice.status.state != SliceState::kTaking || held.said_waiting) continue;
    if (now - held.ended < kSilence) continue;
    held.said_waiting = true;
    VendorEvent event = event_of(VendorEvent::Kind::kWaiting, slice.status);
    event.took = now - held.ended;
    tell(std::move(event));
  }
}

std::optional<Vendor::Core::Clock::time_point> Vendor::Core::next_loan_event(
    Clock::time_point now) const {
  auto next = book_.next_expiry();
  const auto sooner = [&next](Clock::time_point at) { next = next ? std::min(*next, at) : at; };
  if (next) sooner(std::max(look_after_, now));
  for (const Waiter& waiter : waiters_) {
    if (!waiter.slice) sooner(waiter.deadline);
  }
  for (const auto& slice : book_.slices()) {
    const Held& held = held_[slice.status.slice];
    if (slice.status.state == SliceState::kTaking && !held.said_waiting) {
      sooner(held.ended + kSilence);
    }
  }
  return next;
}

}  // namespace peermr::vend
