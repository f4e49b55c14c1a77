// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <peermr/unique_fd.hpp>
#include <string>

namespace vend_test {

/// A client process (client.hpp), to be killed and stopped. Killed with its parent.
class Child {
 public:
  Child(const std::string& socket, std::uint64_t seed);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// Tells it that a loan was taken back. From any thread; a child that does not read misses it.
  void tell(std::uint64_t loan) const;
  /// SIGKILL, and waits.
  void kill();
  /// SIGTERM, and waits. False when it did not end well, or in time.
  bool end();

 private:
  bool reap(int* status, int limit_ms);

  pid_t pid_ = -1;
  peermr::UniqueFd to_;
};

}  // namespace vend_test
