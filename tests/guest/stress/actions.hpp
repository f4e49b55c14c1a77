// SPDX-License-Identifier: BSD-2-Clause
//
// What the threads of the stress test do. Each action is small, may fail, and returns 0 or the
// kernel's error as -errno; what must hold afterwards is checked once all is over.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "exporter/device.hpp"
#include "stress/rdma.hpp"

namespace stress {

using Random = std::mt19937_64;
using exporter_test::Fd;
using exporter_test::Mapping;

struct Buffer {
  Fd fd;
  std::uint64_t bytes;
  bool can_mmap;
};

/// What all threads share. Buffers live on while one thread uses them and another one closes them.
class World {
 public:
  static constexpr std::size_t kSlots = 12;

  std::shared_ptr<Buffer> any(Random& random);
  /// In place of whatever is there.
  void put(Random& random, std::shared_ptr<Buffer> buffer);

  exporter_test::Device* device = nullptr;
  std::uint32_t bar = 0;

 private:
  std::mutex mutex_;  ///< protects slots_
  std::shared_ptr<Buffer> slots_[kSlots];
};

/// What a thread has of its own. It outlives the device's closing now and then.
class Worker {
 public:
  Worker(World& world, std::uint64_t seed);

  Random random;
  World& world;
  std::vector<Mapping> mappings;
  /// Mappings through the device's file keep it open: not beyond a round.
  std::vector<Mapping> bar_mappings;
  std::vector<Fd> watches;
  Rdma rdma;

  /// Lets go of about half of what it holds.
  void forget_some();
};

struct Action {
  const char* name;
  unsigned weight;
  /// May wait for others, and a signal ends the wait.
  bool interruptible;
  int (*run)(Worker& worker);
};

const std::vector<Action>& actions();

/// Memory decode on, D0: as the next one wants to find the device.
void put_in_order(const exporter_test::Device& device);

}  // namespace stress
