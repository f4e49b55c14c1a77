// SPDX-License-Identifier: BSD-2-Clause
#include "admin_commands.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"
#include "nic_core.hpp"
#include "object_commands.hpp"
#include "page_list.hpp"

namespace peermr::nic {

namespace {

// How long the translation outlives its invalidation with --break-fence.
constexpr std::chrono::milliseconds kBrokenFence{2};

CommandResult done(pnic_cmd_status status, uint64_t result = 0) {
  return {CommandResult::Kind::kDone, status, result, 0};
}

CommandResult fence(uint32_t key) {
  return {CommandResult::Kind::kFence, PNIC_CMD_OK, 0, key};
}

/// An answer goes to guest memory: within one page, cut to the room that there is.
CommandResult answer(NicCore& core, const pnic_cmd_out_buf& out, const void* data, size_t size) {
  if (!is_aligned<uint64_t>(out.addr, 8) || out.length == 0 ||
      !range_in<uint64_t>(out.addr % PNIC_PAGE_SIZE, out.length, PNIC_PAGE_SIZE)) {
    return done(PNIC_CMD_BAD_PARAM);
  }
  if (!write_bus(core.dma, out.addr, data, std::min<size_t>(size, out.length)))
    return done(PNIC_CMD_DMA_ERROR);
  return done(PNIC_CMD_OK);
}

CommandResult query_device(NicCore& core, const pnic_cmd_out_buf& out) {
  if (out.handle != 0) return done(PNIC_CMD_BAD_PARAM);
  pnic_device_attr attr{};
  attr.node_guid = core.port.guid;
  attr.fw_version = uint64_t{1} << 32;
  attr.max_mr_size = MemoryRegionTable::kMaxLength;
  attr.max_mr = MemoryRegionTable::kMaxRegions;
  attr.max_pd = Limits::kMaxPd;
  attr.max_cq = Limits::kMaxCq;
  attr.max_qp = Limits::kMaxQp;
  attr.max_eq = Limits::kMaxEq;
  attr.num_uars = PNIC_NUM_UARS - 1;
  attr.max_cqe = 1u << PNIC_CQ_LOG_MAX;
  attr.max_qp_wr = 1u << PNIC_QP_LOG_MAX;
  attr.max_sge = PNIC_MAX_SGE;
  attr.max_inline = PNIC_MAX_INLINE;
  attr.max_rd_atomic = Limits::kMaxRdAtomic;
  attr.max_msg_size = PNIC_MAX_MSG_SIZE;
  attr.key_bits = 32;
  attr.fault_timeout_ms = static_cast<uint32_t>(Limits::kFaultTimeout.count());
  attr.lid = core.port.lid;
  attr.port_state = PNIC_PORT_ACTIVE;
  attr.max_mtu = 5;
  attr.active_mtu = 5;
  std::copy(core.port.gid.begin(), core.port.gid.end(), std::begin(attr.gid));
  return answer(core, out, &attr, sizeof(attr));
}

CommandResult query_stats(NicCore& core, const pnic_cmd_out_buf& out) {
  if (out.handle != 0) return done(PNIC_CMD_BAD_PARAM);
  const auto& counters = core.stats.all();
  return answer(core, out, counters.data(), sizeof(counters));
}

CommandResult query_qp(NicCore& core, const pnic_cmd_out_buf& out) {
  const QueuePair* qp = core.qps.find(out.handle);
  if (qp == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  const pnic_qp_query query = qp->query();
  return answer(core, out, &query, sizeof(query));
}

CommandResult self_test(const pnic_cmd_self_test& test) {
  const bool valid = test.bytes >= 1 && test.bytes <= PNIC_SELF_TEST_MAX_BYTES &&
                     test.iterations >= 1 && test.iterations <= PNIC_SELF_TEST_MAX_ITERATIONS;
  if (!valid) return done(PNIC_CMD_BAD_PARAM);
  return {CommandResult::Kind::kSelfTest, PNIC_CMD_OK, 0, 0};
}

void set_memory(NicCore& core, MemoryRegion& region, GuestBuffer memory) {
  core.regions.count_pages(memory.num_pages(), region.memory.num_pages());
  region.memory = std::move(memory);
}

/// The driver has dealt with the MR's fault, one way or another: it need not read of it any more.
void settle_fault(NicCore& core, MemoryRegion& region) {
  region.fault_pending = false;
  for (EventQueue* eq : core.eqs.live()) eq->forget(PNIC_EVENT_MR_FAULT, region.key);
}

CommandResult create_mr(NicCore& core, const pnic_cmd_create_mr& c) {
  constexpr uint32_t kRemoteWriters = PNIC_ACCESS_REMOTE_WRITE | PNIC_ACCESS_REMOTE_ATOMIC;
  const bool invalid = (c.flags & PNIC_MR_INVALID) != 0;
  if ((c.access & ~PNIC_ACCESS_MASK) != 0 || (c.flags & ~PNIC_MR_FLAGS_MASK) != 0 ||
      c.reserved != 0) {
    return done(PNIC_CMD_BAD_PARAM);
  }
  if ((c.access & kRemoteWriters) != 0 && (c.access & PNIC_ACCESS_LOCAL_WRITE) == 0)
    return done(PNIC_CMD_BAD_PARAM);
  if (c.length == 0 || c.length > MemoryRegionTable::kMaxLength ||
      !checked_add<uint64_t>(c.iova, c.length)) {
    return done(PNIC_CMD_BAD_PARAM);
  }
  if (invalid) {
    const pnic_page_list none{};
    if ((c.flags & PNIC_MR_FAULTABLE) == 0 || std::memcmp(&c.pages, &none, sizeof(none)) != 0) {
      return done(PNIC_CMD_BAD_PARAM);
    }
  }
  ProtectionDomain* pd = core.pds.find(c.pdn);
  if (pd == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  GuestBuffer memory;
  if (!invalid) {
    const pnic_cmd_status status =
        read_page_list(core.dma, c.pages, c.length, core.regions.page_budget(), memory);
    if (status != PNIC_CMD_OK) return done(status);
  }
  MemoryRegion* region = core.regions.add();
  if (region == nullptr) return done(PNIC_CMD_NO_RESOURCE);
  region->pdn = c.pdn;
  region->access = c.access;
  region->faultable = (c.flags & PNIC_MR_FAULTABLE) != 0;
  region->state = invalid ? MemoryRegion::State::kInvalid : MemoryRegion::State::kValid;
  region->iova = c.iova;
  region->length = c.length;
  set_memory(core, *region, std::move(memory));
  ++pd->users;
  return done(PNIC_CMD_OK, region->key);
}

MemoryRegion* find_region(NicCore& core, uint32_t key) {
  MemoryRegion* region = core.regions.find(key);
  return region != nullptr && !region->destroying ? region : nullptr;
}

CommandResult invalidate_mr(NicCore& core, const pnic_cmd_invalidate_mr& c) {
  if ((c.flags & ~PNIC_INVALIDATE_REVOKE) != 0) return done(PNIC_CMD_BAD_PARAM);
  MemoryRegion* region = find_region(core, c.key);
  if (region == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  const bool revoke = (c.flags & PNIC_INVALIDATE_REVOKE) != 0;
  if (!revoke) {
    if (!region->faultable || region->state == MemoryRegion::State::kRevoked)
      return done(PNIC_CMD_BAD_STATE);
    if (core.options.break_fence && region->state == MemoryRegion::State::kValid) {
      region->state = MemoryRegion::State::kInvalid;
      region->broken_until = Clock::now() + kBrokenFence;
      core.stats.add(PNIC_STAT_INVALIDATE);
      return done(PNIC_CMD_OK);
    }
    if (region->state == MemoryRegion::State::kValid) region->state = MemoryRegion::State::kInvalid;
    if (!core.options.break_fence) set_memory(core, *region, {});
    return fence(c.key);
  }
  region->state = MemoryRegion::State::kRevoked;
  set_memory(core, *region, {});
  settle_fault(core, *region);
  core.wake_waiters(c.key);
  return fence(c.key);
}

CommandResult validate_mr(NicCore& core, const pnic_cmd_validate_mr& c) {
  if (c.reserved != 0) return done(PNIC_CMD_BAD_PARAM);
  MemoryRegion* region = find_region(core, c.key);
  if (region == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  if (region->state != MemoryRegion::State::kInvalid) return done(PNIC_CMD_BAD_STATE);
  GuestBuffer memory;
  const uint64_t budget = core.regions.page_budget() + region->memory.num_pages();
  const pnic_cmd_status status = read_page_list(core.dma, c.pages, region->length, budget, memory);
  if (status != PNIC_CMD_OK) return done(status);
  set_memory(core, *region, std::move(memory));
  region->state = MemoryRegion::State::kValid;
  region->broken_until = {};
  settle_fault(core, *region);
  core.wake_waiters(c.key);
  return done(PNIC_CMD_OK);
}

CommandResult fault_done(NicCore& core, uint32_t key) {
  MemoryRegion* region = find_region(core, key);
  if (region == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  settle_fault(core, *region);
  for (QueuePair* qp : core.qps.live()) qp->requester().on_fault_done(key);
  return done(PNIC_CMD_OK);
}

CommandResult destroy_mr(NicCore& core, uint32_t key) {
  MemoryRegion* region = find_region(core, key);
  if (region == nullptr) return done(PNIC_CMD_BAD_HANDLE);
  region->state = MemoryRegion::State::kRevoked;
  region->destroying = true;
  set_memory(core, *region, {});
  settle_fault(core, *region);
  core.wake_waiters(key);
  return fence(key);
}

CommandResult dispatch(NicCore& core, const pnic_cmd& command) {
  const auto& u = command.u;
  switch (command.hdr.opcode) {
    case PNIC_CMD_QUERY_DEVICE:
      return query_device(core, u.out);
    case PNIC_CMD_QUERY_STATS:
      return query_stats(core, u.out);
    case PNIC_CMD_QUERY_QP:
      return query_qp(core, u.out);
    case PNIC_CMD_SELF_TEST_COPY:
      return self_test(u.self_test);
    case PNIC_CMD_CREATE_MR:
      return create_mr(core, u.create_mr);
    case PNIC_CMD_INVALIDATE_MR:
      return invalidate_mr(core, u.invalidate_mr);
    case PNIC_CMD_VALIDATE_MR:
      return validate_mr(core, u.validate_mr);
    case PNIC_CMD_DESTROY_MR:
    case PNIC_CMD_FAULT_DONE:
      if (u.object.reserved != 0) return done(PNIC_CMD_BAD_PARAM);
      return command.hdr.opcode == PNIC_CMD_DESTROY_MR ? destroy_mr(core, u.object.handle)
                                                       : fault_done(core, u.object.handle);
    case PNIC_CMD_CREATE_SRQ:
    case PNIC_CMD_MODIFY_SRQ:
    case PNIC_CMD_QUERY_SRQ:
    case PNIC_CMD_DESTROY_SRQ:
    case PNIC_CMD_CREATE_AH:
    case PNIC_CMD_DESTROY_AH:
      return done(PNIC_CMD_NOT_SUPPORTED);
    default:
      return execute_object_command(core, command);
  }
}

}  // namespace

CommandResult execute_command(NicCore& core, const pnic_cmd& command) {
  if (command.hdr.reserved0 != 0 || command.hdr.reserved1 != 0) return done(PNIC_CMD_BAD_PARAM);
  return dispatch(core, command);
}

bool fence_reached(NicCore& core, uint32_t key) {
  MemoryRegion* region = core.regions.find(key);
  if (region == nullptr) return true;
  if (region->in_flight > 0) return false;
  if (region->destroying) {
    if (ProtectionDomain* pd = core.pds.find(region->pdn)) --pd->users;
    core.regions.remove(key);
  }
  return true;
}

}  // namespace peermr::nic
