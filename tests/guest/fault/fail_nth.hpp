// SPDX-License-Identifier: BSD-2-Clause
//
// Systematic fault injection, for guests of the debug kernel (lab/run kernel --debug): an operation
// is repeated with its first, second, third... allocation or user copy in the kernel failing, until
// it comes through without. Source: Linux, Documentation/fault-injection/fault-injection.rst.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>

namespace fault {

/// The fault setting of the calling thread. Work that the kernel does in other threads (work queues)
/// is not hit. Not thread-safe: for the thread that made it.
class Injector {
 public:
  Injector() : fd_(::open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC)) {}
  ~Injector() {
    if (available()) {
      set(0);
      ::close(fd_);
    }
  }
  Injector(const Injector&) = delete;
  Injector& operator=(const Injector&) = delete;

  /// Whether the kernel can inject faults. If not, the test is skipped.
  [[nodiscard]] bool available() const noexcept { return fd_ >= 0; }

  /// From now on, the `nth` (from 1) call of this thread that can fail does.
  void arm(unsigned nth) { set(nth); }

  /// No more faults. Returns whether the fault happened since arm(). errno is kept.
  [[nodiscard]] bool disarm() {
    const int saved = errno;
    char text[16] = {};
    // This read copies to user memory too: if it fails, it took the fault, so nothing before it did.
    const ssize_t got = ::pread(fd_, text, sizeof text - 1, 0);
    const bool injected = got > 0 && std::atoi(text) == 0;
    set(0);
    errno = saved;
    return injected;
  }

 private:
  void set(unsigned nth) {
    const std::string text = std::to_string(nth);
    // Armed, the write itself may be what fails, but only once.
    for (int tries = 0; tries < 2; ++tries) {
      if (::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())) {
        return;
      }
    }
    std::abort();
  }

  int fd_;
};

/// What a sweep saw.
struct Report {
  unsigned injected = 0;   ///< faults, one for each run but the last
  unsigned tolerated = 0;  ///< of those, runs that succeeded all the same (a fallback, a retry)
  bool finished = false;   ///< it came to a run without a fault, and that one succeeded
  std::map<int, unsigned> errors = {};  ///< errno values of the runs that failed, and how often

  /// "27 faults: 2 tolerated, 24 x Cannot allocate memory, 1 x Bad address"
  friend std::ostream& operator<<(std::ostream& out, const Report& report) {
    out << report.injected << " faults: " << report.tolerated << " tolerated";
    for (const auto& [error, count] : report.errors) {
      out << ", " << count << " x " << std::generic_category().message(error);
    }
    return report.finished ? out : out << " (did not come through)";
  }
};

/// Runs `operation()`, which returns 0 or a positive errno value, with fault after fault. `undo()`
/// runs after each success, without faults, and takes back what the operation did; what a failed
/// operation leaves behind is a finding (kmemleak's, or the next run's). At most `limit` runs.
template <typename Operation, typename Undo>
Report sweep(Injector& injector, Operation&& operation, Undo&& undo, unsigned limit = 2000) {
  Report report;
  for (unsigned nth = 1; nth <= limit; ++nth) {
    injector.arm(nth);
    const int error = operation();
    const bool injected = injector.disarm();
    if (error == 0) {
      undo();
    } else {
      ++report.errors[error];
    }
    if (!injected) {
      report.finished = error == 0;
      return report;
    }
    ++report.injected;
    report.tolerated += error == 0 ? 1U : 0U;
  }
  return report;
}

}  // namespace fault
