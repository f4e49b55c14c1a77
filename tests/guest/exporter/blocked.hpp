// SPDX-License-Identifier: BSD-2-Clause
//
// Calls that wait, in threads of their own, and signals for them.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <utility>

namespace exporter_test {

/// Whether `condition` comes true in time.
template <typename Condition>
bool eventually(Condition condition,
                std::chrono::milliseconds limit = std::chrono::milliseconds(20000)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// A call in another thread. It must have an end before this goes out of scope.
class Blocked {
 public:
  explicit Blocked(std::function<int()> call) {
    struct sigaction action {};
    action.sa_handler = [](int) {};  // and no SA_RESTART: calls end
    ::sigaction(SIGUSR1, &action, nullptr);
    std::packaged_task<int()> task(std::move(call));
    result_ = task.get_future();
    thread_ = std::thread(std::move(task));
  }
  ~Blocked() { thread_.join(); }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;

  bool done(std::chrono::milliseconds limit = std::chrono::milliseconds(0)) const {
    return result_.wait_for(limit) == std::future_status::ready;
  }
  /// One signal.
  void interrupt() { ::pthread_kill(thread_.native_handle(), SIGUSR1); }
  /// Waits for the end.
  int result() { return result_.get(); }

 private:
  std::future<int> result_;
  std::thread thread_;
};

}  // namespace exporter_test
