// SPDX-License-Identifier: BSD-2-Clause
#include "vend/children.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <thread>

#include "harness/lab.hpp"

namespace vend_test {

using guest_test::give_up;

Child::Child(const std::string& socket, std::uint64_t seed) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("cannot make a pipe");
  const peermr::UniqueFd from(ends[0]);
  to_.reset(ends[1]);
  const int flags = ::fcntl(to_.get(), F_GETFL);
  ::fcntl(to_.get(), F_SETFL, flags | O_NONBLOCK);
  const std::string number = std::to_string(seed);
  // It may be told to end before it can know what that means: until then the signal waits.
  sigset_t end, before;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &end, &before);
  pid_ = ::fork();
  if (pid_ != 0) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) give_up("cannot fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::dup2(from.get(), STDIN_FILENO);
  ::execl("/proc/self/exe", "vend_stress", "client", socket.c_str(), number.c_str(), nullptr);
  ::_exit(127);
}

Child::~Child() {
  if (pid_ > 0) kill();
}

void Child::signal(int number) const {
  ::kill(pid_, number);
}

void Child::tell(std::uint64_t loan) const {
  static_cast<void>(::write(to_.get(), &loan, sizeof(loan)) == sizeof(loan));
}

bool Child::reap(int* status, int limit_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  while (::waitpid(pid_, status, WNOHANG) != pid_) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  pid_ = -1;
  return true;
}

void Child::kill() {
  int status = 0;
  ::kill(pid_, SIGKILL);
  if (!reap(&status, 30000 * guest_test::time_scale())) give_up("a killed client does not end");
  if (!WIFSIGNALED(status))
    give_up("a client had ended by itself, with status " + std::to_string(WEXITSTATUS(status)));
}

bool Child::end() {
  int status = 0;
  ::kill(pid_, SIGTERM);
  if (!reap(&status, 60000 * guest_test::time_scale())) return false;
  if (WIFSIGNALED(status)) std::fprintf(stderr, "a client died of signal %d\n", WTERMSIG(status));
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace vend_test
