// SPDX-License-Identifier: BSD-2-Clause
#include "spin_policy.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace peermr::nic {

namespace {

// Longer than a kick's way through a VMM, shorter than anybody notices.
constexpr std::chrono::microseconds kLongSpin{100};

// Reading /proc/loadavg takes microseconds.
constexpr std::chrono::milliseconds kSampleInterval{2};

unsigned usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<unsigned>(std::max(CPU_COUNT(&set), 1));
}

}  // namespace

SpinPolicy::SpinPolicy(uint32_t looks)
    : looks_(looks),
      loadavg_(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC)),
      cores_(usable_cores()) {}

bool SpinPolicy::look_again() noexcept {
  if (++idle_looks_ < looks_) return true;
  if (looks_ == 0) return false;
  // The clock is looked at now and then only: it takes as long as a look at the doorbells.
  if (idle_looks_ == looks_) {
    const auto now = Clock::now();
    if (!cores_to_spare(now)) return false;
    long_spin_ends_ = now + kLongSpin;
    return true;
  }
  return idle_looks_ % 16 != 0 || Clock::now() < long_spin_ends_;
}

bool SpinPolicy::cores_to_spare(Clock::time_point now) noexcept {
  if (now - sampled_at_ < kSampleInterval) return spare_;
  sampled_at_ = now;
  spare_ = false;
  // "0.20 0.18 0.12 1/80 11206": the fourth field begins with the number of runnable threads.
  char text[128];
  const ssize_t length = ::pread(loadavg_.get(), text, sizeof(text), 0);
  if (length <= 0) return false;
  const std::string_view line(text, static_cast<size_t>(length));
  const size_t slash = line.find('/');
  const size_t space = line.rfind(' ', slash);
  if (slash == std::string_view::npos || space == std::string_view::npos) return false;
  unsigned running = 0;
  const auto parsed = std::from_chars(text + space + 1, text + slash, running);
  spare_ = parsed.ec == std::errc{} && running <= cores_;
  return spare_;
}

}  // namespace peermr::nic
