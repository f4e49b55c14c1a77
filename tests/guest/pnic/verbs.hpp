// SPDX-License-Identifier: BSD-2-Clause
//
// The least of libibverbs that the driver's tests need, with owners: no library of ours below it, so
// that a test of the driver fails for the driver's reasons only.
#pragma once

#include <infiniband/verbs.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace pnic_test {

/// Ends the program with status 1 and a line that says what went wrong, errno included if not 0.
[[noreturn]] void fail(const std::string& what, int error = errno);

/// Fails unless `ok`.
void require(bool ok, const std::string& what);

template <auto Destroy>
struct Deleter {
  // A device that is gone answers EIO; libibverbs frees its own part all the same.
  template <typename T>
  void operator()(T* object) const noexcept {
    Destroy(object);
  }
};

using Context = std::unique_ptr<ibv_context, Deleter<ibv_close_device>>;
using Pd = std::unique_ptr<ibv_pd, Deleter<ibv_dealloc_pd>>;
using Mr = std::unique_ptr<ibv_mr, Deleter<ibv_dereg_mr>>;
using Channel = std::unique_ptr<ibv_comp_channel, Deleter<ibv_destroy_comp_channel>>;
using Cq = std::unique_ptr<ibv_cq, Deleter<ibv_destroy_cq>>;
using Qp = std::unique_ptr<ibv_qp, Deleter<ibv_destroy_qp>>;

/// Opens the RDMA device of PCI function `bdf`, nothing when there is none (yet).
std::optional<Context> open_device(const std::string& bdf);

/// A reliable connected QP that is connected with itself: its WRs reach the memory of its own PD.
/// All of it is destroyed in the right order, also when the device is gone.
struct Loopback {
  Pd pd;
  Channel channel;
  Cq cq;
  Qp qp;
  std::uint8_t timeout = 14;

  /// For 16 WRs. `timeout`: of the transport, as in ibv_qp_attr; a fault is retried without end.
  static Loopback create(ibv_context* context, std::uint8_t timeout = 14, int cq_entries = 64);
  /// After an error, once all completions were polled.
  void reconnect();

 private:
  void connect();
};

/// One WRITE or READ between `local` and `remote`, both of this process, without waiting.
/// Returns ibv_post_send's errno value.
int post_rdma(Loopback& loopback, ibv_wr_opcode opcode, const ibv_sge& local,
              std::uint64_t remote_addr, std::uint32_t rkey, std::uint64_t wr_id = 0);

/// Polls for the next completion; nothing after `timeout_ms`.
std::optional<ibv_wc> poll_one(Loopback& loopback, int timeout_ms);

/// post_rdma() and its completion, which must come within 10 s. Returns its status.
ibv_wc_status rdma(Loopback& loopback, ibv_wr_opcode opcode, const ibv_sge& local,
                   std::uint64_t remote_addr, std::uint32_t rkey);

/// Milliseconds of a clock that only goes forward.
std::int64_t now_ms();

}  // namespace pnic_test
