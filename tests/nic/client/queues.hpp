// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "pnic_client.hpp"

namespace peermr::test {

/// An event queue of a client.
class EventRing {
 public:
  EventRing(PnicClient& client, uint32_t vector, uint8_t log_size = 8);

  std::optional<pnic_eqe> poll();
  /// Waits for the next event, which must be there in time.
  pnic_eqe next();
  void arm();

  uint32_t eqn = 0;
  uint32_t consumed = 0;

 private:
  PnicClient& client_;
  uint64_t ring_;
  uint8_t log_size_;
  uint32_t slot_;
  uint32_t arm_sequence_ = 0;
};

/// A completion queue of a client.
class CompletionRing {
 public:
  CompletionRing(PnicClient& client, uint32_t eqn, uint8_t log_size = 8);

  /// Takes an entry and reports it as consumed, unless `report` says to leave that for later.
  std::optional<pnic_cqe> poll(bool report = true);
  pnic_cqe next();
  /// True if nothing arrives for this long.
  bool stays_empty(std::chrono::milliseconds time);
  void arm(uint32_t kind);
  void report();

  uint32_t cqn = 0;
  uint32_t consumed = 0;
  uint32_t slot = 0;

 private:
  PnicClient& client_;
  uint64_t ring_;
  uint8_t log_size_;
  uint32_t arm_ = 0;
};

/// A queue pair of a client, with its rings.
class QueuePairClient {
 public:
  struct Options {
    uint8_t log_size = 6;
    uint8_t sq_stride_shift = 9;
    uint8_t rq_stride_shift = 6;
    bool signal_all = false;
  };
  QueuePairClient(PnicClient& client, uint32_t pdn, CompletionRing& send, CompletionRing& receive)
      : QueuePairClient(client, pdn, send, receive, Options()) {}
  QueuePairClient(PnicClient& client, uint32_t pdn, CompletionRing& send, CompletionRing& receive,
                  Options options);

  struct Send {
    uint8_t opcode = PNIC_WQE_SEND;
    uint8_t flags = PNIC_WQE_SIGNALED;
    uint64_t wr_id = 0;
    uint64_t remote_addr = 0;
    uint32_t rkey = 0;
    uint32_t imm = 0;
    std::vector<pnic_sge> sges;
    std::vector<std::byte> inline_data;
  };
  /// Writes a WQE; ring() tells the device of all that were written.
  void post(const Send& send);
  void post_receive(uint64_t wr_id, const std::vector<pnic_sge>& sges);
  /// Writes any bytes as the next WQE of the SQ or RQ.
  void post_raw(bool send, std::span<const std::byte> wqe);
  void ring();

  PnicClient::AdminResult modify(uint32_t mask, const pnic_qp_attr& attr);
  pnic_qp_query query();
  uint8_t state() { return query().attr.state; }

  struct Connection {
    uint16_t lid = 0;
    uint32_t qpn = 0;
    uint8_t timeout = 8;  // about 1 ms
    uint8_t retry_cnt = 2;
    uint8_t rnr_retry = 2;
    uint8_t min_rnr_timer = 1;
    uint32_t access = PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ;
  };
  /// RESET to RTS.
  void connect(const Connection& to);
  static pnic_qp_attr attributes(const Connection& to, pnic_qp_state state);
  static constexpr uint32_t kInitMask = PNIC_QP_ATTR_STATE | PNIC_QP_ATTR_ACCESS;
  static constexpr uint32_t kRtrMask =
      PNIC_QP_ATTR_STATE | PNIC_QP_ATTR_AV | PNIC_QP_ATTR_PATH_MTU | PNIC_QP_ATTR_DEST_QPN |
      PNIC_QP_ATTR_RQ_PSN | PNIC_QP_ATTR_MAX_DEST_RD_ATOMIC | PNIC_QP_ATTR_MIN_RNR_TIMER;
  static constexpr uint32_t kRtsMask = PNIC_QP_ATTR_STATE | PNIC_QP_ATTR_TIMEOUT |
                                       PNIC_QP_ATTR_RETRY_CNT | PNIC_QP_ATTR_RNR_RETRY |
                                       PNIC_QP_ATTR_SQ_PSN | PNIC_QP_ATTR_MAX_RD_ATOMIC;
  void to_reset();

  uint32_t qpn = 0;
  uint32_t slot = 0;
  uint32_t sq_pi = 0;
  uint32_t rq_pi = 0;

 private:
  PnicClient& client_;
  Options options_;
  uint64_t sq_ = 0;
  uint64_t rq_ = 0;
};

}  // namespace peermr::test
