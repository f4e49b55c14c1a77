// SPDX-License-Identifier: BSD-2-Clause
//
// A peer that writes into the buffer without a pause, and somebody who keeps touching its mappings.
#pragma once

#include <infiniband/verbs.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "events/subject.hpp"
#include "revoke/link.hpp"
#include "revoke/traffic.hpp"

namespace events_test {

/// RDMA writes from NIC 0, through a plain MR of NIC 1 that may fault (ibv_reg_dmabuf_mr).
class Load {
 public:
  explicit Load(const Subject& subject);
  ~Load();

  /// Whether `more` writes have completed within `limit`.
  bool progress(std::uint64_t more, std::chrono::milliseconds limit) const;
  std::uint64_t done() const { return traffic_->done(); }
  /// RNR NAKs that the responder has sent; 0 when its counters are gone with it.
  std::uint64_t naks() const;

  /// Ends it; what still waits is flushed. Returns how it went: "flows", "waits" (no answer but RNR
  /// NAK until it was flushed), or "error".
  std::string finish();
  /// The error in words, after finish().
  const std::string& error() const { return error_; }
  /// What no event may lead to; empty: nothing of that.
  const std::string& broken() const { return traffic_->broken(); }
  std::string verify(const std::uint8_t* memory) const { return traffic_->verify(memory); }
  std::chrono::milliseconds longest_wait() const { return traffic_->longest_wait(); }
  /// Deregisters the MR; false when the kernel failed to.
  bool deregister();

 private:
  revoke_test::End requester_{"LAB_NIC0"};
  revoke_test::End responder_{"LAB_NIC1"};
  const std::string responder_name_ = responder_.name();
  ibv_mr* mr_;
  std::string error_;
  std::unique_ptr<revoke_test::Traffic> traffic_;
};

/// Reads through both mappings all the time, each in a thread of its own.
class Sampler {
 public:
  explicit Sampler(const Subject& subject);
  ~Sampler();

  /// Whether there was a SIGBUS since it began.
  bool buffer_faulted() const { return buffer_faulted_; }
  bool bar_faulted() const { return bar_faulted_; }

 private:
  std::atomic<bool> stop_{false}, buffer_faulted_{false}, bar_faulted_{false};
  std::thread buffer_thread_, bar_thread_;
};

/// DMA that should have been impossible, as both NICs count it (dma_unmapped,
/// dma_after_invalidate).
std::uint64_t forbidden_dma();

}  // namespace events_test
