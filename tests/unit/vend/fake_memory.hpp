// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "vend/slice_memory.hpp"
#include "vfio/dma_buf_state.hpp"

namespace peermr::vend::test {

/// What a FakeMemory does, and has done. Outlives the vendor. Checks by itself that a slice is
/// never lent twice, and never with what somebody else left in it.
class FakeDevice {
 public:
  explicit FakeDevice(std::uint32_t slices) : content_(slices, 0xff) {}

  static constexpr std::uint64_t kSliceBytes = 4096;

  /// Taking this slice back waits until let_go(), as for an importer that keeps its mapping.
  void hold(std::uint32_t slice) {
    const std::lock_guard lock(mutex_);
    held_.insert(slice);
  }
  void let_go(std::uint32_t slice) {
    const std::lock_guard lock(mutex_);
    held_.erase(slice);
    changed_.notify_all();
  }
  void hold_clearing(bool held) {
    const std::lock_guard lock(mutex_);
    clearing_held_ = held;
    changed_.notify_all();
  }
  void revoke_all() {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  void unplug() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
  }
  void fail_take_back(std::uint32_t slice) {
    const std::lock_guard lock(mutex_);
    broken_.insert(slice);
  }
  void set_clear_error(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    clear_error_ = std::move(error);
  }
  void set_lend_error(std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    lend_error_ = std::move(error);
  }
  void expect_dirty_loans() { expect_zero_ = false; }

  [[nodiscard]] std::size_t reachable() const {
    const std::lock_guard lock(mutex_);
    return lent_.size();
  }
  [[nodiscard]] std::size_t clears() const {
    const std::lock_guard lock(mutex_);
    return clears_;
  }
  [[nodiscard]] std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  friend class FakeMemory;

  mutable std::mutex mutex_;  // protects all
  std::condition_variable changed_;
  std::set<std::uint32_t> held_;
  std::set<std::uint32_t> broken_;
  bool clearing_held_ = false;
  bool gone_ = false;
  bool expect_zero_ = true;
  std::uint64_t generation_ = 1;
  std::optional<Error> clear_error_;
  std::optional<Error> lend_error_;
  std::map<const void*, std::uint32_t> lent_;  // buffers through which a slice can be reached
  std::vector<int> content_;
  std::size_t clears_ = 0;
  std::size_t waiting_ = 0;
};

class FakeMemory final : public SliceMemory {
 public:
  explicit FakeMemory(FakeDevice& device) : device_(device) {}

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] std::uint32_t slices() const override {
    return static_cast<std::uint32_t>(device_.content_.size());
  }
  [[nodiscard]] std::uint64_t slice_bytes() const override { return FakeDevice::kSliceBytes; }

  [[nodiscard]] Result<DmaBuf> lend(std::uint32_t slice) override {
    const std::lock_guard lock(device_.mutex_);
    if (device_.lend_error_) return *device_.lend_error_;
    for (const auto& [buffer, lent] : device_.lent_) {
      EXPECT_NE(lent, slice) << "lent while it can be reached through another buffer";
    }
    if (device_.expect_zero_) {
      EXPECT_EQ(device_.content_[slice], 0) << "slice " << slice << " has content";
    }
    device_.content_[slice] = 0xaa;
    auto state = std::make_shared<peermr::detail::DmaBufState>();
    state->fd.reset(::memfd_create("slice", MFD_CLOEXEC));
    state->size_bytes = FakeDevice::kSliceBytes;
    state->name = name_;
    device_.lent_[state.get()] = slice;
    return DmaBuf(std::move(state));
  }

  Result<void> take_back(const DmaBuf& buffer) override {
    std::unique_lock lock(device_.mutex_);
    const auto lent = device_.lent_.find(buffer.state().get());
    if (lent == device_.lent_.end()) return make_error(Errc::kDead, "take back", name_);
    const std::uint32_t slice = lent->second;
    ++device_.waiting_;
    device_.changed_.wait(lock, [&] { return !device_.held_.contains(slice); });
    --device_.waiting_;
    if (device_.broken_.contains(slice)) {
      return make_error(std::errc::io_error, "take back", name_, "it is still mapped");
    }
    device_.lent_.erase(buffer.state().get());
    return {};
  }

  Result<std::uint64_t> clear(std::uint32_t slice) override {
    std::unique_lock lock(device_.mutex_);
    device_.changed_.wait(lock, [&] { return !device_.clearing_held_; });
    if (device_.clear_error_) return *device_.clear_error_;
    for (const auto& [buffer, lent] : device_.lent_) {
      EXPECT_NE(lent, slice) << "cleared while somebody reaches it";
    }
    ++device_.clears_;
    device_.content_[slice] = 0;
    return device_.generation_;
  }

  [[nodiscard]] Result<std::uint64_t> generation() override {
    const std::lock_guard lock(device_.mutex_);
    if (device_.gone_) return make_error(Errc::kDead, "ask", name_);
    return device_.generation_;
  }

  Result<vfio::ResetReport> reset() override {
    const std::lock_guard lock(device_.mutex_);
    ++device_.generation_;
    for (int& content : device_.content_) content = 0xbb;
    return vfio::ResetReport{};
  }

 private:
  FakeDevice& device_;
  const std::string name_ = "0000:04:00.0 BAR 2";
};

}  // namespace peermr::vend::test
