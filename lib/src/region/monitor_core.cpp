// SPDX-License-Identifier: BSD-2-Clause
#include "region/monitor_core.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/may_wait.hpp"

namespace peermr::detail {
namespace {

// In epoll_event; ids of what is watched begin with 1.
constexpr std::uint64_t kTimer = 0;
constexpr std::uint64_t kWakeup = ~std::uint64_t{0};

Result<void> add_to(const UniqueFd& epoll, int fd, std::uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return errno_error(errno, "monitor");
  }
  return {};
}

void reset(const UniqueFd& counter) {
  std::uint64_t count = 0;
  static_cast<void>(::read(counter.get(), &count, sizeof(count)));
}

}  // namespace

class MonitorCore::Subscription final : public InvalidateSource {
 public:
  Subscription(std::shared_ptr<MonitorCore> monitor, std::shared_ptr<Watched> watched,
               std::shared_ptr<std::atomic<bool>> asked) noexcept
      : monitor_(std::move(monitor)), watched_(std::move(watched)), asked_(std::move(asked)) {}
  ~Subscription() override { stop(); }

  Result<WatchStatus> status() const override { return watched_->counter->status(); }
  void ask() noexcept override {
    asked_->store(true);
    monitor_->wake();
  }
  void stop() noexcept override {
    if (!watched_) return;
    monitor_->unsubscribe(*watched_, asked_.get());
    watched_.reset();
  }

 private:
  const std::shared_ptr<MonitorCore> monitor_;
  std::shared_ptr<Watched> watched_;  // null: stopped
  const std::shared_ptr<std::atomic<bool>> asked_;
};

Result<std::shared_ptr<MonitorCore>> MonitorCore::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  UniqueFd wakeup(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !timer || !wakeup) return errno_error(errno, "make monitor");
  if (auto added = add_to(epoll, timer.get(), kTimer); !added) return added.error();
  if (auto added = add_to(epoll, wakeup.get(), kWakeup); !added) return added.error();
  return std::make_shared<MonitorCore>(std::move(epoll), std::move(timer), std::move(wakeup));
}

MonitorCore::MonitorCore(UniqueFd epoll, UniqueFd timer, UniqueFd wakeup) noexcept
    : epoll_(std::move(epoll)), timer_(std::move(timer)), wakeup_(std::move(wakeup)) {}

Result<std::unique_ptr<InvalidateSource>> MonitorCore::subscribe(
    const Key& key, const MakeCounter& make, const std::weak_ptr<Watcher>& watcher) {
  std::unique_ptr<InvalidateCounter> counter;
  if (!find(key)) {
    auto made = make();
    if (!made) return made.error();
    counter = *std::move(made);
  }
  const User user{watcher, std::make_shared<std::atomic<bool>>(false)};
  auto watched = add_user(key, std::move(counter), user);
  if (!watched) return watched.error();
  // Its last user left meanwhile.
  if (!*watched) return subscribe(key, make, watcher);
  return std::unique_ptr<InvalidateSource>(
      std::make_unique<Subscription>(shared_from_this(), *std::move(watched), user.asked));
}

std::shared_ptr<MonitorCore::Watched> MonitorCore::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto found = ids_.find(key);
  return found == ids_.end() ? nullptr : watched_.at(found->second);
}

// The one that is watched already; else `counter`, or nothing if that is null.
Result<std::shared_ptr<MonitorCore::Watched>> MonitorCore::add_user(
    const Key& key, std::unique_ptr<InvalidateCounter> counter, User user) {
  const std::lock_guard lock(mutex_);
  if (const auto found = ids_.find(key); found != ids_.end()) {
    auto watched = watched_.at(found->second);
    watched->users.push_back(std::move(user));
    return watched;
  }
  if (!counter) return std::shared_ptr<Watched>();
  auto watched = std::make_shared<Watched>(Watched{++last_id_, key, std::move(counter), {}});
  if (const int fd = watched->counter->fd(); fd >= 0) {
    if (auto added = add_to(epoll_, fd, watched->id); !added) return added.error();
  }
  watched->users.push_back(std::move(user));
  watched_.emplace(watched->id, watched);
  ids_.emplace(key, watched->id);
  return watched;
}

