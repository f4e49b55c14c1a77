// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <thread>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"
#include "share/protocol.hpp"
#include "share/unix_socket.hpp"

namespace peermr::tool {

/// Who has the buffer. query() may be called while revoke() runs, by another thread.
class BufferOwner {
 public:
  virtual ~BufferOwner() = default;
  [[nodiscard]] virtual const Greeting& greeting() const = 0;
  [[nodiscard]] virtual int fd() const = 0;
  [[nodiscard]] virtual Result<vfio::BufferStatus> query() = 0;
  /// May take as long as an importer pleases; EINTR when a signal ends it.
  virtual Result<void> revoke() = 0;
  virtual Result<void> rearm(std::uint64_t revokes) = 0;
};

/// Hands a buffer's descriptor to whoever connects, and does what they ask. One thread serves all,
/// without ever waiting for one of them; a revoke, which may wait for an importer, runs in a thread
/// of its own. A peer that breaks the protocol is told so and disconnected.
class ShareServer {
 public:
  /// At most so many peers; one more, and the one that has said nothing for longest goes.
  static constexpr std::size_t kMaxClients = 16;

  ShareServer(ListeningSocket socket, BufferOwner& owner);
  ShareServer(const ShareServer&) = delete;
  ShareServer& operator=(const ShareServer&) = delete;
  /// Interrupts a revoke that still waits.
  ~ShareServer();

  /// Serves for up to `limit`, less when something happened. Also returns when `other` (-1: none)
  /// is readable. Errors: poll's errno.
  Result<void> turn(std::chrono::milliseconds limit, int other);

 private:
  using Clock = std::chrono::steady_clock;
  struct Client {
    UniqueFd fd;
    std::string in;
    std::string out;
    bool waits_for_revoke = false;
    bool closing = false;  // once everything is sent
    Clock::time_point heard = Clock::now();
  };

  void accept_client();
  bool serve(Client& client, short events);
  bool receive(Client& client);
  bool send(Client& client);
  void handle_lines(Client& client);
  void answer(Client& client, const Request& request);
  void start_revoke(Client& client);
  void finish_revoke();

  ListeningSocket socket_;
  BufferOwner& owner_;
  std::list<Client> clients_;
  Clock::time_point accept_after_{};

  std::thread revoker_;
  std::atomic<bool> revoked_{false};  // the thread has finished, and result_ can be read
  std::optional<Result<void>> result_;
};

}  // namespace peermr::tool
