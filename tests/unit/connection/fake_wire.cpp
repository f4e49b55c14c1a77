// SPDX-License-Identifier: BSD-2-Clause
#include "connection/fake_wire.hpp"

#include <cerrno>
#include <cstring>

namespace peermr::test {
namespace {

void copy(std::uint64_t to, std::uint64_t from, std::size_t length) {
  if (length != 0) {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), length);
  }
}

std::uint64_t load(std::uint64_t from, std::size_t length) {
  std::uint64_t value = 0;
  copy(reinterpret_cast<std::uintptr_t>(&value), from, std::min<std::size_t>(length, 8));
  return value;
}

bool is_send(ibv_wr_opcode opcode) {
  return opcode == IBV_WR_SEND || opcode == IBV_WR_SEND_WITH_IMM;
}

}  // namespace

bool FakePort::talks() const noexcept {
  const FakePort* other = peer();
  return other != nullptr && other->state_ == State::kReady && other->psn_ == peer_psn_ &&
         other->peer_psn_ == psn_;
}

void FakePort::complete(std::uint64_t wr_id, ibv_wc_status status) {
  ibv_wc completion{};
  completion.wr_id = wr_id;
  completion.status = status;
  completions_.push_back(completion);
}

void FakePort::enter_error(std::optional<ibv_wc_status> of_first) {
  state_ = State::kError;
  for (auto* const queue : {&executed_, &posted_}) {
    for (const Send& send : *queue) {
      complete(send.request.wr_id, of_first.value_or(IBV_WC_WR_FLUSH_ERR));
      of_first.reset();
    }
    queue->clear();
  }
  for (const Receive& receive : receives_) complete(receive.wr_id, IBV_WC_WR_FLUSH_ERR);
  receives_.clear();
}

void FakePort::lose_connection() {
  if (state_ == State::kReady) enter_error(IBV_WC_RETRY_EXC_ERR);
}

void FakePort::acknowledge_one() {
  const Send send = executed_.front();
  executed_.pop_front();
  if (send.request.opcode == IBV_WR_RDMA_READ) {
    copy(send.local.addr, send.request.wr.rdma.remote_addr, send.local.length);
  }
  complete(send.request.wr_id, IBV_WC_SUCCESS);
}

std::optional<ibv_wc_status> FakePort::execute(const Send& send, bool& later) {
  const ibv_send_wr& request = send.request;
  std::uint64_t remote = 0;
  if (!is_send(request.opcode)) {
    const bool atomic = request.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD;
    const auto key = wire_.key_state(atomic ? request.wr.atomic.rkey : request.wr.rdma.rkey);
    if (key == FakeWire::Key::kFault) {
      later = true;
      return std::nullopt;
    }
    if (key == FakeWire::Key::kBad) {
      peer()->enter_error(std::nullopt);
      return IBV_WC_REM_ACCESS_ERR;
    }
    remote = atomic ? request.wr.atomic.remote_addr : request.wr.rdma.remote_addr;
    if (atomic) {
      *reinterpret_cast<std::uint64_t*>(remote) += request.wr.atomic.compare_add;
    } else if (request.opcode != IBV_WR_RDMA_READ) {
      copy(remote, send.local.addr, send.local.length);
    }
  }
  if (is_send(request.opcode) || request.opcode == IBV_WR_RDMA_WRITE_WITH_IMM) {
    auto& queue = peer()->receives_;
    if (queue.empty()) return IBV_WC_RNR_RETRY_EXC_ERR;
    if (is_send(request.opcode)) {
      copy(queue.front().local.addr, send.local.addr, send.local.length);
    }
    ibv_wc completion{};
    completion.wr_id = queue.front().wr_id;
    completion.byte_len = send.local.length;
    completion.imm_data = request.imm_data;
    completion.wc_flags = request.opcode != IBV_WR_SEND ? IBV_WC_WITH_IMM : 0;
    peer()->completions_.push_back(completion);
    queue.pop_front();
  }
  const bool atomic = request.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD;
  wire_.on_executed(
      {request.opcode,
       atomic ? request.wr.atomic.compare_add : load(send.local.addr, send.local.length), remote},
      *this);
  return std::nullopt;
}

