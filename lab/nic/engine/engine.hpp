// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "event_loop.hpp"
#include "nic.hpp"
#include "peermr/result.hpp"
#include "server.hpp"
#include "spin_policy.hpp"
#include "wire.hpp"

namespace peermr::nic {

struct EngineOptions {
  std::vector<std::string> sockets;  // one NIC for each, LIDs 1, 2, ... in order
  uint32_t spin = 20;  // idle looks at the doorbells that are always taken: SpinPolicy
  NicOptions nic;
};

/// Runs all NICs of the process and their sockets, on the caller's thread.
///
/// It polls the doorbells while there is work and for a short while after (SpinPolicy); then it
/// arms the kick pages and sleeps.
class Engine {
 public:
  /// `wire` must outlive the engine. Errors: those of EventLoop::create(), Nic::create() and
  /// Server::listen().
  static Result<std::unique_ptr<Engine>> create(const EngineOptions& options, Wire& wire);

  /// Runs until stop() is called from one of the loop's handlers.
  void run();
  void stop() noexcept { stopped_ = true; }

  /// One round of NICs and sockets, without sleeping. True if something happened. For run(), and
  /// for tests.
  bool run_once();

  EventLoop& loop() noexcept { return loop_; }
  Nic& nic(size_t index) noexcept { return *nics_[index]; }
  Server& server(size_t index) noexcept { return *servers_[index]; }

 private:
  Engine(EventLoop loop, uint32_t spin) : loop_(std::move(loop)), spin_(spin) {}

  bool poll_nics();
  void poll_sockets(std::chrono::nanoseconds timeout);
  void sleep();
  void drop_broken_clients();

  EventLoop loop_;
  SpinPolicy spin_;
  std::vector<std::unique_ptr<Nic>> nics_;
  std::vector<std::unique_ptr<Server>> servers_;  // destroyed before the NICs that they serve
  bool stopped_ = false;
  uint64_t moved_since_sockets_ = 0;
  uint32_t rounds_since_sockets_ = 0;
  unsigned poison_seen_ = 0;
};

}  // namespace peermr::nic
