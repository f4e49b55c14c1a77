// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "admin_queue.hpp"
#include "nic_core.hpp"
#include "pci_config.hpp"
#include "peermr/result.hpp"
#include "vfio_user_device.hpp"
#include "wire.hpp"

namespace peermr::nic {

/// One pnic device: what a vfio-user client sees of it (PCI function, registers, doorbells), and
/// its end of the wire. Single-threaded, never blocks.
class Nic final : public VfioUserDevice, public WirePort, private PciConfigListener {
 public:
  /// A NIC with this LID (1 to 0xbfff), attached to `wire`, which must outlive it.
  /// Errors: those of DoorbellBar::create().
  static Result<std::unique_ptr<Nic>> create(uint16_t lid, Wire& wire, NicOptions options);

  ~Nic() override;
  Nic(const Nic&) = delete;
  Nic& operator=(const Nic&) = delete;

  /// One turn of everything the device does by itself. True if something happened. Adds the payload
  /// bytes that were moved to `moved_bytes`.
  bool poll(uint64_t& moved_bytes);

  /// Whether there are queues whose doorbells may ring at any moment.
  bool has_queues() const noexcept;

  /// When poll() has to be called even if nobody rings; Clock::time_point::max(): never.
  Clock::time_point next_deadline() const noexcept;

  /// Publishes whether ringing needs a kick.
  void set_armed(bool armed) noexcept { core_.doorbells.set_armed(armed); }

  /// Counts the end of a sleep.
  void count_wakeup() noexcept { core_.stats.add(PNIC_STAT_WAKEUP); }

  /// The client has taken memory away that it had given: it has to go.
  bool client_broke_memory() const { return core_.dma.poisoned(); }

  const Stats& stats() const noexcept { return core_.stats; }

  // VfioUserDevice
  void on_connected(DmaChannel& channel) override;
  void on_disconnected() override;
  const RegionLayout& region(uint32_t index) const override { return regions_[index]; }
  int region_read(uint32_t index, uint64_t offset, std::span<std::byte> out) override;
  int region_write(uint32_t index, uint64_t offset, std::span<const std::byte> data) override;
  IrqVectors& irqs() override { return core_.irqs; }
  int dma_map(const vfio_user::DmaMap& request, UniqueFd fd) override;
  int dma_unmap(const vfio_user::DmaUnmap& request) override;
  void reset() override;
  void on_dma_reply(uint64_t cookie, int error, std::span<const std::byte> data) override;

  // WirePort
  const PortAddress& address() const noexcept override { return core_.port; }
  Answer on_segment(const Segment& segment) override;
  void on_answer(uint32_t qpn, uint32_t sequence, const Answer& answer,
                 std::span<const std::byte> data) override;

 private:
  Nic(uint16_t lid, Wire& wire, NicOptions options, DoorbellBar doorbells);

  // PciConfigListener
  void on_pci_state_changed() override;
  void on_function_reset(FunctionReset how) override;

  void reset_function() noexcept;
  void describe_regions();
  uint32_t read_register(uint32_t offset) const noexcept;
  void write_register(uint32_t offset, uint32_t value);
  void write_control(uint32_t value);
  uint64_t read_bar0(uint64_t offset, size_t size) const noexcept;
  void write_bar0(uint64_t offset, size_t size, uint64_t value);

  NicCore core_;
  PciConfigSpace config_;
  AdminQueue admin_;
  AdminQueue::Config admin_config_;
  uint32_t control_ = 0;
  std::array<std::byte, PNIC_NUM_VECTORS * 16> msix_table_{};
  std::array<RegionLayout, vfio_user::kNumRegions> regions_{};
  size_t next_qp_ = 0;  // where the next turn begins
};

}  // namespace peermr::nic
