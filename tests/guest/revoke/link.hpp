// SPDX-License-Identifier: BSD-2-Clause
//
// Stock libibverbs between the two NICs: what a peer that knows nothing of this project would use.
#pragma once

#include <infiniband/verbs.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <peermr/peermr.hpp>
#include <string>

#include "harness/lab.hpp"

namespace revoke_test {

using Clock = std::chrono::steady_clock;

/// No work request may take longer than this, whatever happens to its memory. The machine may be
/// busy and emulated; nothing here should need a tenth of it.
inline const std::chrono::seconds kDeadline{10 * guest_test::time_scale()};

template <auto Destroy>
struct Destroyer {
  template <typename T>
  void operator()(T* object) const noexcept {
    Destroy(object);
  }
};

/// One end of a connection: a NIC with a protection domain, a completion queue and an RC queue
/// pair.
class End {
 public:
  static constexpr std::uint32_t kDepth = 64;

  /// `nic`: the variable that holds the NIC's PCI address.
  explicit End(const char* nic);

  ibv_pd* pd() const { return pd_.get(); }
  ibv_qp* qp() const { return qp_.get(); }
  std::string name() const;
  std::uint16_t lid() const { return port_.lid; }
  ibv_mtu mtu() const { return port_.active_mtu; }

  /// One of the device's counters.
  std::uint64_t counter(const char* which) const;

  /// The next completion; nothing when none comes in time.
  std::optional<ibv_wc> poll(std::chrono::nanoseconds limit = kDeadline);

 private:
  peermr::verbs::Context context_;
  ibv_port_attr port_{};
  std::unique_ptr<ibv_pd, Destroyer<ibv_dealloc_pd>> pd_;
  std::unique_ptr<ibv_cq, Destroyer<ibv_destroy_cq>> cq_;
  std::unique_ptr<ibv_qp, Destroyer<ibv_destroy_qp>> qp_;
};

struct Patience {
  std::uint8_t rnr_retry = 7;       ///< 7: without end
  std::uint8_t min_rnr_timer = 12;  ///< 0.64 ms (InfiniBand's table of RNR NAK timers)
};

/// Connects two ends, whatever state they are in; what was posted is forgotten.
void connect(End& one, End& other, const Patience& patience = {});

/// Memory of this process, registered at an end with all access.
class HostMemory {
 public:
  HostMemory(End& end, std::size_t bytes);

  std::uint8_t* data() { return data_.get(); }
  const std::uint8_t* data() const { return data_.get(); }
  std::size_t size() const { return bytes_; }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(data_.get()); }
  std::uint32_t lkey() const { return mr_->lkey; }
  std::uint32_t rkey() const { return mr_->rkey; }

 private:
  std::size_t bytes_;
  std::unique_ptr<std::uint8_t[]> data_;
  std::unique_ptr<ibv_mr, Destroyer<ibv_dereg_mr>> mr_;
};

/// A signaled WRITE or READ.
struct Rdma {
  ibv_wr_opcode opcode = IBV_WR_RDMA_WRITE;
  std::uint64_t local = 0;
  std::uint32_t lkey = 0;
  std::uint64_t remote = 0;
  std::uint32_t rkey = 0;
  std::uint32_t bytes = 0;
  std::uint64_t id = 0;
};

/// Posts it; errors end the program.
void post(End& end, const Rdma& rdma);

/// Posts it and waits for its completion; nothing when it is stuck.
std::optional<ibv_wc> execute(End& end, const Rdma& rdma);

}  // namespace revoke_test
