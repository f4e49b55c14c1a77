// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace peermr::test {

/// A running pnicd with its sockets in a temporary folder. The destructor ends it; a test that
/// wants to know how it ended calls stop(). Failures to start throw.
class PnicdProcess {
 public:
  /// Starts the binary under test with `nics` NICs, further options, and a memory device for each
  /// of `memories` ("size=1M,volatile"), and waits until it listens.
  explicit PnicdProcess(size_t nics, const std::vector<std::string>& options = {},
                        const std::vector<std::string>& memories = {});
  ~PnicdProcess();
  PnicdProcess(const PnicdProcess&) = delete;
  PnicdProcess& operator=(const PnicdProcess&) = delete;

  const std::string& socket(size_t index) const { return sockets_.at(index); }
  const std::string& memory_socket(size_t index) const { return memory_sockets_.at(index); }
  const std::string& folder() const { return folder_; }
  pid_t pid() const { return pid_; }

  /// Whether it still runs.
  bool alive();

  /// SIGTERM, then its exit status as waitpid(2) reports it.
  int stop();

  /// How many file descriptors it holds right now, and how many mappings of the file behind `fd`.
  /// Other mappings come and go with its allocator.
  size_t open_files() const;
  size_t mappings_of(int fd) const;

 private:
  std::string folder_;
  std::vector<std::string> sockets_;
  std::vector<std::string> memory_sockets_;
  pid_t pid_ = -1;
};

/// Runs the binary under test to its end and returns its exit status as waitpid(2) reports it; what
/// it says on standard output and standard error together goes to `output`.
int run_pnicd(const std::vector<std::string>& arguments, std::string& output);

}  // namespace peermr::test
