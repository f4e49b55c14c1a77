// SPDX-License-Identifier: BSD-2-Clause
//
// Fuzz target: any content of registers, doorbells, rings, commands and guest memory.
//
// A NIC is set up with its memory in the middle of a file, a PD, an MR, an EQ, a CQ and a QP that
// is connected to itself; then the input is carried out, operation by operation. Memory of the same
// file that was not given to the device must stay as it was.

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "fuzz_driver.hpp"
#include "in_process_wire.hpp"
#include "nic.hpp"
#include "peermr/log.hpp"

namespace {

using namespace peermr;
using namespace peermr::nic;

constexpr size_t kGuardBytes = 64 * 1024;
constexpr size_t kBytes = 256 * 1024;
constexpr uint64_t kBus = 0x10'0000'0000;
constexpr uint64_t kFarBus = 0x20'0000'0000;

// Where things are in the memory.
constexpr uint64_t kAsq = 0x0, kAcq = 0x1000, kEq = 0x2000, kCq = 0x3000, kSq = 0x4000,
                   kRq = 0x5000, kData = 0x8000;
constexpr uint32_t kAdminLog = 3, kQueueLog = 4;

/// A client that takes its time: requests wait here until the input has them answered.
class SlowChannel final : public DmaChannel {
 public:
  struct Request {
    uint64_t cookie;
    uint32_t read_bytes;
  };
  bool dma_read(uint64_t, uint32_t count, uint64_t cookie) override {
    return take({cookie, count});
  }
  bool dma_write(uint64_t, std::span<const std::byte>, uint64_t cookie) override {
    return take({cookie, 0});
  }
  uint32_t max_transfer_bytes() const noexcept override { return 1 << 20; }

  std::deque<Request> requests;

 private:
  bool take(const Request& request) {
    if (requests.size() >= 8) return false;
    requests.push_back(request);
    return true;
  }
};

struct World {
  World() {
    set_log_level(LogLevel::kOff);
    auto created = Nic::create(1, wire, {});
    if (!created) std::abort();
    nic = *std::move(created);
    file = UniqueFd(::memfd_create("fuzz", MFD_CLOEXEC));
    const size_t total = kBytes + 2 * kGuardBytes;
    if (::ftruncate(file.get(), static_cast<off_t>(total)) != 0) std::abort();
    void* mapped = ::mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (mapped == MAP_FAILED) std::abort();
    low_guard = static_cast<uint8_t*>(mapped);
    memory = low_guard + kGuardBytes;
    high_guard = memory + kBytes;
    std::memset(low_guard, 0xc5, kGuardBytes);
    std::memset(high_guard, 0xc5, kGuardBytes);
  }

  bool guards_intact() const {
    for (size_t i = 0; i < kGuardBytes; ++i) {
      if (low_guard[i] != 0xc5 || high_guard[i] != 0xc5) return false;
    }
    return true;
  }

  void write(uint32_t region, uint64_t offset, const void* value, size_t size) {
    nic->region_write(region, offset,
                      std::as_bytes(std::span(static_cast<const uint8_t*>(value), size)));
  }
  void reg(uint32_t offset, uint32_t value) { write(vfio_user::kBar0Region, offset, &value, 4); }
  void poll(int turns) {
    uint64_t moved = 0;
    for (int i = 0; i < turns; ++i) nic->poll(moved);
  }

  uint64_t command(const pnic_cmd& cmd) {
    std::memcpy(memory + kAsq + (submitted & ((1u << kAdminLog) - 1)) * sizeof(cmd), &cmd,
                sizeof(cmd));
    reg(PNIC_REG_ASQ_DOORBELL, ++submitted);
    poll(2);
    pnic_admin_comp entry;
    std::memcpy(&entry, memory + kAcq + ((submitted - 1) & ((1u << kAdminLog) - 1)) * sizeof(entry),
                sizeof(entry));
    reg(PNIC_REG_ACQ_DOORBELL, submitted);
    return entry.result;
  }

  static pnic_page_list page(uint64_t at) {
    pnic_page_list list{};
    list.addr = kBus + at;
    list.num_pages = 1;
    list.page_shift = 12;
    return list;
  }

  void set_up();
  void create_objects();
  void connect(uint32_t qpn);

