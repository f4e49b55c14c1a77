// SPDX-License-Identifier: BSD-2-Clause
#include "share/server.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <vector>

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;

// How late the end of a revoke is noticed.
constexpr auto kRevokeTick = 10ms;
constexpr auto kAcceptPause = 100ms;
// Ends a system call of the thread that gets it, and nothing else.
constexpr int kInterrupt = SIGUSR1;

void ignore_signal(int) {}

void catch_interrupt() {
  struct sigaction action = {};
  action.sa_handler = ignore_signal;
  sigemptyset(&action.sa_mask);
  sigaction(kInterrupt, &action, nullptr);
}

Error busy(std::string_view operation, const Greeting& greeting) {
  return make_error(std::errc::device_or_resource_busy, operation, greeting.device,
                    "a revoke is under way, and waits for an importer");
}

}  // namespace

ShareServer::ShareServer(ListeningSocket socket, BufferOwner& owner)
    : socket_(std::move(socket)), owner_(owner) {
  catch_interrupt();
}

ShareServer::~ShareServer() {
  if (!revoker_.joinable()) return;
  // A signal that comes just before the system call would be lost: hence again and again.
  while (!revoked_) {
    ::pthread_kill(revoker_.native_handle(), kInterrupt);
    std::this_thread::sleep_for(kRevokeTick);
  }
  revoker_.join();
}

Result<void> ShareServer::turn(std::chrono::milliseconds limit, int other) {
  std::vector<pollfd> entries;
  const bool accepts = Clock::now() >= accept_after_;
  entries.push_back({accepts ? socket_.fd() : -1, POLLIN, 0});
  entries.push_back({other, POLLIN, 0});
  for (const Client& client : clients_) {
    // Who has an answer to come, or to take, is not heard before.
    const bool listens = client.out.empty() && !client.waits_for_revoke && !client.closing;
    const int events = (listens ? POLLIN : 0) | (client.out.empty() ? 0 : POLLOUT);
    entries.push_back({client.fd.get(), static_cast<short>(events), 0});
  }
  if (revoker_.joinable()) limit = std::min(limit, std::chrono::milliseconds(kRevokeTick));
  const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(limit.count()));
  if (ready < 0 && errno != EINTR) return errno_error(errno, "wait for", "peers");
  finish_revoke();
  if (ready <= 0) return {};
  std::size_t i = 2;
  for (auto client = clients_.begin(); client != clients_.end(); ++i) {
    client = serve(*client, entries[i].revents) ? std::next(client) : clients_.erase(client);
  }
  if (entries[0].revents != 0) accept_client();
  return {};
}

void ShareServer::accept_client() {
  UniqueFd fd(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    // Out of descriptors, say: the socket stays readable, and must not be looked at all the time.
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      accept_after_ = Clock::now() + kAcceptPause;
    }
    return;
  }
  if (clients_.size() >= kMaxClients) {
    const auto idle =
        std::min_element(clients_.begin(), clients_.end(), [](const Client& a, const Client& b) {
          return std::pair(a.waits_for_revoke, a.heard) < std::pair(b.waits_for_revoke, b.heard);
        });
    clients_.erase(idle);
  }
  const std::string line = make_line(owner_.greeting());
  // A new socket has room for one line; one that has not is no use.
  if (send_some(fd.get(), line, owner_.fd()) != static_cast<ssize_t>(line.size())) return;
  Client& client = clients_.emplace_back();
  client.fd = std::move(fd);
}

// False: the client has gone, or has to go.
bool ShareServer::serve(Client& client, short events) {
  if ((events & (POLLERR | POLLNVAL)) != 0) return false;
  if ((events & POLLIN) != 0 && !receive(client)) return false;
  if ((events & (POLLIN | POLLHUP)) == POLLHUP) return false;
  if (!send(client)) return false;
  handle_lines(client);  // kept back while the client did not take its answers
  return send(client);
}

bool ShareServer::receive(Client& client) {
  std::array<char, kMaxShareLine> chunk;
  UniqueFd unwanted;
  const ssize_t got = receive_some(client.fd.get(), chunk.data(), chunk.size(), unwanted);
  if (got == -EAGAIN) return true;
  if (got <= 0) return false;
  client.heard = Clock::now();
  client.in.append(chunk.data(), static_cast<std::size_t>(got));
  handle_lines(client);
  return true;
}

void ShareServer::handle_lines(Client& client) {
  while (client.out.empty() && !client.waits_for_revoke && !client.closing) {
    const std::size_t end = client.in.find('\n');
    const bool whole = end != std::string::npos;
    if (!whole && client.in.size() < kMaxShareLine) return;
    const auto request = parse_request(std::string_view(client.in).substr(0, end));
    if (!whole || !request) {
      client.out = make_line(
          whole ? request.error()
                : make_error(Errc::kMalformed, "read a message of", "the peer", "it is too long"));
      client.closing = true;
      client.in.clear();
      return;
    }
    client.in.erase(0, end + 1);
    answer(client, *request);
    // What does not fit is sent, and the next line looked at, when the client has room.
    if (!send(client)) client.closing = true;
  }
}

void ShareServer::answer(Client& client, const Request& request) {
  switch (request.kind) {
    case Request::Kind::kQuery: {
      const auto status = owner_.query();
      client.out = status ? make_line(*status) : make_line(status.error());
      return;
    }
    case Request::Kind::kRevoke:
      start_revoke(client);
      return;
    case Request::Kind::kRearm: {
      if (revoker_.joinable()) {
        client.out = make_line(busy("re-arm dma-buf of", owner_.greeting()));
        return;
      }
      const auto done = owner_.rearm(request.revokes);
      client.out = done ? make_done_line() : make_line(done.error());
      return;
    }
  }
}

void ShareServer::start_revoke(Client& client) {
  if (revoker_.joinable()) {
    client.out = make_line(busy("revoke dma-buf of", owner_.greeting()));
    return;
  }
  client.waits_for_revoke = true;
  revoked_ = false;
  revoker_ = std::thread([this] {
    // Signals that end the program are the other thread's.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    result_ = owner_.revoke();
    revoked_ = true;
  });
}

void ShareServer::finish_revoke() {
  if (!revoker_.joinable() || !revoked_) return;
  revoker_.join();
  const std::string line = *result_ ? make_done_line() : make_line(result_->error());
  result_.reset();
  for (Client& client : clients_) {
    if (!client.waits_for_revoke) continue;
    client.waits_for_revoke = false;
    client.out = line;
    if (!send(client)) client.closing = true;
  }
}

// False: the client has gone, or is done with.
bool ShareServer::send(Client& client) {
  while (!client.out.empty()) {
    const ssize_t sent = send_some(client.fd.get(), client.out, -1);
    if (sent == -EAGAIN) return true;
    if (sent < 0) return false;
    client.out.erase(0, static_cast<std::size_t>(sent));
  }
  return !client.closing;
}

}  // namespace peermr::tool
