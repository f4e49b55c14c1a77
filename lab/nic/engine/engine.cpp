// SPDX-License-Identifier: BSD-2-Clause
#include "engine.hpp"

#include <algorithm>
#include <atomic>

#include "base/log.hpp"
#include "sigbus_guard.hpp"

namespace peermr::nic {

namespace {

// A VMM waits for replies with its main lock held, so the sockets get their turn after so many
// rounds, and after so much data: some tens of microseconds.
constexpr uint32_t kRoundsPerSocketTurn = 32;
constexpr uint64_t kBytesPerSocketTurn = 512 * 1024;

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options, Wire& wire) {
  SigbusGuard::install();
  auto loop = EventLoop::create();
  if (!loop) return std::move(loop).error();
  std::unique_ptr<Engine> engine(new Engine(*std::move(loop), options.spin));
  uint16_t lid = 0;
  for (const std::string& path : options.sockets) {
    auto nic = Nic::create(++lid, wire, options.nic);
    if (!nic) return std::move(nic).error();
    engine->nics_.push_back(*std::move(nic));
    auto server = Server::listen(path, *engine->nics_.back(), engine->loop_);
    if (!server) return std::move(server).error();
    engine->servers_.push_back(*std::move(server));
  }
  return engine;
}

bool Engine::poll_nics() {
  bool progress = false;
  for (const auto& nic : nics_) progress = nic->poll(moved_since_sockets_) || progress;
  return progress;
}

void Engine::poll_sockets(std::chrono::nanoseconds timeout) {
  rounds_since_sockets_ = 0;
  moved_since_sockets_ = 0;
  loop_.wait(timeout);
}

bool Engine::run_once() {
  const bool progress = poll_nics();
  drop_broken_clients();
  if (++rounds_since_sockets_ >= kRoundsPerSocketTurn ||
      moved_since_sockets_ >= kBytesPerSocketTurn) {
    poll_sockets(std::chrono::nanoseconds(0));
  }
  return progress;
}

void Engine::run() {
  stopped_ = false;
  while (!stopped_) {
    if (run_once()) {
      spin_.active();
      continue;
    }
    if (stopped_) break;  // a handler has just said so: nobody would end the sleep
    const bool queues =
        std::any_of(nics_.begin(), nics_.end(), [](const auto& nic) { return nic->has_queues(); });
    if (queues && spin_.look_again()) {
      __builtin_ia32_pause();
      continue;
    }
    sleep();
    spin_.active();
  }
}

void Engine::sleep() {
  for (const auto& nic : nics_) nic->set_armed(true);
  // Pairs with the fence of who rings: either it sees `armed`, or the look below sees its doorbell.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!poll_nics()) {
    auto deadline = Clock::time_point::max();
    for (const auto& nic : nics_) deadline = std::min(deadline, nic->next_deadline());
    const auto timeout = deadline == Clock::time_point::max()
                             ? std::chrono::nanoseconds(-1)
                             : std::max<std::chrono::nanoseconds>(deadline - Clock::now(),
                                                                  std::chrono::nanoseconds(0));
    poll_sockets(timeout);
    for (const auto& nic : nics_) nic->count_wakeup();
  }
  for (const auto& nic : nics_) nic->set_armed(false);
}

void Engine::drop_broken_clients() {
  const unsigned poisoned = SigbusGuard::poison_count();
  if (poisoned == poison_seen_) [[likely]]
    return;
  poison_seen_ = poisoned;
  for (size_t i = 0; i < nics_.size(); ++i) {
    if (!nics_[i]->client_broke_memory()) continue;
    log(LogLevel::kWarning, "NIC {}: the client truncated memory in use, dropping it", i + 1);
    servers_[i]->drop_client();
  }
}

}  // namespace peermr::nic
