// SPDX-License-Identifier: BSD-2-Clause
#include "vend/vendor_core.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/deadline.hpp"

namespace peermr::vend {
namespace {

using namespace std::chrono_literals;

// In epoll_event; ids of borrowers come after them.
constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kTimer = 1;
constexpr std::uint64_t kWakeup = 2;
constexpr std::uint64_t kReclaimed = 3;
constexpr int kEventsATurn = 64;
constexpr auto kAcceptPause = 100ms;

std::span<const std::byte> bytes_of(const std::string& packet) {
  return std::as_bytes(std::span(packet.data(), packet.size()));
}

void drain(const UniqueFd& counter) {
  std::uint64_t count = 0;
  static_cast<void>(::read(counter.get(), &count, sizeof(count)));
}

}  // namespace

Result<std::shared_ptr<Vendor::Core>> Vendor::Core::create(std::unique_ptr<SliceMemory> memory,
                                                           VendorOptions options) {
  auto listener = PacketListener::create(
      {.path = options.socket, .mode = options.socket_mode, .group = options.socket_group});
  if (!listener) return std::move(listener).error();
  auto core = std::make_shared<Core>(std::move(memory), std::move(options), *std::move(listener));
  if (auto ready = core->set_up(); !ready) return std::move(ready).error();
  return core;
}

Vendor::Core::Core(std::unique_ptr<SliceMemory> memory, VendorOptions options,
                   PacketListener listener)
    : memory_(std::move(memory)),
      options_(std::move(options)),
      listener_(std::move(listener)),
      book_(memory_->slices(),
            {.per_borrower = options_.max_per_borrower, .per_user = options_.max_per_user}),
      held_(memory_->slices()),
      last_id_(kReclaimed) {}

Result<void> Vendor::Core::set_up() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  wakeup_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !timer_ || !wakeup_) return errno_error(errno, "vend", memory_->name());
  auto reclaimer = Reclaimer::create(*memory_);
  if (!reclaimer) return std::move(reclaimer).error();
  reclaimer_ = *std::move(reclaimer);
  const auto generation = memory_->generation();
  if (!generation) return generation.error();
  generation_ = *generation;
  return watch(listener_->fd(), kListener)
      .and_then([this] { return watch(timer_.get(), kTimer); })
      .and_then([this] { return watch(wakeup_.get(), kWakeup); })
      .and_then([this] { return watch(reclaimer_->fd(), kReclaimed); });
}

Result<void> Vendor::Core::watch(int fd, std::uint64_t id) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return errno_error(errno, "vend", memory_->name(), "cannot wait for a descriptor");
}

void Vendor::Core::wake() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wakeup_.get(), &one, sizeof(one)));
}

Result<void> Vendor::Core::process(int limit_ms) {
  std::array<epoll_event, kEventsATurn> ready{};
  const int count = ::epoll_wait(epoll_.get(), ready.data(), kEventsATurn, limit_ms);
  if (count < 0 && errno != EINTR) return errno_error(errno, "vend", memory_->name());
  std::unique_lock lock(mutex_);
  const auto now = Clock::now();
  bool accepts = false;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t id = ready[static_cast<std::size_t>(i)].data.u64;
    if (id == kListener) accepts = true;
    if (id == kTimer) drain(timer_);
    if (id == kWakeup) drain(wakeup_);
    if (Client* const found = client(id)) serve(*found, now);
  }
  finish_reclaims(now);
  if (stopping_ && !std::exchange(stopped_, true)) {
    listener_.reset();
    end_all(LoanEnd::kVendorStops, now);
  }
  for (const std::uint32_t slice : book_.overdue(now)) end(slice, LoanEnd::kOverdue, now);
  sweep(now);
  if (now >= look_after_) look_at_device(now);
  serve_waiters(now);
  end_waits(now);
  if (accepts) accept_clients(now);
  say_who_waits(now);
  sweep(now);
  reinforce_at_ = reclaimer_->reinforce(now);
  set_timer(now);
  if (book_.count(SliceState::kLent) + book_.count(SliceState::kTaking) == 0) {
    settled_.notify_all();
  }
  deliver(lock);
  return {};
}

