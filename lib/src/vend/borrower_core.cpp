// SPDX-License-Identifier: BSD-2-Clause
#include "vend/borrower_core.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/deadline.hpp"
#include "vend/packet_socket.hpp"

namespace peermr::vend {
namespace {

constexpr std::string_view kRead = "read from";

// What a vendor may promise: a sum of a time and more than this could overflow.
constexpr std::chrono::milliseconds kLongestLease = std::chrono::hours(24 * 365);

Error gone(const std::string& path) {
  return errno_error(ECONNRESET, kRead, path, "the vendor has gone, or dropped this connection");
}

Error malformed(const std::string& path) {
  return make_error(Errc::kMalformed, kRead, path, "is it a peermr vend's?");
}

// Waits until there is something to read; false when the time is up.
bool wait_readable(int fd, Borrower::Core::Clock::time_point end) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - Borrower::Core::Clock::now());
    if (left.count() <= 0) return false;
    constexpr std::int64_t kLongestMs = 1 << 30;
    pollfd entry{fd, POLLIN, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min(left.count(), kLongestMs)));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
  }
}

std::chrono::milliseconds lease_of(const Notice& notice) {
  const auto longest = static_cast<std::uint64_t>(kLongestLease.count());
  return std::chrono::milliseconds(std::min(notice.lease_ms, longest));
}

struct Packet {
  std::optional<Notice> notice;
  UniqueFd descriptor;
};

// EAGAIN: nothing there.
Result<Packet> receive(int fd, const std::string& path) {
  std::array<std::byte, kMaxPacketBytes> room;
  Packet packet;
  const Received got = receive_packet(fd, room, &packet.descriptor);
  if (got.error_number == EAGAIN) return packet;
  if (got.error_number != 0 && got.error_number != ECONNRESET) {
    return errno_error(got.error_number, kRead, path);
  }
  if (got.error_number == ECONNRESET || got.bytes == 0) return gone(path);
  packet.notice = decode_notice(std::span(room).first(got.bytes));
  if (got.overlong || !packet.notice) return malformed(path);
  return packet;
}

}  // namespace

Result<std::shared_ptr<Borrower::Core>> Borrower::Core::connect(const std::string& path,
                                                                std::chrono::milliseconds limit) {
  auto fd = connect_packets(path, limit);
  if (!fd) return std::move(fd).error();
  if (!wait_readable(fd->get(), later(Clock::now(), limit))) {
    return make_error(std::errc::timed_out, "wait for", path, "it does not greet");
  }
  const auto packet = receive(fd->get(), path);
  if (!packet) return packet.error();
  const auto& greeting = packet->notice;
  if (greeting && greeting->kind == NoticeKind::kRefused) {
    return errno_error(static_cast<int>(greeting->code), "connect to", path, greeting->text);
  }
  if (!greeting || greeting->kind != NoticeKind::kGreeting) return malformed(path);
  if (greeting->version != kProtocolVersion) {
    return make_error(std::errc::not_supported, "talk to", path,
                      "the vendor speaks another version of the protocol");
  }
  return std::make_shared<Core>(*std::move(fd), path, *greeting);
}

Borrower::Core::Core(UniqueFd fd, std::string path, const Notice& greeting)
    : fd_(std::move(fd)), path_(std::move(path)) {
  vendor_.name = greeting.text;
  vendor_.slice_bytes = greeting.bytes;
  vendor_.slices = greeting.slices;
  vendor_.lease_time = lease_of(greeting);
  vendor_.mappable = (greeting.flags & kNoticeMappable) != 0;
  vendor_.keeps_content = (greeting.flags & kNoticeKeepsContent) != 0;
}

int Borrower::Core::send(const Request& request) const {
  const auto packet = encode(request);
  return send_packet(fd_.get(), packet);
}

// Nobody waits for the answer, which may be that the loan had ended; but it has a number, since a
// refusal without one ends the connection.
void Borrower::Core::send_back(std::uint64_t loan) {
  static_cast<void>(send({.kind = RequestKind::kGiveBack, .number = ++last_number_, .loan = loan}));
}

Error Borrower::Core::refusal(const Notice& notice, std::string_view operation) const {
  switch (notice.code) {
    case EAGAIN:
      return make_error(Errc::kRevoked, operation, vendor_.name, notice.text);
    case ENODEV:
    case ENOENT:
      return make_error(Errc::kDead, operation, vendor_.name, notice.text);
    default:
      break;
  }
  constexpr std::uint32_t kLargestErrno = 4095;
  const bool plausible = notice.code > 0 && notice.code <= kLargestErrno;
  return errno_error(plausible ? static_cast<int>(notice.code) : EPROTO, operation, vendor_.name,
                     notice.text);
}

