// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// Two queue pairs and a channel between them, which fail when they are told to: executed work whose
// acknowledgement is lost, work that never arrives, keys that are refused.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "connection/port.hpp"
#include "peermr/out_of_band.hpp"

namespace peermr::test {

/// What the wire has executed, in order.
struct Executed {
  ibv_wr_opcode opcode;
  std::uint64_t value;  // the first 8 bytes of the payload; what an atomic adds
  std::uint64_t remote;
};

class FakePort;

/// State that outlives the ports.
struct FakeWire {
  enum class Key { kGood, kBad, kFault };

  std::mt19937 random{1};
  int loss_percent = 0;  // of the work: it is lost, or its acknowledgement is
  std::function<Key(std::uint32_t)> key_state = [](std::uint32_t) { return Key::kGood; };
  std::function<void(const Executed&, FakePort& by)> on_executed = [](const Executed&, FakePort&) {
  };
  FakePort* ports[2] = {};
};

class FakePort final : public detail::Port {
 public:
  FakePort(FakeWire& wire, int side) : wire_(wire), side_(side) { wire.ports[side] = this; }
  ~FakePort() override { wire_.ports[side_] = nullptr; }

  /// Executes and acknowledges some of what is posted.
  void run();

  int post_send(ibv_send_wr& request) noexcept override;
  int post_receive(ibv_recv_wr& request) noexcept override;
  int poll(std::span<ibv_wc> completions) noexcept override;
  Result<QpAddress> address() override;
  Result<void> stop() override;
  Result<void> restart() override;
  Result<void> connect(std::uint32_t psn, const QpAddress& peer, std::uint32_t peer_psn) override;
  int fd() const noexcept override { return -1; }
  Result<bool> arm() override { return false; }
  ibv_sge scratch() const noexcept override;
  bool has_atomics() const noexcept override { return true; }

  int side() const noexcept { return side_; }
  /// As an error of the transport would.
  void lose_connection();

 private:
  struct Send {
    ibv_send_wr request;
    ibv_sge local;
  };
  struct Receive {
    std::uint64_t wr_id;
    ibv_sge local;
  };
  enum class State { kReset, kInit, kReady, kError };

  FakePort* peer() const noexcept { return wire_.ports[1 - side_]; }
  bool talks() const noexcept;
  /// What ends it; nothing: it was executed. Sets `later` when it has to be tried again.
  std::optional<ibv_wc_status> execute(const Send& send, bool& later);
  void acknowledge_one();
  void complete(std::uint64_t wr_id, ibv_wc_status status);
  void enter_error(std::optional<ibv_wc_status> of_first);

  FakeWire& wire_;
  const int side_;
  State state_ = State::kReset;
  std::uint32_t psn_ = 0;
  std::uint32_t peer_psn_ = 0;
  std::deque<Send> posted_;
  std::deque<Send> executed_;  // not acknowledged
  std::deque<Receive> receives_;
  std::deque<ibv_wc> completions_;
  mutable std::uint64_t scratch_[2] = {};
};

/// One end of a channel in memory.
class FakeChannel final : public OutOfBand {
 public:
  struct Pair {
    std::deque<std::vector<std::byte>> towards[2];
    bool closed = false;
    int deliver = -1;  // how many messages may be received, -1: all
  };
  FakeChannel(std::shared_ptr<Pair> pair, int side) : pair_(std::move(pair)), side_(side) {}

  Result<void> send(std::span<const std::byte> message) override;
  Result<std::optional<std::vector<std::byte>>> receive() override;
  Result<void> flush() override { return {}; }
  int fd() const noexcept override { return -1; }
  short events() const noexcept override { return 0; }

 private:
  std::shared_ptr<Pair> pair_;
  int side_;
};

}  // namespace peermr::test
