// SPDX-License-Identifier: BSD-2-Clause
#include "queues.hpp"

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace peermr::test {

namespace {

/// An entry of a ring, once the device has written it.
template <typename Entry>
std::optional<Entry> take(const GuestMemory& memory, uint64_t ring, uint32_t index,
                          uint8_t log_size, __u8 Entry::*flags, uint8_t phase_bit) {
  auto* entry = memory.as<Entry>(ring + (index & ((1u << log_size) - 1)) * sizeof(Entry));
  const uint8_t seen = std::atomic_ref<__u8>(entry->*flags).load(std::memory_order_acquire);
  const uint8_t expected = ((index >> log_size) & 1) == 0 ? phase_bit : 0;
  if ((seen & phase_bit) != expected) return std::nullopt;
  return *entry;
}

}  // namespace

EventRing::EventRing(PnicClient& client, uint32_t vector, uint8_t log_size)
    : client_(client),
      ring_(client.memory->alloc(sizeof(pnic_eqe) << log_size)),
      log_size_(log_size),
      slot_(client.take_slot()) {
  pnic_cmd c = PnicClient::command(PNIC_CMD_CREATE_EQ);
  c.u.create_eq.vector = vector;
  c.u.create_eq.uar = client.uar();
  c.u.create_eq.slot = slot_;
  c.u.create_eq.log_size = log_size;
  c.u.create_eq.pages = client.list(ring_, sizeof(pnic_eqe) << log_size);
  eqn = static_cast<uint32_t>(client.must(c));
}

std::optional<pnic_eqe> EventRing::poll() {
  auto entry = take(*client_.memory, ring_, consumed, log_size_, &pnic_eqe::flags, PNIC_EQE_PHASE);
  if (entry) client_.ring_low(slot_, ++consumed);
  return entry;
}

pnic_eqe EventRing::next() {
  std::optional<pnic_eqe> event;
  if (!eventually([&] { return (event = poll()).has_value(); }))
    throw std::runtime_error("no event");
  return *event;
}

void EventRing::arm() {
  arm_sequence_ += 1u << PNIC_ARM_SEQ_SHIFT;
  client_.ring_both(slot_, consumed, arm_sequence_ | PNIC_ARM_ANY);
}

CompletionRing::CompletionRing(PnicClient& client, uint32_t eqn, uint8_t log_size)
    : slot(client.take_slot()),
      client_(client),
      ring_(client.memory->alloc(sizeof(pnic_cqe) << log_size)),
      log_size_(log_size) {
  pnic_cmd c = PnicClient::command(PNIC_CMD_CREATE_CQ);
  c.u.create_cq.eqn = eqn;
  c.u.create_cq.uar = client.uar();
  c.u.create_cq.slot = slot;
  c.u.create_cq.log_size = log_size;
  c.u.create_cq.pages = client.list(ring_, sizeof(pnic_cqe) << log_size);
  cqn = static_cast<uint32_t>(client.must(c));
}

std::optional<pnic_cqe> CompletionRing::poll(bool report_it) {
  auto entry =
      take(*client_.memory, ring_, consumed, log_size_, &pnic_cqe::flags, PNIC_CQE_FLAG_PHASE);
  if (entry) {
    ++consumed;
    if (report_it) report();
  }
  return entry;
}

void CompletionRing::report() {
  client_.slot(slot)[0] = consumed;
}

pnic_cqe CompletionRing::next() {
  std::optional<pnic_cqe> cqe;
  if (!eventually([&] { return (cqe = poll()).has_value(); }))
    throw std::runtime_error("no completion");
  return *cqe;
}

bool CompletionRing::stays_empty(std::chrono::milliseconds time) {
  std::this_thread::sleep_for(time);
  return !poll(false).has_value();
}

void CompletionRing::arm(uint32_t kind) {
  arm_ = (arm_ & ~PNIC_ARM_MASK) + (1u << PNIC_ARM_SEQ_SHIFT);
  arm_ |= kind;
  client_.ring_both(slot, consumed, arm_);
}

QueuePairClient::QueuePairClient(PnicClient& client, uint32_t pdn, CompletionRing& send,
                                 CompletionRing& receive, Options options)
    : slot(client.take_slot()), client_(client), options_(options) {
  const uint64_t sq_bytes = uint64_t{1} << (options.log_size + options.sq_stride_shift);
  const uint64_t rq_bytes = uint64_t{1} << (options.log_size + options.rq_stride_shift);
  sq_ = client.memory->alloc(sq_bytes);
  rq_ = client.memory->alloc(rq_bytes);
  pnic_cmd c = PnicClient::command(PNIC_CMD_CREATE_QP);
  c.u.create_qp.pdn = pdn;
  c.u.create_qp.scqn = send.cqn;
  c.u.create_qp.rcqn = receive.cqn;
  c.u.create_qp.srqn = PNIC_NO_SRQ;
  c.u.create_qp.uar = client.uar();
  c.u.create_qp.slot = slot;
  c.u.create_qp.type = PNIC_QPT_RC;
  c.u.create_qp.flags = options.signal_all ? PNIC_QP_SQ_SIG_ALL : 0;
  c.u.create_qp.sq_log_size = c.u.create_qp.rq_log_size = options.log_size;
  c.u.create_qp.sq_stride_shift = options.sq_stride_shift;
  c.u.create_qp.rq_stride_shift = options.rq_stride_shift;
  c.u.create_qp.sq = client.list(sq_, sq_bytes);
  c.u.create_qp.rq = client.list(rq_, rq_bytes);
  qpn = static_cast<uint32_t>(client.must(c));
}

void QueuePairClient::post_raw(bool send, std::span<const std::byte> wqe) {
  const uint32_t mask = (1u << options_.log_size) - 1;
  const uint64_t at = send ? sq_ + (uint64_t{sq_pi++ & mask} << options_.sq_stride_shift)
                           : rq_ + (uint64_t{rq_pi++ & mask} << options_.rq_stride_shift);
  std::memcpy(client_.memory->at(at), wqe.data(), wqe.size());
}

void QueuePairClient::post(const Send& send) {
  std::vector<std::byte> wqe(sizeof(pnic_sq_wqe));
  pnic_sq_wqe head{};
  head.opcode = send.opcode;
  head.flags = send.flags;
  head.num_sge = static_cast<__u8>(send.sges.size());
  head.imm = send.imm;
  head.wr_id = send.wr_id;
  head.remote_addr = send.remote_addr;
  head.rkey = send.rkey;
  head.inline_len = static_cast<__le32>(send.inline_data.size());
  std::memcpy(wqe.data(), &head, sizeof(head));
  const auto sges = std::as_bytes(std::span(send.sges));
  wqe.insert(wqe.end(), sges.begin(), sges.end());
  wqe.insert(wqe.end(), send.inline_data.begin(), send.inline_data.end());
  post_raw(true, wqe);
}

void QueuePairClient::post_receive(uint64_t wr_id, const std::vector<pnic_sge>& sges) {
  std::vector<std::byte> wqe(sizeof(pnic_rq_wqe));
  pnic_rq_wqe head{};
  head.wr_id = wr_id;
  head.num_sge = static_cast<__le32>(sges.size());
  std::memcpy(wqe.data(), &head, sizeof(head));
  const auto list = std::as_bytes(std::span(sges));
  wqe.insert(wqe.end(), list.begin(), list.end());
  post_raw(false, wqe);
}

void QueuePairClient::ring() {
  client_.ring_both(slot, sq_pi, rq_pi);
}

PnicClient::AdminResult QueuePairClient::modify(uint32_t mask, const pnic_qp_attr& attr) {
  pnic_cmd c = PnicClient::command(PNIC_CMD_MODIFY_QP);
  c.u.modify_qp.qpn = qpn;
  c.u.modify_qp.mask = mask;
  c.u.modify_qp.attr = attr;
  return client_.admin(c);
}

pnic_qp_query QueuePairClient::query() {
  const uint64_t buffer = client_.memory->alloc(sizeof(pnic_qp_query), 8192);
  pnic_cmd c = PnicClient::command(PNIC_CMD_QUERY_QP);
  c.u.out.addr = buffer;
  c.u.out.length = sizeof(pnic_qp_query);
  c.u.out.handle = qpn;
  client_.must(c);
  return *client_.memory->as<pnic_qp_query>(buffer);
}

pnic_qp_attr QueuePairClient::attributes(const Connection& to, pnic_qp_state state) {
  pnic_qp_attr attr{};
  attr.state = static_cast<__u8>(state);
  attr.path_mtu = 5;
  attr.timeout = to.timeout;
  attr.retry_cnt = to.retry_cnt;
  attr.rnr_retry = to.rnr_retry;
  attr.min_rnr_timer = to.min_rnr_timer;
  attr.max_rd_atomic = attr.max_dest_rd_atomic = 4;
  attr.access = to.access;
  attr.dest_qpn = to.qpn;
  attr.av.dlid = to.lid;
  return attr;
}

void QueuePairClient::connect(const Connection& to) {
  const bool connected = modify(kInitMask, attributes(to, PNIC_QPS_INIT)).ok() &&
                         modify(kRtrMask, attributes(to, PNIC_QPS_RTR)).ok() &&
                         modify(kRtsMask, attributes(to, PNIC_QPS_RTS)).ok();
  if (!connected) throw std::runtime_error("MODIFY_QP refused");
}

void QueuePairClient::to_reset() {
  sq_pi = rq_pi = 0;
  ring();
  pnic_qp_attr attr{};
  attr.state = PNIC_QPS_RESET;
  if (!modify(PNIC_QP_ATTR_STATE, attr).ok()) throw std::runtime_error("RESET refused");
}

}  // namespace peermr::test
