// SPDX-License-Identifier: BSD-2-Clause
#include "pci/config_space.hpp"

#include "base/checked.hpp"

namespace peermr {
namespace {

// PCI Local Bus 3.0, section 6.1, and PCI Express base, sections 7.5.2, 7.5.3, 7.6.3 and 7.7.8.
constexpr std::size_t kStatus = 0x06;
constexpr std::uint16_t kStatusCapabilities = 1u << 4;
constexpr std::size_t kHeaderType = 0x0e;
constexpr std::size_t kCapabilityPointer = 0x34;
constexpr std::uint8_t kCapPower = 0x01;
constexpr std::size_t kPowerControl = 4;
constexpr std::uint8_t kCapPcie = 0x10;
constexpr std::size_t kPcieFlags = 2;
constexpr std::size_t kExtendedStart = 0x100;
constexpr std::uint16_t kExtCapAcs = 0x000d;
constexpr std::size_t kAcsControl = 6;

// A capability takes at least 4 bytes behind the 64-byte header, an extended one 8: a list that is
// longer than that has a loop.
constexpr int kMaxCapabilities = (256 - 64) / 4;
constexpr int kMaxExtendedCapabilities = (4096 - 256) / 8;

PcieType to_pcie_type(std::uint16_t flags) {
  switch ((flags >> 4) & 0xf) {
    case 0x0:
    case 0x1:
    case 0x9:
      return PcieType::kEndpoint;
    case 0x4:
      return PcieType::kRootPort;
    case 0x5:
      return PcieType::kUpstreamPort;
    case 0x6:
      return PcieType::kDownstreamPort;
    default:
      return PcieType::kOther;
  }
}

}  // namespace

std::optional<std::uint8_t> ConfigSpace::read8(std::size_t offset) const noexcept {
  if (!range_in<std::size_t>(offset, 1, bytes_.size())) return std::nullopt;
  return static_cast<std::uint8_t>(bytes_[offset]);
}

std::optional<std::uint16_t> ConfigSpace::read16(std::size_t offset) const noexcept {
  if (!range_in<std::size_t>(offset, 2, bytes_.size())) return std::nullopt;
  return static_cast<std::uint16_t>(*read8(offset) | *read8(offset + 1) << 8);
}

std::optional<std::uint32_t> ConfigSpace::read32(std::size_t offset) const noexcept {
  if (!range_in<std::size_t>(offset, 4, bytes_.size())) return std::nullopt;
  return *read16(offset) | static_cast<std::uint32_t>(*read16(offset + 2)) << 16;
}

// All ones: nobody answers.
bool ConfigSpace::absent() const noexcept {
  const auto id = read32(0);
  return !id || *id == 0xffffffff;
}

bool ConfigSpace::is_bridge() const noexcept {
  const auto type = read8(kHeaderType);
  return !absent() && type && (*type & 0x7f) == 1;
}

std::optional<std::size_t> ConfigSpace::find_capability(std::uint8_t wanted) const noexcept {
  const auto status = read16(kStatus);
  if (absent() || !status) return std::nullopt;
  if ((*status & kStatusCapabilities) == 0) return 0;
  auto next = read8(kCapabilityPointer);
  for (int i = 0; i < kMaxCapabilities; ++i) {
    if (!next) return std::nullopt;
    const std::size_t position = *next & ~3u;
    if (position < 0x40) return 0;
    const auto id = read8(position);
    if (!id) return std::nullopt;
    if (*id == 0xff) return 0;
    if (*id == wanted) return position;
    next = read8(position + 1);
  }
  return 0;
}

PcieType ConfigSpace::pcie_type() const noexcept {
  const auto position = find_capability(kCapPcie);
  if (!position) return PcieType::kUnknown;
  if (*position == 0) return PcieType::kConventional;
  const auto flags = read16(*position + kPcieFlags);
  return flags ? to_pcie_type(*flags) : PcieType::kUnknown;
}

std::optional<std::uint16_t> ConfigSpace::power_control() const noexcept {
  const auto position = find_capability(kCapPower);
  if (position.value_or(0) == 0) return std::nullopt;
  return static_cast<std::uint16_t>(*position + kPowerControl);
}

Acs ConfigSpace::acs() const noexcept {
  if (full_size_bytes_ > 64 && full_size_bytes_ <= kExtendedStart) return {Acs::State::kAbsent, 0};
  if (absent() || bytes_.size() <= kExtendedStart) return {Acs::State::kUnknown, 0};
  std::size_t position = kExtendedStart;
  for (int i = 0; i < kMaxExtendedCapabilities; ++i) {
    const auto header = read32(position);
    if (!header) return {Acs::State::kUnknown, 0};
    if (*header == 0 || *header == 0xffffffff) break;
    if ((*header & 0xffff) == kExtCapAcs) {
      const auto control = read16(position + kAcsControl);
      if (!control) return {Acs::State::kUnknown, 0};
      return {Acs::State::kPresent, *control};
    }
    position = (*header >> 20) & 0xffc;
    if (position < kExtendedStart) break;
  }
  return {Acs::State::kAbsent, 0};
}

}  // namespace peermr
