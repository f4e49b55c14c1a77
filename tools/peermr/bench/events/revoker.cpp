// SPDX-License-Identifier: BSD-2-Clause
#include "bench/events/revoker.hpp"

#include <chrono>
#include <random>
#include <utility>

namespace peermr::tool {

Revoker::Revoker(vfio::Device& device) : device_(device), thread_([this] { run(); }) {}

Revoker::~Revoker() {
  {
    const std::lock_guard lock(mutex_);
    order_ = Order::kEnd;
  }
  changed_.notify_all();
  thread_.join();
}

void Revoker::revoke() {
  {
    const std::lock_guard lock(mutex_);
    done_.reset();
    order_ = Order::kRevoke;
  }
  changed_.notify_all();
}

Result<void> Revoker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done_.has_value(); });
  return *std::exchange(done_, std::nullopt);
}

Result<void> Revoker::restore() {
  return device_.set_memory_enabled(true);
}

void Revoker::run() {
  std::minstd_rand random(std::random_device{}());
  std::uniform_int_distribution<int> pause_us(500, 1500);
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return order_ != Order::kNone; });
    if (std::exchange(order_, Order::kNone) == Order::kEnd) return;
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::microseconds(pause_us(random)));
    auto done = device_.set_memory_enabled(false);
    lock.lock();
    done_ = std::move(done);
    changed_.notify_all();
  }
}

}  // namespace peermr::tool