Result<Borrower::Core::Answer> Borrower::Core::ask(Request request, std::string_view operation,
                                                   std::chrono::milliseconds limit) {
  const auto end = later(Clock::now(), limit);
  std::unique_lock lock(mutex_);
  if (lost_) return *lost_;
  request.number = ++last_number_;
  pending_[request.number].asked = Clock::now();
  if (const int error_number = send(request); error_number != 0) {
    pending_.erase(request.number);
    return errno_error(error_number == EPIPE ? ECONNRESET : error_number, "write to", path_,
                       error_number == EAGAIN ? "the vendor does not read" : "");
  }
  while (true) {
    Pending& pending = pending_[request.number];
    if (pending.answer) {
      Answer answer = *std::move(pending.answer);
      pending_.erase(request.number);
      if (answer.notice.kind == NoticeKind::kRefused) return refusal(answer.notice, operation);
      return answer;
    }
    if (lost_ || Clock::now() >= end) {
      pending_.erase(request.number);
      if (lost_) return *lost_;
      return make_error(std::errc::timed_out, operation, vendor_.name, "the vendor is silent");
    }
    if (reading_) {
      read_.wait_until(lock, end);
      continue;
    }
    reading_ = true;
    lock.unlock();
    wait_readable(fd_.get(), end);
    lock.lock();
    reading_ = false;
    read_all();
    read_.notify_all();
  }
}

Result<void> Borrower::Core::process() {
  const std::lock_guard lock(mutex_);
  read_all();
  read_.notify_all();
  if (lost_) return *lost_;
  return {};
}

void Borrower::Core::read_all() {
  while (!lost_) {
    auto packet = receive(fd_.get(), path_);
    if (!packet) return lose(std::move(packet).error());
    if (!packet->notice) return;
    dispatch(*std::move(packet->notice), std::move(packet->descriptor));
  }
}

void Borrower::Core::lose(Error why) {
  lost_ = std::move(why);
  for (auto& [number, status] : loans_) {
    if (status.end == LoanEnd::kNone) status.end = LoanEnd::kVendorGone;
  }
}

void Borrower::Core::dispatch(Notice notice, UniqueFd descriptor) {
  switch (notice.kind) {
    case NoticeKind::kGreeting:
      return lose(malformed(path_));
    case NoticeKind::kRefused:
      if (notice.number == 0) return lose(refusal(notice, "talk to"));
      return answered(std::move(notice), {});
    case NoticeKind::kLent:
    case NoticeKind::kRenewed:
    case NoticeKind::kGivenBack:
      return answered(std::move(notice), std::move(descriptor));
    case NoticeKind::kEnded: {
      const auto loan = loans_.find(notice.loan);
      if (loan == loans_.end() || loan->second.end != LoanEnd::kNone) return;
      const bool known =
          notice.code > 0 && notice.code <= static_cast<std::uint32_t>(LoanEnd::kDeviceGone);
      loan->second.end = known ? static_cast<LoanEnd>(notice.code) : LoanEnd::kVendorStops;
      return;
    }
    case NoticeKind::kGeneration:
      for (auto& [number, status] : loans_) status.generation = notice.generation;
      return;
  }
}

void Borrower::Core::answered(Notice notice, UniqueFd descriptor) {
  const auto pending = pending_.find(notice.number);
  if (pending == pending_.end() || pending->second.answer) {
    // Somebody asked, and lost patience.
    if (notice.kind == NoticeKind::kLent) {
      send_back(notice.loan);
    }
    return;
  }
  // From when it was asked: the vendor counts from later on.
  const auto expires = pending->second.asked + lease_of(notice);
  if (notice.kind == NoticeKind::kLent) {
    loans_[notice.loan] = {
        .end = LoanEnd::kNone, .generation = notice.generation, .expires = expires};
  } else if (notice.kind == NoticeKind::kRenewed) {
    if (const auto loan = loans_.find(notice.loan); loan != loans_.end()) {
      loan->second.expires = expires;
      loan->second.generation = notice.generation;
    }
  }
  pending->second.answer = Answer{std::move(notice), std::move(descriptor)};
}

LoanStatus Borrower::Core::status(std::uint64_t loan) const {
  const std::lock_guard lock(mutex_);
  const auto found = loans_.find(loan);
  return found != loans_.end() ? found->second : LoanStatus{.end = LoanEnd::kGivenBack};
}

void Borrower::Core::set_end(std::uint64_t loan, LoanEnd why) {
  const std::lock_guard lock(mutex_);
  const auto found = loans_.find(loan);
  if (found != loans_.end() && found->second.end == LoanEnd::kNone) found->second.end = why;
}

void Borrower::Core::forget(std::uint64_t loan) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = loans_.find(loan);
  if (found == loans_.end()) return;
  if (found->second.end == LoanEnd::kNone && !lost_) {
    send_back(loan);
  }
  loans_.erase(found);
}

}  // namespace peermr::vend
