// SPDX-License-Identifier: BSD-2-Clause
#include "bench/endpoint.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

namespace peermr::tool {
namespace {

constexpr std::uint32_t kPsnMask = 0xffffff;
constexpr std::uint8_t kTimeout = 14;       // 4.096 µs * 2^14 = 67 ms
constexpr std::uint8_t kRetryForEver = 7;   // of receiver-not-ready: "without end"
constexpr std::uint8_t kRetries = 7;        // of timeouts
constexpr std::uint8_t kMinRnrTimer = 12;   // 0.64 ms
constexpr std::uint32_t kMaxRdAtomic = 16;  // outstanding READs, as perftest has it
constexpr std::uint8_t kHopLimit = 64;

std::uint32_t random_psn() {
  return std::random_device{}() & kPsnMask;
}

const char* state_name(ibv_qp_state state) {
  static constexpr std::array<const char*, 7> kNames = {"RESET", "INIT", "RTR", "RTS",
                                                        "SQD",   "SQE",  "ERR"};
  const auto index = static_cast<std::size_t>(state);
  return index < kNames.size() ? kNames[index] : "unknown";
}

}  // namespace

Result<Endpoint> Endpoint::create(const BenchDevice& device, EndpointSize size) {
  Endpoint endpoint(device);
  const ibv_device_attr& limits = device.attributes();
  if (size.sends > static_cast<std::uint32_t>(limits.max_qp_wr) ||
      size.receives > static_cast<std::uint32_t>(limits.max_qp_wr)) {
    return make_error(std::errc::invalid_argument, "create a queue pair on", device.name(),
                      fmt::format("--depth is more than the device's {}", limits.max_qp_wr));
  }
  const int entries = static_cast<int>(size.sends + size.receives);
  endpoint.cq_.reset(ibv_create_cq(device.context(), entries, nullptr, nullptr, 0));
  if (!endpoint.cq_) return errno_error(errno, "create a completion queue on", device.name());

  ibv_qp_init_attr init{};
  init.qp_type = IBV_QPT_RC;
  init.send_cq = init.recv_cq = endpoint.cq_.get();
  init.cap.max_send_wr = size.sends;
  init.cap.max_recv_wr = size.receives;
  init.cap.max_send_sge = init.cap.max_recv_sge = 1;
  endpoint.qp_.reset(ibv_create_qp(device.pd(), &init));
  if (!endpoint.qp_) return errno_error(errno, "create a queue pair on", device.name());

  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.port_num = device.port();
  attributes.qp_access_flags =
      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  auto moved = endpoint.modify(
      attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "INIT");
  if (!moved) return std::move(moved).error();

  QpAddress& address = endpoint.address_;
  address.qpn = endpoint.qp_->qp_num;
  address.psn = random_psn();
  address.lid = device.port_attributes().lid;
  std::memcpy(address.gid.data(), device.gid().raw, address.gid.size());
  address.mtu = static_cast<std::uint32_t>(device.port_attributes().active_mtu);
  address.rd_atomic =
      std::min({kMaxRdAtomic, static_cast<std::uint32_t>(std::max(limits.max_qp_rd_atom, 1)),
                static_cast<std::uint32_t>(std::max(limits.max_qp_init_rd_atom, 1))});
  return endpoint;
}

Result<void> Endpoint::connect(const QpAddress& peer) {
  ibv_qp_attr to_rtr{};
  to_rtr.qp_state = IBV_QPS_RTR;
  to_rtr.path_mtu = static_cast<ibv_mtu>(std::min(address_.mtu, peer.mtu));
  to_rtr.dest_qp_num = peer.qpn;
  to_rtr.rq_psn = peer.psn;
  to_rtr.max_dest_rd_atomic =
      static_cast<std::uint8_t>(std::min(address_.rd_atomic, peer.rd_atomic));
  to_rtr.min_rnr_timer = kMinRnrTimer;
  to_rtr.ah_attr.dlid = peer.lid;
  to_rtr.ah_attr.port_num = device_->port();
  if (device_->needs_gid()) {
    to_rtr.ah_attr.is_global = 1;
    std::memcpy(to_rtr.ah_attr.grh.dgid.raw, peer.gid.data(), peer.gid.size());
    to_rtr.ah_attr.grh.sgid_index = device_->gid_index();
    to_rtr.ah_attr.grh.hop_limit = kHopLimit;
  }
  auto moved = modify(to_rtr,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                      "RTR");
  if (!moved) return moved;

  ibv_qp_attr to_rts{};
  to_rts.qp_state = IBV_QPS_RTS;
  to_rts.timeout = kTimeout;
  to_rts.retry_cnt = kRetries;
  to_rts.rnr_retry = kRetryForEver;
  to_rts.sq_psn = address_.psn;
  to_rts.max_rd_atomic = to_rtr.max_dest_rd_atomic;
  return modify(to_rts,
                IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                    IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC,
                "RTS");
}

Result<void> Endpoint::modify(ibv_qp_attr& attributes, int mask, const char* state) {
  const int status = ibv_modify_qp(qp_.get(), &attributes, mask);
  if (status == 0) return {};
  return errno_error(status, fmt::format("move to {}", state),
                     fmt::format("QP {} of {}", qp_->qp_num, device_->name()));
}

std::string Endpoint::describe() const {
  ibv_qp_attr attributes{};
  ibv_qp_init_attr init{};
  const bool known = ibv_query_qp(qp_.get(), &attributes, IBV_QP_STATE, &init) == 0;
  return fmt::format("QP {} of {} in state {}", qp_->qp_num, device_->name(),
                     known ? state_name(attributes.qp_state) : "unknown");
}

}  // namespace peermr::tool
