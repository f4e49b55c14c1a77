// SPDX-License-Identifier: BSD-2-Clause
#include "soak/participant.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <utility>

#include "harness/lab.hpp"
#include "harness/threads.hpp"

namespace soak {

using namespace std::chrono_literals;

namespace {

[[noreturn]] void become(std::vector<std::string> arguments) {
  std::vector<char*> pointers;
  for (std::string& one : arguments) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  ::execv("/proc/self/exe", pointers.data());
  ::_exit(127);
}

}  // namespace

Participant::Participant(const char* role, std::uint64_t seed,
                         std::vector<peermr::UniqueFd> sockets)
    : role_(role) {
  std::vector<std::string> arguments = {"soak_pair", role, std::to_string(seed)};
  for (const auto& socket : sockets) arguments.push_back(std::to_string(socket.get()));
  pid_ = ::fork();
  if (pid_ < 0) guest_test::give_up("cannot fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const auto& socket : sockets) ::fcntl(socket.get(), F_SETFD, 0);
  become(std::move(arguments));
}

Participant::~Participant() {
  if (pid_ < 0) return;
  kill();
  static_cast<void>(wait(30s * guest_test::time_scale()));
}

void Participant::kill() const {
  ::kill(pid_, SIGKILL);
}

void Participant::print_threads() const {
  guest_test::print_threads(pid_, role_);
}

std::optional<int> Participant::wait(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) != pid_) {
    if (std::chrono::steady_clock::now() > end) return std::nullopt;
    std::this_thread::sleep_for(2ms);
  }
  pid_ = -1;
  return status;
}

}  // namespace soak
