// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <cstdint>

#include "peermr/export.hpp"
#include "peermr/result.hpp"

// The state transitions of an RC queue pair that recovery needs, for those who own their queue
// pairs. All functions block for as long as the device's commands take. Errors: errno of
// ibv_modify_qp(), with the transition.

namespace peermr {

/// How a queue pair is reached: what its peer has to know.
struct QpAddress {
  std::uint32_t qp_number = 0;  ///< 24 bits
  std::uint16_t lid = 0;        ///< 0: reached by GID only
  bool has_gid = false;
  std::array<std::uint8_t, 16> gid{};
  std::uint8_t mtu = IBV_MTU_1024;   ///< ibv_mtu
  std::uint8_t max_read_atomic = 0;  ///< READs and atomics that it answers at a time

  friend bool operator==(const QpAddress&, const QpAddress&) noexcept = default;
};

/// What a side decides for itself. Defaults ride over the reset of a device behind a faultable
/// importer.
struct QpParameters {
  std::uint8_t port = 1;
  std::uint8_t gid_index = 0;
  std::uint16_t pkey_index = 0;
  std::uint8_t service_level = 0;
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 64;
  int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  std::uint8_t timeout = 14;         ///< 4.096 us << timeout, for an answer
  std::uint8_t retry_count = 7;      ///< 0 to 7
  std::uint8_t rnr_retry = 7;        ///< 7: without end
  std::uint8_t min_rnr_timer = 12;   ///< 0.64 ms
  std::uint8_t max_read_atomic = 1;  ///< 1 to what the device can
};

/// The address of `qp`, by its port. A GID is given where the port is Ethernet's or has no LID.
[[nodiscard]] PEERMR_API Result<QpAddress> local_address(ibv_qp* qp,
                                                         const QpParameters& parameters);

/// Any state to ERR: all that is posted gets completed, with IBV_WC_WR_FLUSH_ERR where nothing else
/// is known.
[[nodiscard]] PEERMR_API Result<void> stop_qp(ibv_qp* qp);

/// Any state to RESET and INIT, where receives may be posted. What was not completed never will be.
[[nodiscard]] PEERMR_API Result<void> restart_qp(ibv_qp* qp, const QpParameters& parameters);

/// INIT to RTR and RTS. `psn` is where this side's packets begin, `peer_psn` the peer's: 24 bits,
/// new ones each time, so that packets of the time before are not mistaken for valid.
[[nodiscard]] PEERMR_API Result<void> connect_qp(ibv_qp* qp, const QpParameters& parameters,
                                                 std::uint32_t psn, const QpAddress& peer,
                                                 std::uint32_t peer_psn);

}  // namespace peermr
