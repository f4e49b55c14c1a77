// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dma_map.hpp"
#include "doorbell_bar.hpp"
#include "handle_table.hpp"
#include "hardware.hpp"
#include "irq_vectors.hpp"
#include "memory_region.hpp"
#include "queue_pair.hpp"
#include "remote_dma.hpp"
#include "ring_queues.hpp"
#include "wire.hpp"

namespace peermr::nic {

struct ProtectionDomain {
  uint32_t pdn = 0;
  uint32_t users = 0;  // MRs and QPs
};

/// Limits that QUERY_DEVICE reports, where pnic_hw.h does not fix them.
struct Limits {
  static constexpr uint32_t kMaxPd = 4096;
  static constexpr uint32_t kMaxEq = 64;
  static constexpr uint32_t kMaxCq = 16384;
  static constexpr uint32_t kMaxQp = 16384;
  static constexpr uint32_t kMaxRdAtomic = 16;
  static constexpr std::chrono::milliseconds kFaultTimeout{2000};
};

/// How a NIC is run: the same for all NICs of a process.
struct NicOptions {
  bool break_fence = false;  // test hook: INVALIDATE_MR completes without fencing
};

/// What the parts of a NIC share: its objects, its memory, its counters. One thread uses it all.
struct NicCore {
  NicCore(std::string name_in, PortAddress address, NicOptions options_in, DoorbellBar doorbells_in)
      : name(std::move(name_in)),
        port(address),
        options(options_in),
        doorbells(std::move(doorbells_in)) {}

  const std::string name;  // for messages
  const PortAddress port;
  const NicOptions options;
  Wire* wire = nullptr;

  DmaMap dma;
  IrqVectors irqs{PNIC_NUM_VECTORS};
  DoorbellBar doorbells;
  Stats stats;
  RemoteDma remote;

  HandleTable<ProtectionDomain> pds{1, Limits::kMaxPd};
  HandleTable<EventQueue> eqs{1, Limits::kMaxEq};
  HandleTable<CompletionQueue> cqs{1, Limits::kMaxCq};
  HandleTable<QueuePair> qps{PNIC_FIRST_QPN, Limits::kMaxQp};
  MemoryRegionTable regions;
  std::vector<uint32_t> uar_users = std::vector<uint32_t>(PNIC_NUM_UARS, 0);

  bool enabled = false;      // CTRL.ENABLE took effect: STATUS.READY
  bool dma_allowed = false;  // bus mastering on, function in D0
  pnic_fatal_reason fatal = PNIC_FATAL_NONE;

  /// Whether the device may touch memory and serve its queues at all.
  bool running() const noexcept { return enabled && dma_allowed && fatal == PNIC_FATAL_NONE; }

  /// Stops the device until a reset; tells the driver if that is possible. Only the first reason
  /// counts.
  void raise_fatal(pnic_fatal_reason reason);

  /// Posts an asynchronous event on the EQ that was created first; without an EQ it is lost. False
  /// if it is lost.
  bool post_async(const pnic_eqe& event);

  /// Raises PNIC_EVENT_MR_FAULT unless one is pending already.
  void raise_fault(MemoryRegion& region, uint32_t qpn, uint64_t address, uint64_t length,
                   bool write);

  /// Raises an interrupt and counts it.
  void interrupt(uint32_t vector) noexcept;

  /// The state of an MR has changed: WRs that wait for it look again.
  void wake_waiters(uint32_t key);

  /// Counts data that is about to move through an MR whose invalidation was already reported as
  /// complete.
  void check_fence(const MemoryRegion* region) noexcept {
    if (region != nullptr && region->state != MemoryRegion::State::kValid) [[unlikely]] {
      stats.add(PNIC_STAT_DMA_AFTER_INVALIDATE);
    }
  }
};

}  // namespace peermr::nic
