// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <chrono>

namespace revoke_test {

/// main() of the process that is to be killed: opens everything, writes without a pause, says
/// "ready" on its standard output, and goes on until it is killed. With `resets` it also resets
/// the device without a pause.
int run_victim(bool resets);

/// That process, started from this program's own file.
class Victim {
 public:
  explicit Victim(bool resets);
  /// Kills it if it still lives.
  ~Victim();
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;

  /// Waits until it says that traffic flows.
  bool wait_until_ready(std::chrono::milliseconds limit);

  /// SIGKILL. True when it was still alive, and is gone within `limit`.
  bool kill(std::chrono::milliseconds limit);

 private:
  bool wait_for_end(std::chrono::milliseconds limit, int& status);

  pid_t pid_ = -1;
  int output_ = -1;
};

}  // namespace revoke_test
