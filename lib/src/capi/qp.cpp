// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_qp.h"

#include <algorithm>
#include <iterator>

#include "capi/connection.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace peermr::capi {
namespace {

constexpr std::uint32_t kFlags =
    PEERMR_QP_TIMEOUT | PEERMR_QP_RETRY_COUNT | PEERMR_QP_RNR_RETRY | PEERMR_QP_MIN_RNR_TIMER;
constexpr std::uint32_t kMax24 = 0xffffff;

Error refused(const char* why) {
  return make_error(std::errc::invalid_argument, "set up", "queue pair", why);
}

Result<void> check(const peermr_qp_parameters& p) {
  if (p.size != sizeof(p)) return refused("parameters.size is not the size of the struct");
  if ((p.flags & ~kFlags) != 0 || p.reserved != 0) {
    return refused("unknown flags, or parameters.reserved is not 0");
  }
  if (p.service_level > 15 || p.timeout > 31 || p.retry_count > 7 || p.rnr_retry > 7 ||
      p.min_rnr_timer > 31) {
    return refused(
        "service_level ends at 15, timeout and min_rnr_timer at 31, retry_count and rnr_retry at "
        "7");
  }
  return {};
}

Result<QpAddress> check_address(const peermr_qp_address& address) {
  const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
  if (address.qp_number > kMax24 || address.has_gid > 1 || address.mtu < IBV_MTU_256 ||
      address.mtu > IBV_MTU_4096 ||
      !std::all_of(std::begin(address.reserved), std::end(address.reserved), is_zero)) {
    return refused("such an address of the peer's cannot be");
  }
  QpAddress result{.qp_number = address.qp_number,
                   .lid = address.lid,
                   .has_gid = address.has_gid != 0,
                   .mtu = address.mtu,
                   .max_read_atomic = address.max_read_atomic};
  std::copy(std::begin(address.gid), std::end(address.gid), result.gid.begin());
  return result;
}

}  // namespace

Result<QpParameters> to_cpp(const peermr_qp_parameters* parameters) {
  QpParameters result;
  if (parameters == nullptr) return result;
  if (auto checked = check(*parameters); !checked) return checked.error();
  const peermr_qp_parameters& p = *parameters;
  const auto take = [&p](auto value, auto& where, std::uint32_t flag = 0) {
    if (value != 0 || (p.flags & flag) != 0) where = value;
  };
  take(p.access, result.access);
  take(p.port, result.port);
  take(p.hop_limit, result.hop_limit);
  take(p.max_read_atomic, result.max_read_atomic);
  take(p.timeout, result.timeout, PEERMR_QP_TIMEOUT);
  take(p.retry_count, result.retry_count, PEERMR_QP_RETRY_COUNT);
  take(p.rnr_retry, result.rnr_retry, PEERMR_QP_RNR_RETRY);
  take(p.min_rnr_timer, result.min_rnr_timer, PEERMR_QP_MIN_RNR_TIMER);
  result.gid_index = p.gid_index;
  result.pkey_index = p.pkey_index;
  result.service_level = p.service_level;
  result.traffic_class = p.traffic_class;
  return result;
}

}  // namespace peermr::capi

extern "C" {

int peermr_qp_local_address(ibv_qp* qp, const peermr_qp_parameters* parameters,
                            peermr_qp_address* address) {
  if (qp == nullptr || address == nullptr) return refuse_null("address of queue pair");
  return guarded([&] {
    const auto found =
        peermr::capi::to_cpp(parameters).and_then([qp](const peermr::QpParameters& cpp) {
          return peermr::local_address(qp, cpp);
        });
    if (!found) return fail(found.error());
    *address = {};
    address->qp_number = found->qp_number;
    address->lid = found->lid;
    address->has_gid = found->has_gid ? 1 : 0;
    address->mtu = found->mtu;
    address->max_read_atomic = found->max_read_atomic;
    std::copy(found->gid.begin(), found->gid.end(), address->gid);
    return 0;
  });
}

int peermr_qp_stop(ibv_qp* qp) {
  if (qp == nullptr) return refuse_null("stop queue pair");
  return guarded([&] { return status_of(peermr::stop_qp(qp)); });
}

int peermr_qp_restart(ibv_qp* qp, const peermr_qp_parameters* parameters) {
  if (qp == nullptr) return refuse_null("reset queue pair");
  return guarded([&] {
    return status_of(
        peermr::capi::to_cpp(parameters).and_then([qp](const peermr::QpParameters& cpp) {
          return peermr::restart_qp(qp, cpp);
        }));
  });
}

int peermr_qp_connect(ibv_qp* qp, const peermr_qp_parameters* parameters, uint32_t psn,
                      const peermr_qp_address* peer, uint32_t peer_psn) {
  if (qp == nullptr || peer == nullptr) return refuse_null("connect queue pair");
  return guarded([&] {
    if (psn > peermr::capi::kMax24 || peer_psn > peermr::capi::kMax24) {
      return fail(peermr::capi::refused("PSNs have 24 bits"));
    }
    const auto address = peermr::capi::check_address(*peer);
    if (!address) return fail(address.error());
    return status_of(
        peermr::capi::to_cpp(parameters).and_then([&](const peermr::QpParameters& cpp) {
          return peermr::connect_qp(qp, cpp, psn, *address, peer_psn);
        }));
  });
}

}  // extern "C"
