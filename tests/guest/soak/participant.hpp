// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <peermr/unique_fd.hpp>
#include <vector>

namespace soak {

/// This program once more, as one of the two processes that connections are between. It is killed
/// when its parent dies.
class Participant {
 public:
  /// `role` is what main() finds as its first argument, then come the seed and the descriptors of
  /// its ends of the sockets.
  Participant(const char* role, std::uint64_t seed, std::vector<peermr::UniqueFd> sockets);
  /// Kills it if it still lives.
  ~Participant();
  Participant(const Participant&) = delete;
  Participant& operator=(const Participant&) = delete;

  const char* role() const { return role_; }
  /// SIGKILL.
  void kill() const;
  /// Prints where the kernel has its threads: for one that hangs.
  void print_threads() const;
  /// What waitpid() says of it; nothing when it does not end in time.
  std::optional<int> wait(std::chrono::milliseconds limit);

 private:
  const char* role_;
  pid_t pid_ = -1;
};

}  // namespace soak