// Events are delivered without the lock: the listener may ask for the loans.
void Vendor::Core::deliver(std::unique_lock<std::mutex>& lock) {
  const auto events = std::exchange(events_, {});
  lock.unlock();
  if (!options_.on_event) return;
  for (const VendorEvent& event : events) options_.on_event(event);
}

void Vendor::Core::tell(VendorEvent event) {
  if (options_.on_event) events_.push_back(std::move(event));
}

Vendor::Core::Client* Vendor::Core::client(BorrowerId id) {
  const auto found = clients_.find(id);
  return found != clients_.end() && !found->second.dropped ? &found->second : nullptr;
}

void Vendor::Core::accept_clients(Clock::time_point now) {
  if (!listener_ || now < accept_after_) return;
  for (int i = 0; i < kPacketsATurn; ++i) {
    auto peer = listener_->accept();
    if (!peer) {
      // Out of descriptors, say: the socket stays readable, and must not be looked at all the time.
      accept_after_ = now + kAcceptPause;
      epoll_event none{};
      none.data.u64 = kListener;
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_->fd(), &none);
      return;
    }
    if (!*peer) return;
    welcome(**std::move(peer), now);
  }
}

void Vendor::Core::welcome(Peer peer, Clock::time_point now) {
  sweep(now);
  const BorrowerId id = ++last_id_;
  Client& client = clients_[id];
  client.id = id;
  client.fd = std::move(peer.fd);
  client.pid = peer.pid;
  client.uid = peer.uid;
  client.heard = now;
  if (clients_.size() > options_.max_borrowers && !make_room()) {
    refuse(client, 0, EBUSY, "there are as many borrowers as may be");
    drop(client, "there are as many borrowers as may be");
    return;
  }
  if (auto watched = watch(client.fd.get(), id); !watched) {
    drop(client, watched.error().message());
    return;
  }
  Notice greeting;
  greeting.kind = NoticeKind::kGreeting;
  greeting.generation = generation_;
  greeting.bytes = memory_->slice_bytes();
  greeting.lease_ms = static_cast<std::uint64_t>(options_.lease_time.count());
  greeting.slices = memory_->slices();
  greeting.flags =
      (options_.mappable ? kNoticeMappable : 0) | (options_.keep_content ? kNoticeKeepsContent : 0);
  greeting.text = memory_->name();
  send(client, greeting);
}

// Of those who have nothing and wait for nothing, the one who has been silent for longest, of the
// user who has most of them. The newcomer is not asked to go for itself.
bool Vendor::Core::make_room() {
  std::map<uid_t, std::vector<Client*>> idle;
  for (auto& [id, client] : clients_) {
    const bool waits = std::any_of(waiters_.begin(), waiters_.end(), [&](const Waiter& waiter) {
      return waiter.borrower == client.id;
    });
    if (client.dropped || id == last_id_ || waits || !book_.lent_to(id).empty()) continue;
    idle[client.uid].push_back(&client);
  }
  const auto most = std::max_element(idle.begin(), idle.end(), [](const auto& a, const auto& b) {
    return a.second.size() < b.second.size();
  });
  if (most == idle.end()) return false;
  const auto silent =
      std::min_element(most->second.begin(), most->second.end(),
                       [](const Client* a, const Client* b) { return a->heard < b->heard; });
  // It broke no rule: nothing is said of it.
  (*silent)->dropped = true;
  return true;
}

void Vendor::Core::serve(Client& client, Clock::time_point now) {
  for (int i = 0; i < kPacketsATurn && !client.dropped; ++i) {
    std::array<std::byte, kRequestBytes> room{};
    const Received got = receive_packet(client.fd.get(), room);
    if (got.error_number == EAGAIN) return;
    if (got.error_number != 0 || got.bytes == 0) {
      client.dropped = true;
      return;
    }
    client.heard = now;
    const auto request = decode_request(std::span(room).first(got.bytes));
    const char* const wrong = got.descriptors ? "descriptors came along that nobody asked for"
                              : got.overlong || !request ? "that is no request"
                                                         : nullptr;
    if (wrong != nullptr) {
      refuse(client, 0, EPROTO, wrong);
      drop(client, wrong);
      return;
    }
    handle(client, *request, now);
  }
}

