// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "region/fake_registrar.hpp"
#include "region/region_core.hpp"

namespace peermr::test {

using detail::MemoryEvents;
using detail::RegionConfig;
using detail::RegionCore;

/// Regions of a FakeDevice, and what happened to them.
class RegionTest : public testing::Test {
 protected:
  RegionTest() {
    config_.name = "memory";
    config_.length_bytes = 8192;
    config_.address = Iova(4096);
    using namespace std::chrono_literals;
    config_.back_off = {.first = 100us, .ceiling = 1ms, .limit = 200ms};
    config_.on_event = [this](const RegionEvent& event) { history_.push_back(event.state); };
  }

  Result<std::shared_ptr<RegionCore>> try_make(verbs::ImporterClass importer) {
    return RegionCore::create(std::make_unique<FakeRegistrar>(device_, importer), events_, config_,
                              nullptr, subscribe_);
  }
  std::shared_ptr<RegionCore> make(verbs::ImporterClass importer) { return try_make(importer).value(); }

  // What vfio::Device::reset() does.
  Result<MemoryEvents::Restored> reset() {
    if (auto quiet = events_->quiesce_all(); !quiet) return quiet.error();
    return events_->restore_all();
  }

  FakeDevice device_;
  std::shared_ptr<MemoryEvents> events_ = std::make_shared<MemoryEvents>();
  RegionConfig config_;
  detail::Subscribe subscribe_;  // null: no monitor
  std::vector<RegionState> history_;
};

}  // namespace peermr::test
