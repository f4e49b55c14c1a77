// SPDX-License-Identifier: BSD-2-Clause
#include "memory_device.hpp"

#include <cerrno>
#include <cstring>

#include "base/log.hpp"

namespace peermr::nic {

namespace {

constexpr uint32_t kVersion = 1;

PciIdentity identity(uint64_t size_bytes) {
  PciIdentity pci;
  pci.vendor_id = kMemoryVendorId;
  pci.device_id = kMemoryDeviceId;
  pci.subsystem_vendor_id = kMemoryVendorId;
  pci.subsystem_id = kMemoryDeviceId;
  pci.revision = kVersion;
  pci.class_code = kMemoryClass;
  pci.bars[0] = {kMemoryRegistersBytes, false};
  pci.bars[1] = {size_bytes, true};
  pci.bars[2] = {kMemorySecondBytes, true};
  pci.advanced_features = true;
  pci.error_reporting = true;
  return pci;
}

}  // namespace

Result<std::unique_ptr<MemoryDevice>> MemoryDevice::create(const MemoryDeviceOptions& options) {
  auto large = MemoryBar::create(options.size_bytes);
  if (!large) return std::move(large).error();
  auto second = MemoryBar::create(kMemorySecondBytes);
  if (!second) return std::move(second).error();
  return std::unique_ptr<MemoryDevice>(
      new MemoryDevice(options, *std::move(large), *std::move(second)));
}

MemoryDevice::MemoryDevice(const MemoryDeviceOptions& options, MemoryBar large, MemoryBar second)
    : name_(options.socket),
      initial_control_(options.keeps_memory ? kMemoryControlKeep : 0),
      large_(std::move(large)),
      second_(std::move(second)),
      config_(identity(options.size_bytes), *this),
      control_(initial_control_) {
  describe_regions();
}

void MemoryDevice::describe_regions() {
  const auto mappable = [](const MemoryBar& bar) {
    return RegionLayout{bar.size_bytes(), true, true, bar.fd(), {{0, bar.size_bytes()}}};
  };
  regions_[vfio_user::kBar0Region] = {kMemoryRegistersBytes, true, true, -1, {}};
  regions_[vfio_user::kBar2Region] = mappable(large_);
  regions_[vfio_user::kBar4Region] = mappable(second_);
  regions_[vfio_user::kConfigRegion] = {PciConfigSpace::kSize, true, true, -1, {}};
}

void MemoryDevice::on_connected(DmaChannel&) {}

void MemoryDevice::on_disconnected() {
  lose_power();
  irqs_.clear();
}

int MemoryDevice::region_read(uint32_t index, uint64_t offset, std::span<std::byte> out) {
  if (index == vfio_user::kConfigRegion) return config_.read(offset, out) ? 0 : EINVAL;
  if (!config_.memory_enabled() || !config_.in_d0()) return EIO;
  if (index != vfio_user::kBar0Region) return bar(index).read(offset, out);
  std::memset(out.data(), 0xff, out.size());
  if (out.size() != 4 || offset % 4 != 0) return 0;
  const uint32_t value = read_register(offset);
  std::memcpy(out.data(), &value, sizeof(value));
  return 0;
}

int MemoryDevice::region_write(uint32_t index, uint64_t offset, std::span<const std::byte> data) {
  if (index == vfio_user::kConfigRegion) return config_.write(offset, data) ? 0 : EINVAL;
  if (!config_.memory_enabled() || !config_.in_d0()) return EIO;
  if (index != vfio_user::kBar0Region) return bar(index).write(offset, data);
  if (data.size() != 4 || offset % 4 != 0) return 0;
  uint32_t value = 0;
  std::memcpy(&value, data.data(), sizeof(value));
  write_register(offset, value);
  return 0;
}

uint32_t MemoryDevice::read_register(uint64_t offset) const noexcept {
  switch (static_cast<MemoryRegister>(offset)) {
    case MemoryRegister::kMagic:
      return kMemoryMagic;
    case MemoryRegister::kVersion:
      return kVersion;
    case MemoryRegister::kControl:
      return control_;
    case MemoryRegister::kResets:
      return resets_by_platform_ + resets_by_advanced_features_ + resets_by_power_;
    case MemoryRegister::kScratch:
      return scratch_;
    case MemoryRegister::kResetsByPlatform:
      return resets_by_platform_;
    case MemoryRegister::kResetsByAdvancedFeatures:
      return resets_by_advanced_features_;
    case MemoryRegister::kResetsByPower:
      return resets_by_power_;
  }
  return 0;
}

void MemoryDevice::write_register(uint64_t offset, uint32_t value) noexcept {
  switch (static_cast<MemoryRegister>(offset)) {
    case MemoryRegister::kControl:
      control_ = value & kMemoryControlKeep;
      return;
    case MemoryRegister::kScratch:
      scratch_ = value;
      return;
    default:
      return;
  }
}

// This device does no DMA: it takes note of no memory.
int MemoryDevice::dma_map(const vfio_user::DmaMap& request, UniqueFd) {
  const uint32_t known = vfio_user::kDmaReadable | vfio_user::kDmaWriteable;
  return (request.flags & ~known) == 0 ? 0 : EINVAL;
}

int MemoryDevice::dma_unmap(const vfio_user::DmaUnmap& request) {
  return (request.flags & ~vfio_user::kDmaUnmapAll) == 0 ? 0 : EINVAL;
}

void MemoryDevice::on_dma_reply(uint64_t, int, std::span<const std::byte>) {}

void MemoryDevice::reset() {
  ++resets_by_platform_;
  reset_function();
  config_.reset();
}

void MemoryDevice::on_function_reset(FunctionReset how) {
  ++(how == FunctionReset::kPowerUp ? resets_by_power_ : resets_by_advanced_features_);
  reset_function();
}

void MemoryDevice::reset_function() {
  scratch_ = 0;
  if ((control_ & kMemoryControlKeep) != 0) return;
  for (MemoryBar* memory : {&large_, &second_}) {
    if (auto cleared = memory->clear(); !cleared)
      log(LogLevel::kError, "{}: {}", name_, cleared.error().message());
  }
}

void MemoryDevice::lose_power() {
  scratch_ = 0;
  config_.reset();
  const bool keep = (control_ & kMemoryControlKeep) != 0;
  control_ = initial_control_;
  if (keep) return;
  // The client that left may still have the memory mapped: the next one gets its own.
  for (MemoryBar* memory : {&large_, &second_}) {
    if (auto fresh = MemoryBar::create(memory->size_bytes())) {
      *memory = *std::move(fresh);
    } else {
      log(LogLevel::kError, "{}: {}", name_, fresh.error().message());
    }
  }
  describe_regions();
}

}  // namespace peermr::nic