// A borrower that leaves packets unread until there is no room for more is not going to read them.
void Vendor::Core::send(Client& client, const Notice& notice, int descriptor) {
  if (client.dropped) return;
  const std::string packet = encode(notice);
  const int error_number = send_packet(client.fd.get(), bytes_of(packet), descriptor);
  if (error_number == EAGAIN || error_number == ETOOMANYREFS) {
    drop(client, "it does not read what it is told");
  } else if (error_number != 0) {
    client.dropped = true;
  }
}

void Vendor::Core::refuse(Client& client, std::uint32_t number, int error_number,
                          std::string_view why) {
  Notice notice;
  notice.kind = NoticeKind::kRefused;
  notice.number = number;
  notice.code = static_cast<std::uint32_t>(error_number);
  notice.text = why;
  send(client, notice);
}

void Vendor::Core::drop(Client& client, std::string_view why) {
  if (std::exchange(client.dropped, true)) return;
  VendorEvent event;
  event.kind = VendorEvent::Kind::kRefused;
  event.status.pid = client.pid;
  event.status.uid = client.uid;
  event.error = make_error(std::errc::protocol_error, "serve", "a borrower", why);
  tell(std::move(event));
}

// Ends the loans of those who have gone. That may drop others, who are told and do not read.
void Vendor::Core::sweep(Clock::time_point now) {
  while (true) {
    const auto gone = std::find_if(clients_.begin(), clients_.end(),
                                   [](const auto& entry) { return entry.second.dropped; });
    if (gone == clients_.end()) return;
    const BorrowerId id = gone->first;
    std::erase_if(waiters_, [id](const Waiter& waiter) { return waiter.borrower == id; });
    for (const std::uint32_t slice : book_.lent_to(id)) end(slice, LoanEnd::kBorrowerGone, now);
    clients_.erase(gone);
  }
}

void Vendor::Core::set_timer(Clock::time_point now) {
  auto next = next_loan_event(now);
  const auto sooner = [&next](Clock::time_point at) { next = next ? std::min(*next, at) : at; };
  if (reinforce_at_) sooner(*reinforce_at_);
  if (accept_after_ > now) {
    sooner(accept_after_);
  } else if (std::exchange(accept_after_, {}) != Clock::time_point() && listener_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kListener;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_->fd(), &event);
  }
  itimerspec spec{};
  if (next) {
    const auto left = std::max<Clock::duration>(*next - now, 1us);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    spec.it_value.tv_sec = seconds.count();
    spec.it_value.tv_nsec = std::chrono::nanoseconds(left - seconds).count();
  }
  ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

std::vector<SliceStatus> Vendor::Core::loans() const {
  const std::lock_guard lock(mutex_);
  std::vector<SliceStatus> all;
  all.reserve(book_.slices().size());
  for (const auto& slice : book_.slices()) all.push_back(slice.status);
  return all;
}

Result<vfio::ResetReport> Vendor::Core::reset() {
  auto report = memory_->reset();
  {
    const std::lock_guard lock(mutex_);
    look_after_ = {};
  }
  wake();
  return report;
}

std::vector<SliceStatus> Vendor::Core::stop(std::optional<std::chrono::milliseconds> limit,
                                            bool drive) {
  const auto end = limit ? later(Clock::now(), *limit) : Clock::time_point::max();
  stopping_ = true;
  wake();
  const auto settled = [this] {
    return stopped_ && book_.count(SliceState::kLent) + book_.count(SliceState::kTaking) == 0;
  };
  std::unique_lock lock(mutex_);
  while (!settled() && Clock::now() < end) {
    if (!drive) {
      settled_.wait_until(lock, std::min(end, Clock::now() + 1s));
      continue;
    }
    lock.unlock();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::min<Clock::duration>(end - Clock::now(), 1s));
    static_cast<void>(process(static_cast<int>(std::max<std::int64_t>(left.count(), 0))));
    lock.lock();
  }
  std::vector<SliceStatus> held;
  for (const auto& slice : book_.slices()) {
    const auto state = slice.status.state;
    if (state == SliceState::kTaking || state == SliceState::kLent) held.push_back(slice.status);
  }
  return held;
}

}  // namespace peermr::vend
