// SPDX-License-Identifier: BSD-2-Clause
#include "revoke/process.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>
#include <utility>

#include "revoke/lab.hpp"
#include "revoke/link.hpp"

namespace revoke_test {
namespace {

using peermr::UniqueFd;

constexpr int kInherited = 3;

std::pair<UniqueFd, UniqueFd> make_pair_of_sockets() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    give_up("cannot make a pair of sockets");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

bool Channel::send(char letter, int fd) const {
  iovec part{.iov_base = &letter, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(fd))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(fd));
    std::memcpy(CMSG_DATA(head), &fd, sizeof(fd));
  }
  return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) == 1;
}

std::optional<Channel::Message> Channel::receive(std::chrono::milliseconds limit) const {
  pollfd wanted{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&wanted, 1, static_cast<int>(limit.count())) != 1) return std::nullopt;
  Message received;
  iovec part{.iov_base = &received.letter, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC) != 1) return std::nullopt;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (head != nullptr && head->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof(fd));
    received.fd = UniqueFd(fd);
  }
  return received;
}

Process::Process(const char* role) : Process(role, make_pair_of_sockets()) {}

Process::Process(const char* role, std::pair<UniqueFd, UniqueFd> ends)
    : channel_(std::move(ends.first)) {
  pid_ = ::fork();
  if (pid_ < 0) give_up("cannot fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // dup2() of a descriptor onto itself would leave it close-on-exec.
  const int other = ::dup(ends.second.get());
  ::dup2(other, kInherited);
  ::execl("/proc/self/exe", "revoke_close", role, nullptr);
  ::_exit(127);
}

Process::~Process() {
  if (pid_ > 0) static_cast<void>(kill(kDeadline));
}

bool Process::kill(std::chrono::milliseconds limit) {
  ::kill(pid_, SIGKILL);
  int status = 0;
  const auto deadline = Clock::now() + limit;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  pid_ = -1;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

Channel inherited_channel() {
  return Channel(UniqueFd(kInherited));
}

}  // namespace revoke_test
