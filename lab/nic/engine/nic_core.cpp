// SPDX-License-Identifier: BSD-2-Clause
#include "nic_core.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace peermr::nic {

bool names_port(const pnic_av& av, const PortAddress& port) noexcept {
  if ((av.flags & PNIC_AV_GRH) != 0)
    return std::equal(port.gid.begin(), port.gid.end(), std::begin(av.dgid));
  return av.dlid == port.lid;
}

void NicCore::raise_fatal(pnic_fatal_reason reason) {
  if (fatal != PNIC_FATAL_NONE) return;
  fatal = reason;
  log(LogLevel::kWarning, "{}: fatal, reason {}", name, static_cast<int>(reason));
  pnic_eqe event{};
  event.type = PNIC_EVENT_FATAL;
  event.code = static_cast<uint16_t>(reason);
  post_async(event);
}

bool NicCore::post_async(const pnic_eqe& event) {
  if (eqs.live().empty() || !dma_allowed) return false;
  eqs.live().front()->post(*this, event);
  return true;
}

void NicCore::raise_fault(MemoryRegion& region, uint32_t qpn, uint64_t address, uint64_t length,
                          bool write) {
  if (region.fault_pending) return;
  pnic_eqe event{};
  event.type = PNIC_EVENT_MR_FAULT;
  event.flags = static_cast<uint8_t>(write ? PNIC_EQE_FAULT_WRITE : 0u);
  event.object = region.key;
  event.addr = address;
  event.length = static_cast<uint32_t>(std::min<uint64_t>(length, UINT32_MAX));
  event.qpn = qpn;
  region.fault_pending = post_async(event);
  if (region.fault_pending) stats.add(PNIC_STAT_MR_FAULT);
}

void NicCore::interrupt(uint32_t vector) noexcept {
  if (!dma_allowed) return;
  stats.add(PNIC_STAT_INTERRUPT);
  irqs.raise(vector);
}

void NicCore::wake_waiters(uint32_t key) {
  for (QueuePair* qp : qps.live()) qp->requester().on_region_changed(key);
}

}  // namespace peermr::nic
