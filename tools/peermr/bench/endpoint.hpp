// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <cstdint>
#include <string>

#include "bench/rdma_device.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

/// What one end of a connection tells the other.
struct QpAddress {
  std::uint32_t qpn = 0;
  std::uint32_t psn = 0;
  std::uint16_t lid = 0;
  std::array<std::uint8_t, 16> gid{};
  std::uint32_t mtu = 0;        ///< enum ibv_mtu
  std::uint32_t rd_atomic = 0;  ///< READs it can serve, and issue, at once
};

struct EndpointSize {
  std::uint32_t sends = 1;     ///< WRs in flight
  std::uint32_t receives = 1;  ///< receives posted
};

/// An RC queue pair with a completion queue of its own. Moves; the device must outlive it.
class Endpoint {
 public:
  /// In state INIT. Errors: std::errc::invalid_argument when the device's limits are exceeded; the
  /// errno of creating the objects.
  [[nodiscard]] static Result<Endpoint> create(const BenchDevice& device, EndpointSize size);

  [[nodiscard]] const QpAddress& address() const noexcept { return address_; }
  [[nodiscard]] ibv_qp* qp() const noexcept { return qp_.get(); }
  [[nodiscard]] ibv_cq* cq() const noexcept { return cq_.get(); }

  /// To RTR and RTS. Errors: the errno of the transition, naming QP and device.
  Result<void> connect(const QpAddress& peer);

  /// "QP 17 of pnic0 in state RTS", asking the device for the state.
  [[nodiscard]] std::string describe() const;

 private:
  explicit Endpoint(const BenchDevice& device) noexcept : device_(&device) {}
  Result<void> modify(ibv_qp_attr& attributes, int mask, const char* state);

  const BenchDevice* device_;
  UniqueCq cq_;
  UniqueQp qp_;  // destroyed before its completion queue
  QpAddress address_;
};

}  // namespace peermr::tool
