// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <iterator>
#include <string>

#include "capi/call.hpp"
#include "peermr/topology.hpp"

namespace {

peermr_p2p_path to_c(peermr::P2pPath path) noexcept {
  switch (path) {
    case peermr::P2pPath::kBusAddress:
      return PEERMR_PATH_BUS_ADDRESS;
    case peermr::P2pPath::kHostBridge:
      return PEERMR_PATH_HOST_BRIDGE;
    case peermr::P2pPath::kNotSupported:
      return PEERMR_PATH_NOT_SUPPORTED;
    case peermr::P2pPath::kUnknown:
      break;
  }
  return PEERMR_PATH_UNKNOWN;
}

peermr::Result<peermr::PathPrediction> predict(const char* provider, const char* client) {
  const auto from = peermr::Bdf::parse(client);
  if (!from) return from.error();
  const auto to = peermr::Bdf::parse(provider);
  if (!to) return to.error();
  const auto topology = peermr::Topology::read();
  if (!topology) return topology.error();
  return topology->predict(*to, *from);
}

}  // namespace

extern "C" int peermr_predict_path(const char* provider, const char* client, peermr_path* path) {
  if (provider == nullptr || client == nullptr || path == nullptr) {
    return peermr::capi::refuse_null("predict path");
  }
  return peermr::capi::guarded([&] {
    const auto prediction = predict(provider, client);
    if (!prediction) return peermr::capi::fail(prediction.error());
    path->path = to_c(prediction->path);
    path->distance = prediction->distance;
    const std::size_t size = std::min(prediction->reason.size(), std::size(path->reason) - 1);
    std::copy_n(prediction->reason.data(), size, path->reason);
    path->reason[size] = '\0';
    return 0;
  });
}
