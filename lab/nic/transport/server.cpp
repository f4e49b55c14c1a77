// SPDX-License-Identifier: BSD-2-Clause
#include "server.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.hpp"

namespace peermr::nic {

namespace {

constexpr std::string_view kOperation = "listen on";

/// Removes a socket that nobody listens on any more. Anything else at that path stays.
Result<void> remove_abandoned(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return errno_error(EADDRINUSE, kOperation, path, "the path exists and is not a socket");
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return errno_error(errno, kOperation, path);
  const int rc =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (rc == 0 || errno != ECONNREFUSED)
    return errno_error(EADDRINUSE, kOperation, path, "someone listens there");
  if (::unlink(path.c_str()) != 0)
    return errno_error(errno, kOperation, path, "cannot remove the abandoned socket");
  return {};
}

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const std::string& path, VfioUserDevice& device,
                                               EventLoop& loop) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return errno_error(ENAMETOOLONG, kOperation, path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (auto removed = remove_abandoned(path, address); !removed) return std::move(removed).error();

  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno_error(errno, kOperation, path);
  // Who can connect can make this process map its files: the owner only. The mode is set on the
  // socket before bind(2) creates the path with it.
  if (::fchmod(socket.get(), 0600) != 0) return errno_error(errno, kOperation, path);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return errno_error(errno, kOperation, path);
  }
  std::unique_ptr<Server> server(new Server(path, std::move(socket), device, loop));
  if (::listen(server->listener_.get(), 4) != 0) return errno_error(errno, kOperation, path);
  if (auto added = loop.add(server->listener_.get(), EPOLLIN, &server->accept_handler_); !added) {
    return std::move(added).error();
  }
  return server;
}

Server::Server(std::string path, UniqueFd listener, VfioUserDevice& device, EventLoop& loop)
    : path_(std::move(path)), listener_(std::move(listener)), device_(device), loop_(loop) {}

Server::~Server() {
  drop_client();
  loop_.remove(listener_.get());
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
    log(LogLevel::kWarning, "cannot remove {}: {}", path_, std::strerror(errno));
  }
}

void Server::AcceptHandler::on_event(uint32_t) {
  server.accept_client();
}

void Server::ClientHandler::on_event(uint32_t) {
  server.serve_client();
}

void Server::accept_client() {
  if (connection_) return;
  UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  auto connection = std::make_unique<Connection>(std::move(socket), device_);
  if (auto added = loop_.add(connection->fd(), EPOLLIN | EPOLLRDHUP, &client_handler_); !added) {
    log(LogLevel::kError, "{}: {}", path_, added.error().message());
    return;
  }
  // Further clients wait in the listen queue, unaccepted, until this one is gone.
  loop_.remove(listener_.get());
  watching_write_ = false;
  connection_ = std::move(connection);
  log(LogLevel::kInfo, "{}: client connected", path_);
}

void Server::drop_client() {
  if (!connection_) return;
  loop_.remove(connection_->fd());
  connection_.reset();
  log(LogLevel::kInfo, "{}: client gone", path_);
  if (auto added = loop_.add(listener_.get(), EPOLLIN, &accept_handler_); !added) {
    log(LogLevel::kError, "{}: {}", path_, added.error().message());
  }
}

void Server::serve_client() {
  if (!connection_) return;
  if (!connection_->serve()) return drop_client();
  if (connection_->wants_write() == watching_write_) return;
  watching_write_ = connection_->wants_write();
  const uint32_t events = EPOLLIN | EPOLLRDHUP | (watching_write_ ? uint32_t{EPOLLOUT} : 0u);
  if (auto modified = loop_.modify(connection_->fd(), events); !modified) drop_client();
}

}  // namespace peermr::nic
