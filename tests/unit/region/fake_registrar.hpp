// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "region/registrar.hpp"

namespace peermr::test {

/// A device that hands out keys 1, 2, 3, ... and fails as told. Its state outlives the region.
struct FakeDevice {
  std::mutex mutex;
  std::deque<Error> failures;  // of the next calls of add() and probe(); then they succeed
  bool memory_there = true;    // false: Errc::kRevoked for ever
  std::uint32_t last_key = 0;
  std::set<std::uint32_t> registered;
  int adds = 0;
  int probes = 0;
  bool fail_remove = false;
  bool ends_keys = true;
  std::chrono::nanoseconds call_takes{};  // each call, in_kernel() says
  std::function<void()> on_add;           // while it registers
};

class FakeRegistrar final : public detail::Registrar {
 public:
  FakeRegistrar(FakeDevice& device, verbs::ImporterClass importer) : device_(device) {
    description_.name = "fake0";
    description_.importer = importer;
  }

  Result<detail::Registration> add() override {
    const std::lock_guard lock(device_.mutex);
    ++device_.adds;
    in_kernel_ += device_.call_takes;
    if (device_.on_add) device_.on_add();
    if (auto ready = next(); !ready) return ready.error();
    const std::uint32_t key = ++device_.last_key;
    device_.registered.insert(key);
    return detail::Registration{nullptr, Lkey(key), Rkey(key)};
  }

  Result<void> remove(const detail::Registration& registration) override {
    const std::lock_guard lock(device_.mutex);
    if (device_.registered.erase(registration.rkey.value()) != 1) {
      return errno_error(EINVAL, "deregister", "fake", "it was not registered");
    }
    if (device_.fail_remove) return errno_error(EIO, "deregister", "fake");
    return {};
  }

  Result<void> probe() override {
    const std::lock_guard lock(device_.mutex);
    ++device_.probes;
    in_kernel_ += device_.call_takes;
    return next();
  }

  const verbs::RdmaDevice& importer() const noexcept override { return description_; }
  bool ends_keys() const noexcept override { return device_.ends_keys; }
  bool ends_keys_unrevoked() const noexcept override { return false; }
  std::chrono::nanoseconds in_kernel() const noexcept override { return in_kernel_; }

 private:
  Result<void> next() {
    if (!device_.memory_there) return make_error(Errc::kRevoked, "register", "fake");
    if (device_.failures.empty()) return {};
    Error error = device_.failures.front();
    device_.failures.pop_front();
    return error;
  }

  FakeDevice& device_;
  std::chrono::nanoseconds in_kernel_{};
  verbs::RdmaDevice description_;
};

inline Error not_now() {
  return make_error(Errc::kRevoked, "register", "fake");
}
inline Error invalid() {
  return errno_error(EINVAL, "register", "fake");
}

}  // namespace peermr::test
