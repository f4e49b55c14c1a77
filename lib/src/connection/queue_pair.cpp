// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/queue_pair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace peermr {
namespace {

Result<void> modify(ibv_qp* qp, ibv_qp_attr& attributes, int mask, const char* what) {
  const int error = ibv_modify_qp(qp, &attributes, mask);
  if (error == 0) return {};
  return errno_error(error, what, fmt::format("queue pair {:#x}", qp->qp_num));
}

ibv_ah_attr address_vector(const QpParameters& parameters, const QpAddress& peer) {
  ibv_ah_attr vector{};
  vector.dlid = peer.lid;
  vector.sl = parameters.service_level;
  vector.port_num = parameters.port;
  if (peer.has_gid) {
    vector.is_global = 1;
    vector.grh.sgid_index = parameters.gid_index;
    vector.grh.traffic_class = parameters.traffic_class;
    vector.grh.hop_limit = parameters.hop_limit;
    std::memcpy(vector.grh.dgid.raw, peer.gid.data(), peer.gid.size());
  }
  return vector;
}

}  // namespace

Result<QpAddress> local_address(ibv_qp* qp, const QpParameters& parameters) {
  const auto object =
      fmt::format("port {} of {}", parameters.port, ibv_get_device_name(qp->context->device));
  ibv_port_attr port{};
  if (const int error = ibv_query_port(qp->context, parameters.port, &port); error != 0) {
    return errno_error(error, "query", object);
  }
  QpAddress address;
  address.qp_number = qp->qp_num;
  address.lid = port.lid;
  address.mtu = static_cast<std::uint8_t>(port.active_mtu);
  address.max_read_atomic = parameters.max_read_atomic;
  if (port.link_layer != IBV_LINK_LAYER_ETHERNET && port.lid != 0) return address;
  ibv_gid gid{};
  if (ibv_query_gid(qp->context, parameters.port, parameters.gid_index, &gid) != 0) {
    return errno_error(errno, "query GID of", object);
  }
  std::copy(std::begin(gid.raw), std::end(gid.raw), address.gid.begin());
  address.has_gid = true;
  return address;
}

Result<void> stop_qp(ibv_qp* qp) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  return modify(qp, attributes, IBV_QP_STATE, "stop");
}

Result<void> restart_qp(ibv_qp* qp, const QpParameters& parameters) {
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RESET;
  if (auto reset = modify(qp, attributes, IBV_QP_STATE, "reset"); !reset) return reset;
  attributes = {};
  attributes.qp_state = IBV_QPS_INIT;
  attributes.pkey_index = parameters.pkey_index;
  attributes.port_num = parameters.port;
  attributes.qp_access_flags = static_cast<unsigned>(parameters.access);
  return modify(qp, attributes,
                IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "init");
}

Result<void> connect_qp(ibv_qp* qp, const QpParameters& parameters, std::uint32_t psn,
                        const QpAddress& peer, std::uint32_t peer_psn) {
  auto own = local_address(qp, parameters);
  if (!own) return own.error();
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_RTR;
  attributes.path_mtu = static_cast<ibv_mtu>(std::min(own->mtu, peer.mtu));
  attributes.dest_qp_num = peer.qp_number;
  attributes.rq_psn = peer_psn;
  attributes.max_dest_rd_atomic = parameters.max_read_atomic;
  attributes.min_rnr_timer = parameters.min_rnr_timer;
  attributes.ah_attr = address_vector(parameters, peer);
  if (auto ready = modify(qp, attributes,
                          IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                              IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                          "make ready to receive");
      !ready) {
    return ready;
  }
  attributes = {};
  attributes.qp_state = IBV_QPS_RTS;
  attributes.timeout = parameters.timeout;
  attributes.retry_cnt = parameters.retry_count;
  attributes.rnr_retry = parameters.rnr_retry;
  attributes.sq_psn = psn;
  attributes.max_rd_atomic = std::min(parameters.max_read_atomic, peer.max_read_atomic);
  return modify(qp, attributes,
                IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                    IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC,
                "make ready to send");
}

}  // namespace peermr