  InProcessWire wire;
  std::unique_ptr<Nic> nic;
  SlowChannel channel;
  UniqueFd file;
  uint8_t* low_guard = nullptr;
  uint8_t* memory = nullptr;
  uint8_t* high_guard = nullptr;
  uint32_t submitted = 0;
  uint32_t uar = 0;
  uint32_t key = 0;
  uint32_t far_key = 0;  // of memory behind the client
};

void World::set_up() {
  std::memset(memory, 0, kBytes);
  submitted = 0;
  nic->on_connected(channel);
  nic->dma_map({32, 3, kGuardBytes, kBus, kBytes}, UniqueFd(::dup(file.get())));
  nic->dma_map({32, 3, 0, kFarBus, 0x10000}, UniqueFd());  // memory behind the client
  const uint16_t enable = 6;
  write(vfio_user::kConfigRegion, 4, &enable, 2);
  reg(PNIC_REG_ASQ_BASE_LO, static_cast<uint32_t>(kBus + kAsq));
  reg(PNIC_REG_ASQ_BASE_HI, (kBus + kAsq) >> 32);
  reg(PNIC_REG_ACQ_BASE_LO, static_cast<uint32_t>(kBus + kAcq));
  reg(PNIC_REG_ACQ_BASE_HI, (kBus + kAcq) >> 32);
  reg(PNIC_REG_ADMIN_SIZE, kAdminLog);
  reg(PNIC_REG_CTRL, PNIC_CTRL_ENABLE);
  create_objects();
}

/// A PD, two MRs, an EQ, a CQ, and a QP that is its own peer.
void World::create_objects() {
  const auto make = [](uint8_t opcode) {
    pnic_cmd c{};
    c.hdr.opcode = opcode;
    return c;
  };
  const auto pdn = static_cast<uint32_t>(command(make(PNIC_CMD_ALLOC_PD)));
  uar = static_cast<uint32_t>(command(make(PNIC_CMD_ALLOC_UAR)));
  pnic_cmd c = make(PNIC_CMD_CREATE_MR);
  c.u.create_mr.pdn = pdn;
  c.u.create_mr.access =
      PNIC_ACCESS_LOCAL_WRITE | PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ;
  c.u.create_mr.flags = PNIC_MR_FAULTABLE;
  c.u.create_mr.length = 0x4000;
  c.u.create_mr.pages = page(kData);
  c.u.create_mr.pages.page_shift = 14;
  key = static_cast<uint32_t>(command(c));
  c.u.create_mr.pages.addr = kFarBus;
  far_key = static_cast<uint32_t>(command(c));
  c = make(PNIC_CMD_CREATE_EQ);
  c.u.create_eq.uar = uar;
  c.u.create_eq.slot = 0;
  c.u.create_eq.log_size = kQueueLog;
  c.u.create_eq.pages = page(kEq);
  const auto eqn = static_cast<uint32_t>(command(c));
  c = make(PNIC_CMD_CREATE_CQ);
  c.u.create_cq.eqn = eqn;
  c.u.create_cq.uar = uar;
  c.u.create_cq.slot = 1;
  c.u.create_cq.log_size = kQueueLog;
  c.u.create_cq.pages = page(kCq);
  const auto cqn = static_cast<uint32_t>(command(c));
  c = make(PNIC_CMD_CREATE_QP);
  auto& q = c.u.create_qp;
  q.pdn = pdn;
  q.scqn = q.rcqn = cqn;
  q.srqn = PNIC_NO_SRQ;
  q.uar = uar;
  q.slot = 2;
  q.type = PNIC_QPT_RC;
  q.sq_log_size = q.rq_log_size = kQueueLog;
  q.sq_stride_shift = q.rq_stride_shift = 6;
  q.sq = page(kSq);
  q.rq = page(kRq);
  connect(static_cast<uint32_t>(command(c)));
}

void World::connect(uint32_t qpn) {
  for (const pnic_qp_state state : {PNIC_QPS_INIT, PNIC_QPS_RTR, PNIC_QPS_RTS}) {
    pnic_cmd c{};
    c.hdr.opcode = PNIC_CMD_MODIFY_QP;
    c.u.modify_qp.qpn = qpn;
    auto& a = c.u.modify_qp.attr;
    a.state = static_cast<__u8>(state);
    a.access = PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_READ;
    a.path_mtu = 5;
    a.timeout = 1;
    a.min_rnr_timer = 1;
    a.dest_qpn = qpn;
    a.av.dlid = 1;
    c.u.modify_qp.mask = state == PNIC_QPS_INIT  ? 0x0005u
                         : state == PNIC_QPS_RTR ? 0x3000u | 0x0400u | 0x0100u | 0x0019u
                                                 : 0x0800u | 0x0200u | 0x00e0u | 1u;
    command(c);
  }
}

/// Takes bytes from the input until it is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  uint16_t u16() { return static_cast<uint16_t>(byte() | byte() << 8); }
  uint32_t u32() { return u16() | uint32_t{u16()} << 16; }
  void bytes(uint8_t* to, size_t size) {
    for (size_t i = 0; i < size; ++i) to[i] = byte();
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

uint32_t any_key(const World& w, Input& input) {
  switch (input.byte() % 8) {
    case 0:
      return input.u32();
    case 2:
      return w.far_key;
    default:
      return w.key;
  }
}

void answer_one(World& w, Input& input) {
  if (w.channel.requests.empty()) return;
  const SlowChannel::Request request = w.channel.requests.front();
  w.channel.requests.pop_front();
  const int error = input.byte() % 4 == 0 ? EFAULT : 0;
  const std::vector<std::byte> data(error == 0 ? request.read_bytes : 0, std::byte{0x42});
  w.nic->on_dma_reply(request.cookie, error, data);
}

void carry_out(World& w, Input& input) {
  switch (input.byte() % 9) {
    case 8:
      return answer_one(w, input);
    case 0:  // a register, or anything of BAR 0
      return w.reg(input.u16() % PNIC_BAR_REGS_SIZE & ~3u, input.u32());
    case 1: {  // configuration space
      const uint16_t at = input.u16() % 256;
      const uint32_t value = input.u32();
      return w.write(vfio_user::kConfigRegion, at, &value, 1u << (at % 3));
    }
    case 2: {  // a doorbell
      const uint32_t slot = input.byte() % 4;
      const uint32_t half = input.byte() & 1;
      const uint32_t value = input.byte() % 4 == 0 ? input.u32() : input.byte();
      const uint64_t at = uint64_t{w.uar} * PNIC_PAGE_SIZE + slot * 8 + half * 4;
      return w.write(vfio_user::kBar2Region, at, &value, 4);
    }
    case 3: {  // a command
      pnic_cmd c{};
      c.hdr.opcode = input.byte();
      const size_t length = input.byte() % (PNIC_CMD_PAYLOAD_SIZE + 1);
      input.bytes(c.u.payload, length);
      w.command(c);
      return;
    }
    case 4: {  // a send WQE
      const uint32_t index = input.byte() % (1u << kQueueLog);
      pnic_sq_wqe wqe{};
      wqe.opcode = input.byte() % 6;
      wqe.flags = input.byte() % 32;
      wqe.num_sge = input.byte() % 4;
      wqe.remote_addr = input.u16();
      wqe.rkey = any_key(w, input);
      wqe.inline_len = input.byte();
      std::memcpy(w.memory + kSq + index * 64, &wqe, sizeof(wqe));
      for (int i = 0; i < 2; ++i) {
        const pnic_sge sge{input.u16(), input.u16(), any_key(w, input)};
        std::memcpy(w.memory + kSq + index * 64 + 32 + i * 16, &sge, sizeof(sge));
      }
      return;
    }
    case 5: {  // a receive WQE
      const uint32_t index = input.byte() % (1u << kQueueLog);
      const pnic_rq_wqe wqe{0, input.byte() % 4u, 0};
      std::memcpy(w.memory + kRq + index * 64, &wqe, sizeof(wqe));
      for (int i = 0; i < 3; ++i) {
        const pnic_sge sge{input.u16(), input.u16(), any_key(w, input)};
        std::memcpy(w.memory + kRq + index * 64 + 16 + i * 16, &sge, sizeof(sge));
      }
      return;
    }
    case 6: {  // any memory
      const size_t length = input.byte() % 64;
      const size_t at = input.u16() * 4u % (kBytes - 64);
      return input.bytes(w.memory + at, length);
    }
    default:
      if (input.byte() % 16 == 0) w.nic->dma_unmap({24, 0, kBus, kBytes});
      return w.poll(1 + input.byte() % 4);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World* w = new World();  // never destroyed: nothing may run after main()
  w->set_up();
  Input input(data, size);
  while (!input.empty()) carry_out(*w, input);
  w->poll(4);
  w->nic->on_disconnected();
  w->channel.requests.clear();
  if (!w->guards_intact()) std::abort();
  return 0;
}

std::vector<std::vector<uint8_t>> fuzz_seeds() {
  // A send and a receive, both doorbells, some turns; commands; arming.
  return {{4, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 64, 0, 1, 0, 0, 0, 0, 1, 2, 2, 0, 1, 1, 7, 1, 2},
          {4, 0, 2, 1, 1, 0, 0, 1, 0, 0, 0, 0, 16, 1, 0, 0, 0, 0, 1, 2, 2, 0, 1, 1, 7, 1, 2},
          {5, 0, 2, 0, 0, 0, 16, 1, 0, 0, 64, 0, 1, 0, 0, 0, 0, 1, 2, 2, 1, 1, 1, 7, 1, 2},
          {4, 0, 2, 1, 1, 0, 0, 2, 0, 0, 0, 64, 0, 1, 0, 0,
           0, 0, 1, 2, 2, 0, 1, 1, 7, 1, 2, 8,  1, 7, 1, 2},
          {4, 0, 4, 1, 1, 0, 0, 1, 0, 0, 0, 64, 0, 2, 0, 0,
           0, 0, 1, 2, 2, 0, 1, 1, 7, 1, 2, 8,  1, 7, 1, 2},
          {3, 0x22, 8, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 1},
          {3, 0x24, 8, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0x12, 0, 3, 0x10, 0},
          {3, 0x21, 8, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0x43, 8, 16, 0, 0, 0, 0, 0, 0, 0},
          {2, 1, 1, 1, 6, 2, 0, 1, 1, 6, 7, 1, 1},
          {0, 0x10, 0, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0},
          {1, 4, 0, 2, 0, 0, 0, 1, 0x68, 0, 0, 0x80, 0, 0}};
}
