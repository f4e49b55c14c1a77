// SPDX-License-Identifier: BSD-2-Clause
#include "vend/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "peermr/unique_fd.hpp"

namespace peermr::tool {
namespace {

constexpr int kSignalBase = 128;
// For a command that was asked to end.
constexpr auto kPatience = std::chrono::seconds(5);

// In the new process: does not return.
[[noreturn]] void become(char* const* command, int descriptor, pid_t parent, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  // A parent that died before is not noticed any more.
  if (::getppid() != parent) ::_exit(1);
  ::signal(SIGPIPE, SIG_DFL);
  int error_number = 0;
  if (::fcntl(descriptor, F_SETFD, 0) == 0) ::execvp(command[0], command);
  error_number = errno;
  static_cast<void>(::write(report, &error_number, sizeof(error_number)));
  ::_exit(1);
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& command, int descriptor,
                           const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error(errno, "start", command[0]);
  const UniqueFd report(ends[0]);
  UniqueFd reports(ends[1]);
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error(errno, "start", command[0]);
  if (pid == 0) become(arguments.data(), descriptor, parent, reports.get());
  Child child(pid);
  reports.reset();
  int error_number = 0;
  // The other end closes without a word when the command has been started.
  if (::read(report.get(), &error_number, sizeof(error_number)) == sizeof(error_number)) {
    return errno_error(error_number, "start", command[0]);
  }
  return child;
}

Child::~Child() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!ended() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::optional<int> Child::ended() {
  int status = 0;
  if (pid_ < 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

void Child::ask_to_end() const {
  if (pid_ >= 0) ::kill(pid_, SIGTERM);
}

}  // namespace peermr::tool
