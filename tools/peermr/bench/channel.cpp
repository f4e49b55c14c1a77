// SPDX-License-Identifier: BSD-2-Clause
#include "bench/channel.hpp"

#include <fmt/core.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/signals.hpp"

namespace peermr::tool {
namespace {

constexpr std::size_t kMaxLine = 16384;
// A signal's flag is looked at this often: the handler restarts system calls.
constexpr int kPollMs = 100;

// True: readable; false: the limit passed.
Result<bool> wait_readable(int fd, std::chrono::steady_clock::time_point end) {
  while (true) {
    if (stop_requested()) return make_error(std::errc::interrupted, "wait for", "the peer");
    pollfd entry{fd, POLLIN, 0};
    const int ready = ::poll(&entry, 1, kPollMs);
    if (ready < 0 && errno != EINTR) return errno_error(errno, "wait for", "the peer");
    if (ready > 0) return true;
    if (std::chrono::steady_clock::now() >= end) return false;
  }
}

}  // namespace

Result<Channel> Channel::connect(const SocketAddress& address) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "make a socket for", address.text);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) !=
      0) {
    return errno_error(errno, "connect to", address.text,
                       "is peermr bench --listen running there?");
  }
  return Channel(std::move(fd));
}

Result<void> Channel::send(std::string_view type, nlohmann::json message) {
  message["version"] = kChannelVersion;
  message["type"] = type;
  const std::string line =
      message.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno_error(errno, "send to", "the peer");
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<void> Channel::fill(std::chrono::steady_clock::time_point end) {
  auto readable = wait_readable(fd_.get(), end);
  if (!readable) return std::move(readable).error();
  if (!*readable) return make_error(std::errc::timed_out, "wait for", "the peer");
  std::array<char, 4096> chunk;
  const ssize_t got = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
  if (got < 0) return errno_error(errno, "receive from", "the peer");
  if (got == 0) {
    return make_error(std::errc::connection_aborted, "receive from", "the peer", "it is gone");
  }
  buffer_.append(chunk.data(), static_cast<std::size_t>(got));
  return {};
}

Result<nlohmann::json> Channel::receive(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  std::size_t line_end;
  while ((line_end = buffer_.find('\n')) == std::string::npos) {
    if (buffer_.size() > kMaxLine) {
      return make_error(Errc::kMalformed, "receive from", "the peer", "the line has no end");
    }
    if (auto filled = fill(end); !filled) return std::move(filled).error();
  }
  auto message = nlohmann::json::parse(buffer_.begin(),
                                       buffer_.begin() + static_cast<std::ptrdiff_t>(line_end),
                                       nullptr, /*allow_exceptions=*/false);
  buffer_.erase(0, line_end + 1);
  if (!message.is_object() || !message.contains("type") || !message["type"].is_string()) {
    return make_error(Errc::kMalformed, "receive from", "the peer", "not a message of this tool");
  }
  if (message.value("version", nlohmann::json()) != nlohmann::json(kChannelVersion)) {
    return make_error(Errc::kMalformed, "receive from", "the peer",
                      fmt::format("its messages are not of version {}", kChannelVersion));
  }
  return message;
}

Result<Listener> Listener::open(const SocketAddress& address) {
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "make a socket for", address.text);
  const int on = 1;
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    return errno_error(errno, "listen on", address.text);
  }
  Listener listener(std::move(fd), address.unix_path);
  if (::listen(listener.fd_.get(), 1) != 0) return errno_error(errno, "listen on", address.text);
  return listener;
}

Listener::~Listener() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<Channel> Listener::accept() {
  auto readable = wait_readable(fd_.get(), std::chrono::steady_clock::time_point::max());
  if (!readable) return std::move(readable).error();
  UniqueFd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer) return errno_error(errno, "accept", "a peer");
  return Channel(std::move(peer));
}

std::string Listener::local_name() const {
  if (!path_.empty()) return "unix:" + path_;
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  std::array<char, 64> host{};
  std::array<char, 16> port{};
  if (::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &length) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&storage), length, host.data(), host.size(),
                    port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "?";
  }
  if (storage.ss_family == AF_INET6) return fmt::format("[{}]:{}", host.data(), port.data());
  return fmt::format("{}:{}", host.data(), port.data());
}

}  // namespace peermr::tool
