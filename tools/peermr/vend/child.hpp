// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peermr/result.hpp"

namespace peermr::tool {

/// A command that runs beside us, with a descriptor and variables of its own. Killed with us.
class Child {
 public:
  /// `variables` are added to the environment; `descriptor` stays open in the command, under the
  /// same number. Errors: ENOENT and the like, of finding and starting it.
  [[nodiscard]] static Result<Child> start(
      const std::vector<std::string>& command, int descriptor,
      const std::vector<std::pair<std::string, std::string>>& variables);

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  /// Ends the command if it still runs, and waits for it.
  ~Child();

  /// Its exit status once it has ended, 128 and the signal's number when one ended it.
  [[nodiscard]] std::optional<int> ended();
  /// SIGTERM.
  void ask_to_end() const;

 private:
  explicit Child(pid_t pid) : pid_(pid) {}

  pid_t pid_ = -1;  // -1: has ended
};

}  // namespace peermr::tool
