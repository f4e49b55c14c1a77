// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "irq_vectors.hpp"
#include "memory_bar.hpp"
#include "memory_options.hpp"
#include "pci_config.hpp"
#include "peermr/result.hpp"
#include "vfio_user_device.hpp"

namespace peermr::nic {

// The device, for who drives it; docs/memory-device.md has the meaning.
inline constexpr uint16_t kMemoryVendorId = 0x1234;
inline constexpr uint16_t kMemoryDeviceId = 0x504f;
inline constexpr uint32_t kMemoryClass = 0x058000;
inline constexpr uint32_t kMemoryMagic = 0x6d656d70;
inline constexpr uint64_t kMemoryRegistersBytes = 4096;
inline constexpr uint64_t kMemorySecondBytes = 16u << 20;
inline constexpr uint32_t kMemoryControlKeep = 1u << 0;

/// Offsets of the registers in BAR 0.
enum class MemoryRegister : uint32_t {
  kMagic = 0x00,
  kVersion = 0x04,
  kControl = 0x08,
  kResets = 0x0c,
  kScratch = 0x10,
  kResetsByPlatform = 0x14,
  kResetsByAdvancedFeatures = 0x18,
  kResetsByPower = 0x1c,
};

/// A PCI function with memory and hardly anything else, for what the devices that QEMU has cannot
/// show: function-level reset by the Advanced Features capability alone, memory that a reset clears
/// or keeps, BARs of any size. It starts no DMA and no interrupts. Single-threaded, never blocks.
class MemoryDevice final : public VfioUserDevice, private PciConfigListener {
 public:
  /// Errors: those of MemoryBar::create().
  static Result<std::unique_ptr<MemoryDevice>> create(const MemoryDeviceOptions& options);

  // VfioUserDevice
  void on_connected(DmaChannel& channel) override;
  void on_disconnected() override;
  const RegionLayout& region(uint32_t index) const override { return regions_[index]; }
  int region_read(uint32_t index, uint64_t offset, std::span<std::byte> out) override;
  int region_write(uint32_t index, uint64_t offset, std::span<const std::byte> data) override;
  IrqVectors& irqs() override { return irqs_; }
  int dma_map(const vfio_user::DmaMap& request, UniqueFd fd) override;
  int dma_unmap(const vfio_user::DmaUnmap& request) override;
  void reset() override;
  void on_dma_reply(uint64_t cookie, int error, std::span<const std::byte> data) override;

 private:
  MemoryDevice(const MemoryDeviceOptions& options, MemoryBar large, MemoryBar second);

  // PciConfigListener
  void on_pci_state_changed() override {}
  void on_function_reset(FunctionReset how) override;

  void describe_regions();
  void reset_function();
  void lose_power();
  MemoryBar& bar(uint32_t index) { return index == vfio_user::kBar2Region ? large_ : second_; }
  uint32_t read_register(uint64_t offset) const noexcept;
  void write_register(uint64_t offset, uint32_t value) noexcept;

  std::string name_;
  uint32_t initial_control_;
  MemoryBar large_;   // BAR 2
  MemoryBar second_;  // BAR 4
  PciConfigSpace config_;
  IrqVectors irqs_{0};
  std::array<RegionLayout, vfio_user::kNumRegions> regions_{};
  uint32_t control_;
  uint32_t scratch_ = 0;
  // These count for as long as the process runs.
  uint32_t resets_by_platform_ = 0;
  uint32_t resets_by_advanced_features_ = 0;
  uint32_t resets_by_power_ = 0;
};

}  // namespace peermr::nic
