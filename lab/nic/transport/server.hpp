// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>

#include "connection.hpp"
#include "event_loop.hpp"
#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"
#include "vfio_user_device.hpp"

namespace peermr::nic {

/// Offers one device on one UNIX socket: one client at a time, a new one once the old one is gone.
/// Single-threaded.
class Server {
 public:
  /// Creates the socket (mode 0600; an abandoned one at the same path is replaced) and listens.
  /// `device` and `loop` must outlive the server.
  /// Errors: ENAMETOOLONG; EADDRINUSE when someone listens there already, or the path is not a
  /// socket; what socket(2), bind(2) and listen(2) report.
  static Result<std::unique_ptr<Server>> listen(const std::string& path, VfioUserDevice& device,
                                                EventLoop& loop);

  /// Closes the connection, if there is one, and removes the socket.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Ends the connection: its client broke a promise that only the device can see.
  void drop_client();

  bool has_client() const noexcept { return connection_ != nullptr; }

  /// Handles what the client sent, without waiting for the loop to notice. Also to be called when
  /// the device has sent something through its DmaChannel, so that a full socket gets watched.
  void serve_client();

 private:
  struct AcceptHandler final : EventHandler {
    explicit AcceptHandler(Server& owner) : server(owner) {}
    void on_event(uint32_t events) override;
    Server& server;
  };
  struct ClientHandler final : EventHandler {
    explicit ClientHandler(Server& owner) : server(owner) {}
    void on_event(uint32_t events) override;
    Server& server;
  };

  Server(std::string path, UniqueFd listener, VfioUserDevice& device, EventLoop& loop);
  void accept_client();

  std::string path_;
  UniqueFd listener_;
  VfioUserDevice& device_;
  EventLoop& loop_;
  AcceptHandler accept_handler_{*this};
  ClientHandler client_handler_{*this};
  std::unique_ptr<Connection> connection_;
  bool watching_write_ = false;
};

}  // namespace peermr::nic