void MonitorCore::unsubscribe(Watched& watched, const std::atomic<bool>* user) noexcept {
  const std::lock_guard lock(mutex_);
  const auto removed =
      std::erase_if(watched.users, [user](const User& one) { return one.asked.get() == user; });
  if (removed == 0 || !watched.users.empty()) return;
  // The last one: the buffer is not to be kept alive by a watch that nobody needs.
  if (const int fd = watched.counter->fd(); fd >= 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  }
  ids_.erase(watched.key);
  watched_.erase(watched.id);
}

void MonitorCore::call_at(Clock::time_point at, const std::weak_ptr<Watcher>& watcher) {
  const auto present = watcher.lock();
  if (!present) return;
  const std::lock_guard lock(mutex_);
  forget_appointment(present.get());
  appointments_.emplace(present.get(), Appointment{at, watcher});
  by_time_.emplace(at, present.get());
  set_timer();
}

void MonitorCore::forget_appointment(const Watcher* watcher) {
  const auto found = appointments_.find(watcher);
  if (found == appointments_.end()) return;
  by_time_.erase({found->second.at, watcher});
  appointments_.erase(found);
}

void MonitorCore::set_timer() {
  itimerspec when{};
  if (!by_time_.empty()) {
    using std::chrono::nanoseconds;
    const auto since_boot =
        std::chrono::duration_cast<nanoseconds>(by_time_.begin()->first.time_since_epoch());
    // 0 would disarm it.
    const auto ns = std::max<nanoseconds::rep>(since_boot.count(), 1);
    when.it_value.tv_sec = static_cast<time_t>(ns / std::nano::den);
    when.it_value.tv_nsec = static_cast<long>(ns % std::nano::den);
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void MonitorCore::wake() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wakeup_.get(), &one, sizeof(one)));
}

MonitorCore::News MonitorCore::news_of(std::uint64_t id) {
  News news;
  std::shared_ptr<Watched> watched;
  {
    const std::lock_guard lock(mutex_);
    const auto found = watched_.find(id);
    if (found == watched_.end()) return news;  // unsubscribed meanwhile
    watched = found->second;
    for (const User& user : watched->users) {
      if (auto present = user.watcher.lock()) news.watchers.push_back(std::move(present));
    }
  }
  // Before they look: what comes later is news again.
  news.total = watched->counter->drain();
  return news;
}

MonitorCore::Watchers MonitorCore::asking() {
  Watchers result;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, watched] : watched_) {
    for (const User& user : watched->users) {
      if (!user.asked->exchange(false)) continue;
      if (auto present = user.watcher.lock()) result.push_back(std::move(present));
    }
  }
  return result;
}

MonitorCore::Watchers MonitorCore::due() {
  Watchers result;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    const Watcher* watcher = by_time_.begin()->second;
    if (auto present = appointments_.at(watcher).watcher.lock()) {
      result.push_back(std::move(present));
    }
    forget_appointment(watcher);
  }
  set_timer();
  return result;
}

void MonitorCore::call(const Watchers& watchers) {
  for (const auto& watcher : watchers) {
    if (const auto again = watcher->look()) call_at(*again, watcher);
  }
}

Result<void> MonitorCore::process(int timeout_ms) {
  if (auto may = may_wait("process", "what a monitor has heard of"); !may) return may;
  const std::lock_guard one_at_a_time(processing_);
  std::array<epoll_event, 64> events;
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  if (count < 0 && errno != EINTR) return errno_error(errno, "monitor");
  // Who looks may have to wait, so all who are concerned have been told before anybody does.
  std::vector<News> all;
  bool asked = false;
  bool time_has_come = false;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
    if (id == kTimer) {
      time_has_come = true;
    } else if (id == kWakeup) {
      asked = true;
    } else {
      all.push_back(news_of(id));
      for (const auto& watcher : all.back().watchers) watcher->invalidated(all.back().total);
    }
  }
  for (const News& news : all) call(news.watchers);
  if (asked) {
    reset(wakeup_);
    call(asking());
  }
  if (time_has_come) {
    reset(timer_);
    call(due());
  }
  return {};
}

}  // namespace peermr::detail