void FakePort::run() {
  if (state_ != State::kReady) return;
  for (auto left = wire_.random() % 4; left > 0 && !posted_.empty(); --left) {
    if (!talks()) return enter_error(IBV_WC_RETRY_EXC_ERR);
    const int dice = static_cast<int>(wire_.random() % 200);
    if (dice < wire_.loss_percent) return enter_error(IBV_WC_RETRY_EXC_ERR);
    bool later = false;
    const auto ended = execute(posted_.front(), later);
    if (later) break;
    if (ended) {
      // A refusal acknowledges what came before it.
      while (!executed_.empty()) acknowledge_one();
      return enter_error(*ended);
    }
    executed_.push_back(posted_.front());
    posted_.pop_front();
    if (dice < 2 * wire_.loss_percent) return enter_error(IBV_WC_RETRY_EXC_ERR);
  }
  for (auto left = wire_.random() % 4; left > 0 && !executed_.empty(); --left) acknowledge_one();
}

int FakePort::post_send(ibv_send_wr& request) noexcept {
  if (state_ != State::kReady && state_ != State::kError) return EINVAL;
  Send send{request, request.num_sge != 0 ? *request.sg_list : ibv_sge{}};
  if (state_ == State::kError) {
    complete(request.wr_id, IBV_WC_WR_FLUSH_ERR);
  } else {
    posted_.push_back(send);
  }
  return 0;
}

int FakePort::post_receive(ibv_recv_wr& request) noexcept {
  if (state_ == State::kReset) return EINVAL;
  if (state_ == State::kError) {
    complete(request.wr_id, IBV_WC_WR_FLUSH_ERR);
  } else {
    receives_.push_back({request.wr_id, request.num_sge != 0 ? *request.sg_list : ibv_sge{}});
  }
  return 0;
}

int FakePort::poll(std::span<ibv_wc> completions) noexcept {
  int count = 0;
  for (ibv_wc& completion : completions) {
    if (completions_.empty()) break;
    completion = completions_.front();
    completions_.pop_front();
    ++count;
  }
  return count;
}

Result<QpAddress> FakePort::address() {
  return QpAddress{.qp_number = static_cast<std::uint32_t>(side_ + 1), .lid = 1};
}

Result<void> FakePort::stop() {
  if (state_ == State::kReset) return errno_error(EINVAL, "stop", "fake");
  if (state_ != State::kError) enter_error(std::nullopt);
  return {};
}

Result<void> FakePort::restart() {
  posted_.clear();
  executed_.clear();
  receives_.clear();
  state_ = State::kInit;
  return {};
}

Result<void> FakePort::connect(std::uint32_t psn, const QpAddress& peer, std::uint32_t peer_psn) {
  if (state_ != State::kInit || peer.qp_number != static_cast<std::uint32_t>(2 - side_)) {
    return errno_error(EINVAL, "connect", "fake");
  }
  psn_ = psn;
  peer_psn_ = peer_psn;
  state_ = State::kReady;
  return {};
}

ibv_sge FakePort::scratch() const noexcept {
  return {
      .addr = reinterpret_cast<std::uintptr_t>(scratch_), .length = sizeof(scratch_), .lkey = 1};
}

Result<void> FakeChannel::send(std::span<const std::byte> message) {
  if (pair_->closed) return errno_error(ECONNRESET, "send on", "fake");
  pair_->towards[1 - side_].emplace_back(message.begin(), message.end());
  return {};
}

Result<std::optional<std::vector<std::byte>>> FakeChannel::receive() {
  auto& queue = pair_->towards[side_];
  if (queue.empty() && pair_->closed) return errno_error(ECONNRESET, "receive on", "fake");
  if (queue.empty() || pair_->deliver == 0) return std::optional<std::vector<std::byte>>();
  if (pair_->deliver > 0) --pair_->deliver;
  auto message = std::move(queue.front());
  queue.pop_front();
  return std::optional(std::move(message));
}

}  // namespace peermr::test
