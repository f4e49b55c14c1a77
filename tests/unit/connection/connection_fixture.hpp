// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "connection/connection_core.hpp"
#include "connection/fake_wire.hpp"
#include "region/fake_registrar.hpp"
#include "region/region_core.hpp"

namespace peermr::test {

using detail::ConnectionCore;

inline constexpr RegionId kRegion{7};
inline constexpr std::size_t kWords = 512;

/// A writer and an owner of a region, on a wire that fails as told.
class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    using namespace std::chrono_literals;
    options_.recovery = {.first = 1us, .ceiling = 50us, .limit = 2s};
    make_region(verbs::ImporterClass::kRevocable);
    wire_.key_state = [this](std::uint32_t key) {
      if (dead_keys_.contains(key)) return FakeWire::Key::kBad;
      if (!fake_.memory_there) return FakeWire::Key::kFault;
      return fake_.registered.contains(key) ? FakeWire::Key::kGood : FakeWire::Key::kBad;
    };
    wire_.on_executed = [this](const Executed& executed, FakePort& by) {
      executed_.push_back(executed);
      generation_at_.push_back(true_generation_);
      if (by.side() == 0 && on_executed_) on_executed_(executed);
    };
  }

  void make_region(verbs::ImporterClass importer) {
    importer_ = importer;
    detail::RegionConfig config;
    config.name = "memory";
    config.length_bytes = sizeof(memory_);
    config.address = Iova(reinterpret_cast<std::uintptr_t>(memory_.data()));
    config.keys =
        importer == verbs::ImporterClass::kRevocable ? KeyPolicy::kFresh : KeyPolicy::kStable;
    auto core = detail::RegionCore::create(std::make_unique<FakeRegistrar>(fake_, importer),
                                           memory_events_, config, nullptr, {});
    region_ = std::make_unique<Region>(std::move(core).value());
  }

  void make_connections() {
    auto pair = std::make_shared<FakeChannel::Pair>();
    channel_ = pair;
    writer_ = std::make_unique<ConnectionCore>(std::make_unique<FakePort>(wire_, 0),
                                               std::make_unique<FakeChannel>(pair, 0), options_);
    owner_ = std::make_unique<ConnectionCore>(std::make_unique<FakePort>(wire_, 1),
                                              std::make_unique<FakeChannel>(pair, 1), options_);
  }

  /// Live, the region known.
  void connect() {
    make_connections();
    ASSERT_TRUE(owner_->publish(Publication::create(kRegion, *region_)));
    turn(20);
    ASSERT_EQ(writer_->state(), ConnectionState::kLive);
    ASSERT_EQ(owner_->state(), ConnectionState::kLive);
    read_events();
  }

  void turn(int times = 1) {
    for (int i = 0; i < times; ++i) {
      for (auto* const side : {writer_.get(), owner_.get()}) {
        const auto done = side->process();
        if (!done && !death_expected_) {
          ADD_FAILURE() << done.error().message();
        }
      }
      for (FakePort* const port : wire_.ports) port->run();
      collect();
    }
  }
  /// Until `done`, or for far longer than anything takes.
  bool turn_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < end) turn();
    return done();
  }

  void collect() {
    std::array<Completion, 8> batch;
    while (const auto count = writer_->poll(batch)) {
      completions_.insert(completions_.end(), batch.begin(), batch.begin() + count);
    }
    while (const auto count = owner_->poll(batch)) {
      received_.insert(received_.end(), batch.begin(), batch.begin() + count);
    }
  }
  std::vector<ConnectionEvent> read_events() {
    std::vector<ConnectionEvent> events;
    while (const auto event = writer_->next_event()) events.push_back(*event);
    return events;
  }

  // What an exporter and Device::reset() do, in two halves.
  void revoke() {
    fake_.memory_there = false;
    if (importer_ == verbs::ImporterClass::kRevocable) dead_keys_ = fake_.registered;
    ASSERT_TRUE(memory_events_->quiesce_all());
    ++true_generation_;
  }
  void restore() {
    fake_.memory_there = true;
    memory_events_->restore_all();
  }

  WorkRequest write(std::uint64_t id, std::uint64_t value, std::uint64_t word = 0) {
    local_[id % kWords] = value;
    return {.operation = Operation::kWrite,
            .id = id,
            .region = kRegion,
            .offset_bytes = word * 8,
            .local = LocalMemory::of(Lkey(1), &local_[id % kWords], 8)};
  }
  WorkRequest send(std::uint64_t id, std::uint64_t value) {
    WorkRequest work = write(id, value);
    work.operation = Operation::kSend;
    return work;
  }
  WorkRequest add(std::uint64_t id, std::uint64_t value, std::uint64_t word) {
    WorkRequest work = write(id, 0, word);
    work.operation = Operation::kFetchAdd;
    work.operand = value;
    return work;
  }
  static WorkRequest place(std::uint64_t id) {
    return {.operation = Operation::kPlace, .id = id, .region = kRegion};
  }
  void post_receives(int count) {
    for (int i = 0; i < count; ++i) {
      const auto number = receives_posted_++;
      ASSERT_TRUE(
          owner_->post_receive(number, LocalMemory::of(Lkey(1), &inbox_[number % kWords], 8)));
    }
  }

  FakeDevice fake_;
  std::shared_ptr<detail::MemoryEvents> memory_events_ = std::make_shared<detail::MemoryEvents>();
  verbs::ImporterClass importer_{};
  FakeWire wire_;
  ConnectionOptions options_;
  std::array<std::uint64_t, kWords> memory_{};  // the owner's, behind the region
  std::array<std::uint64_t, kWords> local_{};   // the writer's
  std::array<std::uint64_t, kWords> inbox_{};   // the owner's
  std::uint64_t receives_posted_ = 0;
  std::unique_ptr<Region> region_;
  std::set<std::uint32_t> dead_keys_;
  std::uint64_t true_generation_ = 0;

  std::vector<Executed> executed_;
  std::vector<std::uint64_t> generation_at_;  // of each executed
  std::function<void(const Executed&)> on_executed_;
  std::vector<Completion> completions_;  // of the writer
  std::vector<Completion> received_;     // of the owner
  bool death_expected_ = false;

  std::shared_ptr<FakeChannel::Pair> channel_;
  std::unique_ptr<ConnectionCore> writer_;
  std::unique_ptr<ConnectionCore> owner_;
};

}  // namespace peermr::test
