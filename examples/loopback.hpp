// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>
#include <memory>
#include <peermr/peermr.hpp>

/// A reliable connection from an RDMA device to itself, as short as verbs allow: what an
/// application has anyway.
class Loopback {
 public:
  /// With room for `depth` work requests. Returns null, with a message on standard error, when the
  /// device cannot do it.
  static std::unique_ptr<Loopback> connect(ibv_pd* pd, std::uint32_t depth = 4);
  ~Loopback();

  /// Writes `local` to the region's memory that `keys` describe, then reads a byte back: an
  /// acknowledged write is with the NIC, a read behind it shows that it is in the memory. Blocks.
  ibv_wc_status write(const ibv_sge& local, const peermr::RegionKeys& keys);

  /// The next completion's status. Blocks, and polls.
  ibv_wc_status wait();
  [[nodiscard]] ibv_qp* qp() const noexcept { return qp_; }

 private:
  Loopback(ibv_pd* pd, std::uint32_t depth) : pd_(pd), depth_(depth) {}
  bool make();
  ibv_wc_status run(ibv_wr_opcode opcode, ibv_sge local, const peermr::RegionKeys& keys);

  ibv_pd* pd_;
  std::uint32_t depth_;
  ibv_cq* cq_ = nullptr;
  ibv_qp* qp_ = nullptr;
};
