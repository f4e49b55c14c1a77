// SPDX-License-Identifier: BSD-2-Clause
#include "pnic_client.hpp"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <stdexcept>

namespace peermr::test {

namespace {

constexpr uint64_t kCommand = 0x04;
constexpr uint16_t kMemoryAndBusMaster = 0x6;
constexpr uint32_t kVectors = 16;

}  // namespace

PnicClient::PnicClient(const std::string& socket, std::shared_ptr<GuestMemory> guest, NotEnabled)
    : vfio(socket), memory(std::move(guest)), eventfds_(kVectors) {
  memory->map_into(vfio);
  set_config16(kCommand, kMemoryAndBusMaster);
  Reply info = vfio.region_info(kBar2, 256);
  if (!info.ok() || info.fds.size() != 1) throw std::runtime_error("BAR 2 has no descriptor");
  void* bar = ::mmap(nullptr, PNIC_BAR_DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                     info.fds[0].get(), static_cast<off_t>(info.at<uint64_t>(24)));
  if (bar == MAP_FAILED) throw std::runtime_error("mmap of BAR 2");
  bar2_ = static_cast<std::byte*>(bar);
}

PnicClient::PnicClient(const std::string& socket, std::shared_ptr<GuestMemory> guest,
                       uint32_t admin_log)
    : PnicClient(socket, std::move(guest), NotEnabled{}) {
  enable(admin_log);
}

PnicClient::~PnicClient() {
  if (bar2_ != nullptr) ::munmap(bar2_, PNIC_BAR_DOORBELL_SIZE);
}

void PnicClient::enable(uint32_t admin_log) {
  admin_log_ = admin_log;
  submitted_ = consumed_ = 0;
  finished_.clear();
  next_slot_ = 0;
  asq_ = memory->alloc(sizeof(pnic_cmd) << admin_log);
  acq_ = memory->alloc(sizeof(pnic_admin_comp) << admin_log);
  set_reg(PNIC_REG_ASQ_BASE_LO, static_cast<uint32_t>(asq_));
  set_reg(PNIC_REG_ASQ_BASE_HI, static_cast<uint32_t>(asq_ >> 32));
  set_reg(PNIC_REG_ACQ_BASE_LO, static_cast<uint32_t>(acq_));
  set_reg(PNIC_REG_ACQ_BASE_HI, static_cast<uint32_t>(acq_ >> 32));
  set_reg(PNIC_REG_ADMIN_SIZE, admin_log);
  set_reg(PNIC_REG_ADMIN_VECTOR, 0);
  set_reg(PNIC_REG_CTRL, PNIC_CTRL_ENABLE);
  if (!eventually([&] { return reg(PNIC_REG_STATUS) == PNIC_STATUS_READY; }))
    throw std::runtime_error("not ready");
  uar_ = static_cast<uint32_t>(must(command(PNIC_CMD_ALLOC_UAR)));
}

uint16_t PnicClient::submit(pnic_cmd command) {
  const auto id = static_cast<uint16_t>(submitted_);
  command.hdr.cmd_id = id;
  const uint64_t index = submitted_ & ((1u << admin_log_) - 1);
  std::memcpy(memory->at(asq_ + index * sizeof(command)), &command, sizeof(command));
  set_reg(PNIC_REG_ASQ_DOORBELL, ++submitted_);
  return id;
}

std::optional<PnicClient::AdminResult> PnicClient::poll_completion(uint16_t id) {
  for (;;) {
    auto* entry = memory->as<pnic_admin_comp>(acq_ + (consumed_ & ((1u << admin_log_) - 1)) *
                                                         sizeof(pnic_admin_comp));
    const uint8_t flags = std::atomic_ref<uint8_t>(entry->flags).load(std::memory_order_acquire);
    const uint8_t phase = ((consumed_ >> admin_log_) & 1) == 0 ? PNIC_ADMIN_COMP_PHASE : 0;
    if ((flags & PNIC_ADMIN_COMP_PHASE) != phase) break;
    finished_.emplace_back(entry->cmd_id, AdminResult{entry->status, entry->result});
    set_reg(PNIC_REG_ACQ_DOORBELL, ++consumed_);
  }
  for (auto it = finished_.begin(); it != finished_.end(); ++it) {
    if (it->first != id) continue;
    const AdminResult result = it->second;
    finished_.erase(it);
    return result;
  }
  return std::nullopt;
}

PnicClient::AdminResult PnicClient::finish(uint16_t id) {
  std::optional<AdminResult> result;
  if (!eventually([&] { return (result = poll_completion(id)).has_value(); })) {
    throw std::runtime_error("no admin completion");
  }
  return *result;
}

uint64_t PnicClient::must(const pnic_cmd& command) {
  const AdminResult result = admin(command);
  if (!result.ok()) {
    throw std::runtime_error("command " + std::to_string(command.hdr.opcode) + ": status " +
                             std::to_string(result.status));
  }
  return result.result;
}

PnicClient::AdminResult PnicClient::on_object(pnic_opcode opcode, uint32_t handle) {
  pnic_cmd c = command(opcode);
  c.u.object.handle = handle;
  return admin(c);
}

uint64_t PnicClient::stat(pnic_stat counter) {
  const uint64_t buffer = memory->alloc(PNIC_STAT_COUNT * 8);
  pnic_cmd c = command(PNIC_CMD_QUERY_STATS);
  c.u.out.addr = buffer;
  c.u.out.length = PNIC_STAT_COUNT * 8;
  must(c);
  return memory->as<uint64_t>(buffer)[counter];
}

pnic_page_list PnicClient::list(uint64_t bus, uint64_t bytes) {
  std::vector<uint64_t> pages;
  const uint64_t first = bus & ~uint64_t{4095};
  for (uint64_t page = first; page < bus + bytes; page += 4096) pages.push_back(page);
  return list(pages, bus - first);
}

pnic_page_list PnicClient::list(const std::vector<uint64_t>& pages, uint64_t offset,
                                uint8_t page_shift) {
  pnic_page_list result{};
  result.offset = offset;
  result.num_pages = static_cast<__le32>(pages.size());
  result.page_shift = page_shift;
  std::vector<uint64_t> level = pages;
  while (level.size() > 1) {
    std::vector<uint64_t> above;
    for (size_t i = 0; i < level.size(); i += PNIC_PAGE_LIST_FANOUT) {
      const uint64_t block = memory->alloc(4096);
      const size_t count = std::min<size_t>(PNIC_PAGE_LIST_FANOUT, level.size() - i);
      std::memcpy(memory->at(block), level.data() + i, count * sizeof(uint64_t));
      above.push_back(block);
    }
    level = std::move(above);
    ++result.levels;
  }
  result.addr = level.empty() ? 0 : level[0];
  return result;
}

pnic_cmd PnicClient::create_mr_command(uint32_t pdn, uint64_t bus, uint64_t iova, uint64_t length,
                                       uint32_t access, uint32_t flags) {
  pnic_cmd c = command(PNIC_CMD_CREATE_MR);
  c.u.create_mr.pdn = pdn;
  c.u.create_mr.access = access;
  c.u.create_mr.flags = flags;
  c.u.create_mr.iova = iova;
  c.u.create_mr.length = length;
  if ((flags & PNIC_MR_INVALID) == 0) c.u.create_mr.pages = list(bus, length);
  return c;
}

uint32_t PnicClient::create_mr(uint32_t pdn, uint64_t bus, uint64_t iova, uint64_t length,
                               uint32_t access, uint32_t flags) {
  return static_cast<uint32_t>(must(create_mr_command(pdn, bus, iova, length, access, flags)));
}

PnicClient::AdminResult PnicClient::invalidate(uint32_t key, uint32_t flags) {
  pnic_cmd c = command(PNIC_CMD_INVALIDATE_MR);
  c.u.invalidate_mr.key = key;
  c.u.invalidate_mr.flags = flags;
  return admin(c);
}

PnicClient::AdminResult PnicClient::validate(uint32_t key, uint64_t bus, uint64_t length) {
  pnic_cmd c = command(PNIC_CMD_VALIDATE_MR);
  c.u.validate_mr.key = key;
  c.u.validate_mr.pages = list(bus, length);
  return admin(c);
}

volatile uint32_t* PnicClient::slot(uint32_t index) const {
  return reinterpret_cast<volatile uint32_t*>(bar2_ + uint64_t{uar_} * PNIC_PAGE_SIZE +
                                              index * PNIC_UAR_SLOT_SIZE);
}

void PnicClient::ring_low(uint32_t index, uint32_t value) {
  std::atomic_thread_fence(std::memory_order_release);
  slot(index)[0] = value;
  kick_if_armed();
}

void PnicClient::ring_high(uint32_t index, uint32_t value) {
  std::atomic_thread_fence(std::memory_order_release);
  slot(index)[1] = value;
  kick_if_armed();
}

void PnicClient::ring_both(uint32_t index, uint32_t low, uint32_t high) {
  std::atomic_thread_fence(std::memory_order_release);
  *reinterpret_cast<volatile uint64_t*>(slot(index)) = uint64_t{high} << 32 | low;
  kick_if_armed();
}

void PnicClient::kick_if_armed() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (*reinterpret_cast<volatile uint32_t*>(bar2_) != 0) vfio.write(kBar0, PNIC_KICK_OFFSET, 1, 4);
}

void PnicClient::use_eventfd(uint32_t vector) {
  eventfds_[vector] = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const int fd = eventfds_[vector].get();
  constexpr uint32_t kDataEventfdActionTrigger = 0x4 | 0x20;
  if (!vfio.set_irqs(kDataEventfdActionTrigger, kMsixIndex, vector, 1, std::span(&fd, 1)).ok()) {
    throw std::runtime_error("SET_IRQS refused");
  }
}

uint64_t PnicClient::interrupts(uint32_t vector) {
  uint64_t count = 0;
  return ::read(eventfds_[vector].get(), &count, sizeof(count)) == sizeof(count) ? count : 0;
}

}  // namespace peermr::test
