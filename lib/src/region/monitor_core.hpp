// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "peermr/dma_buf.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"
#include "peermr/unique_fd.hpp"
#include "region/invalidate_source.hpp"

namespace peermr::detail {

/// Counts the invalidates of a dma-buf. The seam between the monitor and dmabuf_watch.
class InvalidateCounter {
 public:
  virtual ~InvalidateCounter() = default;
  /// Readable when there was an invalidate since drain(). -1: it never says.
  [[nodiscard]] virtual int fd() const noexcept = 0;
  /// How many there had been by then; 0: it cannot say.
  virtual std::uint64_t drain() = 0;
  [[nodiscard]] virtual Result<WatchStatus> status() const = 0;
};

/// The real one, or one that never counts where the module is missing.
[[nodiscard]] Result<std::unique_ptr<InvalidateCounter>> make_counter(const DmaBuf& buffer,
                                                                      const Bdf& importer,
                                                                      const SystemPaths& paths);

/// Waits for all counters at once, and for the times at which watchers want to be called again.
/// Thread-safe. Watchers are never called with the mutex held.
class MonitorCore : public std::enable_shared_from_this<MonitorCore> {
 public:
  using Clock = std::chrono::steady_clock;
  /// What is watched once for all: a buffer, by identity, in the name of an importer.
  using Key = std::pair<const void*, Bdf>;
  using MakeCounter = std::function<Result<std::unique_ptr<InvalidateCounter>>()>;

  [[nodiscard]] static Result<std::shared_ptr<MonitorCore>> create();
  MonitorCore(UniqueFd epoll, UniqueFd timer, UniqueFd wakeup) noexcept;

  /// Tells `watcher` of the news of `key`; `make` is called if nobody else watches that.
  [[nodiscard]] Result<std::unique_ptr<InvalidateSource>> subscribe(
      const Key& key, const MakeCounter& make, const std::weak_ptr<Watcher>& watcher);

  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }

  /// Waits for news for `timeout_ms` (-1: for ever, 0: not at all) and tells it.
  Result<void> process(int timeout_ms);
  /// Have process() return soon.
  void wake() noexcept;

 private:
  class Subscription;
  struct User {
    std::weak_ptr<Watcher> watcher;
    std::shared_ptr<std::atomic<bool>> asked;  // InvalidateSource::ask(); and the user's identity
  };
  struct Watched {
    std::uint64_t id = 0;
    Key key;
    std::unique_ptr<InvalidateCounter> counter;
    std::vector<User> users;
  };
  struct Appointment {
    Clock::time_point at;
    std::weak_ptr<Watcher> watcher;
  };
  using Watchers = std::vector<std::shared_ptr<Watcher>>;
  struct News {
    Watchers watchers;
    std::uint64_t total = 0;  // invalidates
  };

  std::shared_ptr<Watched> find(const Key& key);
  Result<std::shared_ptr<Watched>> add_user(const Key& key,
                                            std::unique_ptr<InvalidateCounter> counter, User user);
  void unsubscribe(Watched& watched, const std::atomic<bool>* user) noexcept;
  void call_at(Clock::time_point at, const std::weak_ptr<Watcher>& watcher);
  void forget_appointment(const Watcher* watcher);
  void set_timer();
  News news_of(std::uint64_t id);
  Watchers due();
  Watchers asking();
  void call(const Watchers& watchers);

  const UniqueFd epoll_;
  const UniqueFd timer_;
  const UniqueFd wakeup_;  // eventfd
  std::mutex processing_;  // one thread at a time calls watchers

  std::mutex mutex_;  // protects what follows
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Watched>> watched_;
  std::map<Key, std::uint64_t> ids_;
  std::map<const Watcher*, Appointment> appointments_;
  std::set<std::pair<Clock::time_point, const Watcher*>> by_time_;
};

}  // namespace peermr::detail
