// SPDX-License-Identifier: BSD-2-Clause
#include "revoke/victim.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "revoke/lab.hpp"
#include "revoke/link.hpp"
#include "revoke/traffic.hpp"

namespace revoke_test {

int run_victim(bool resets) {
  // Never outlive the test, whatever happens to it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  PmrOwner owner;
  const auto buffer = owner.export_memory();
  End requester("LAB_NIC0");
  End responder("LAB_NIC1");
  connect(requester, responder);
  const auto region = must(peermr::Region::create(responder.pd(), buffer, {}));
  const auto keys = region.keys();
  Traffic traffic(requester, {keys->address.value(), keys->rkey.value()});
  if (!traffic.wait_for(2 * Traffic::kSlots)) give_up("no traffic: " + traffic.broken());
  constexpr std::array<char, 6> kReady = {'r', 'e', 'a', 'd', 'y', '\n'};
  if (::write(STDOUT_FILENO, kReady.data(), kReady.size()) < 0) return 1;
  while (traffic.wait_for(1)) {
    if (!resets) continue;
    if (!owner.device().reset()) break;
    owner.enable_pmr();
  }
  give_up("traffic ended by itself: " + traffic.broken());
}

Victim::Victim(bool resets) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) give_up("cannot make a pipe");
  pid_ = ::fork();
  if (pid_ < 0) give_up("cannot fork");
  if (pid_ == 0) {
    ::dup2(pipe[1], STDOUT_FILENO);
    ::close(pipe[0]);
    ::close(pipe[1]);
    ::execl("/proc/self/exe", "revoke_close", resets ? "--victim-resets" : "--victim", nullptr);
    ::_exit(127);
  }
  ::close(pipe[1]);
  output_ = pipe[0];
}

Victim::~Victim() {
  if (pid_ > 0) static_cast<void>(kill(std::chrono::seconds(10)));
  ::close(output_);
}

bool Victim::wait_until_ready(std::chrono::milliseconds limit) {
  pollfd wanted{.fd = output_, .events = POLLIN, .revents = 0};
  std::array<char, 16> text;
  return ::poll(&wanted, 1, static_cast<int>(limit.count())) == 1 &&
         ::read(output_, text.data(), text.size()) > 0;
}

bool Victim::kill(std::chrono::milliseconds limit) {
  ::kill(pid_, SIGKILL);
  int status = 0;
  const bool ended = wait_for_end(limit, status);
  if (ended) pid_ = -1;
  return ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

bool Victim::wait_for_end(std::chrono::milliseconds limit, int& status) {
  const auto deadline = Clock::now() + limit;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace revoke_test
