// SPDX-License-Identifier: BSD-2-Clause
#include "pci_config.hpp"

#include <linux/pci_regs.h>

#include <cstring>

namespace peermr::nic {

namespace {

constexpr uint16_t kCommandWritable = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
                                      PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;

constexpr uint16_t kDevCtlWritable = PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE |
                                     PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |
                                     PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD |
                                     PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ;

}  // namespace

PciConfigSpace::PciConfigSpace(const PciIdentity& identity, PciConfigListener& listener)
    : listener_(listener),
      last_link_(PCI_CAPABILITY_LIST),
      express_flr_(identity.express_flr),
      advanced_features_(identity.advanced_features) {
  build_header(identity);
  build_capabilities(identity);
  reset();
}

void PciConfigSpace::build_header(const PciIdentity& identity) {
  set16(PCI_VENDOR_ID, identity.vendor_id);
  set16(PCI_DEVICE_ID, identity.device_id);
  set16(PCI_STATUS, PCI_STATUS_CAP_LIST);
  set8(PCI_REVISION_ID, identity.revision);
  set8(PCI_CLASS_PROG, static_cast<uint8_t>(identity.class_code));
  set8(PCI_CLASS_PROG + 1, static_cast<uint8_t>(identity.class_code >> 8));
  set8(PCI_CLASS_PROG + 2, static_cast<uint8_t>(identity.class_code >> 16));
  set8(PCI_HEADER_TYPE, PCI_HEADER_TYPE_NORMAL);
  set16(PCI_SUBSYSTEM_VENDOR_ID, identity.subsystem_vendor_id);
  set16(PCI_SUBSYSTEM_ID, identity.subsystem_id);
  writable16(PCI_COMMAND, kCommandWritable);
  writable16(PCI_CACHE_LINE_SIZE, 0x00ff);
  writable16(PCI_INTERRUPT_LINE, 0x00ff);

  for (size_t i = 0; i < identity.bars.size(); ++i) {
    const PciIdentity::Bar& bar = identity.bars[i];
    if (bar.size == 0) continue;
    const size_t offset = PCI_BASE_ADDRESS_0 + 8 * i;
    set32(offset, PCI_BASE_ADDRESS_MEM_TYPE_64 |
                      (bar.prefetchable ? uint32_t{PCI_BASE_ADDRESS_MEM_PREFETCH} : 0u));
    // Sizing: address bits below the BAR's size read back as zero.
    const uint64_t address_bits = ~(bar.size - 1);
    writable32(offset, static_cast<uint32_t>(address_bits));
    writable32(offset + 4, static_cast<uint32_t>(address_bits >> 32));
  }
}

void PciConfigSpace::build_capabilities(const PciIdentity& identity) {
  build_power();
  if (identity.msix_vectors != 0) build_msix(identity);
  build_express(identity.express_flr);
  if (identity.advanced_features) build_advanced_features();
  if (identity.error_reporting) build_error_reporting();
}

void PciConfigSpace::add_capability(uint8_t offset, uint8_t id) {
  set8(last_link_, offset);
  set8(offset, id);
  last_link_ = offset + size_t{PCI_CAP_LIST_NEXT};
}

void PciConfigSpace::build_power() {
  add_capability(kPmOffset, PCI_CAP_ID_PM);
  set16(kPmOffset + PCI_PM_PMC, 3);  // version 1.2, neither D1 nor D2, no PME
  // No_Soft_Reset stays clear: D3hot to D0 resets the function.
  writable16(kPmOffset + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
}

void PciConfigSpace::build_msix(const PciIdentity& identity) {
  add_capability(kMsixOffset, PCI_CAP_ID_MSIX);
  set16(kMsixOffset + PCI_MSIX_FLAGS, static_cast<uint16_t>(identity.msix_vectors - 1));
  set32(kMsixOffset + PCI_MSIX_TABLE, identity.msix_table_offset | identity.msix_table_bar);
  set32(kMsixOffset + PCI_MSIX_PBA, identity.msix_pba_offset | identity.msix_pba_bar);
  writable16(kMsixOffset + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
}

void PciConfigSpace::build_express(bool flr) {
  add_capability(kExpressOffset, PCI_CAP_ID_EXP);
  set16(kExpressOffset + PCI_EXP_FLAGS, 2 | (PCI_EXP_TYPE_ENDPOINT << 4));
  set32(kExpressOffset + PCI_EXP_DEVCAP,
        PCI_EXP_DEVCAP_RBER | (flr ? uint32_t{PCI_EXP_DEVCAP_FLR} : 0u));
  writable16(kExpressOffset + PCI_EXP_DEVCTL, kDevCtlWritable);
  set16(kExpressOffset + PCI_EXP_DEVCTL,
        PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN | PCI_EXP_DEVCTL_READRQ_512B);
  set32(kExpressOffset + PCI_EXP_LNKCAP, PCI_EXP_LNKCAP_SLS_8_0GB | (16u << 4));
  set16(kExpressOffset + PCI_EXP_LNKSTA,
        PCI_EXP_LNKSTA_CLS_8_0GB | (16u << PCI_EXP_LNKSTA_NLW_SHIFT));
  writable16(kExpressOffset + PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC);
  set32(kExpressOffset + PCI_EXP_LNKCAP2,
        PCI_EXP_LNKCAP2_SLS_2_5GB | PCI_EXP_LNKCAP2_SLS_5_0GB | PCI_EXP_LNKCAP2_SLS_8_0GB);
  set16(kExpressOffset + PCI_EXP_LNKCTL2, PCI_EXP_LNKCTL2_TLS_8_0GT);
}

void PciConfigSpace::build_advanced_features() {
  add_capability(kAdvancedFeaturesOffset, PCI_CAP_ID_AF);
  set8(kAdvancedFeaturesOffset + PCI_AF_LENGTH, PCI_CAP_AF_SIZEOF);
  // The Transactions Pending bit never shows: a reset has completed when its write has.
  set8(kAdvancedFeaturesOffset + PCI_AF_CAP, PCI_AF_CAP_TP | PCI_AF_CAP_FLR);
}

void PciConfigSpace::build_error_reporting() {
  set32(kErrorReportingOffset, PCI_EXT_CAP_ID_ERR | (2u << 16));  // version 2, the last capability
  // The statuses stay zero: nothing goes wrong by itself. Masks and severities can be written, and
  // begin as the specification has them.
  constexpr uint32_t kUncorrectable =
      PCI_ERR_UNC_DLP | PCI_ERR_UNC_POISON_TLP | PCI_ERR_UNC_FCP | PCI_ERR_UNC_COMP_TIME |
      PCI_ERR_UNC_COMP_ABORT | PCI_ERR_UNC_UNX_COMP | PCI_ERR_UNC_RX_OVER | PCI_ERR_UNC_MALF_TLP |
      PCI_ERR_UNC_ECRC | PCI_ERR_UNC_UNSUP | PCI_ERR_UNC_INTN;
  constexpr uint32_t kFatal = PCI_ERR_UNC_DLP | PCI_ERR_UNC_FCP | PCI_ERR_UNC_RX_OVER |
                              PCI_ERR_UNC_MALF_TLP | PCI_ERR_UNC_INTN;
  constexpr uint32_t kCorrectable = PCI_ERR_COR_RCVR | PCI_ERR_COR_BAD_TLP | PCI_ERR_COR_BAD_DLLP |
                                    PCI_ERR_COR_REP_ROLL | PCI_ERR_COR_REP_TIMER |
                                    PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL;
  writable32(kErrorReportingOffset + PCI_ERR_UNCOR_MASK, kUncorrectable);
  set32(kErrorReportingOffset + PCI_ERR_UNCOR_MASK, PCI_ERR_UNC_INTN);
  writable32(kErrorReportingOffset + PCI_ERR_UNCOR_SEVER, kUncorrectable);
  set32(kErrorReportingOffset + PCI_ERR_UNCOR_SEVER, kFatal);
  writable32(kErrorReportingOffset + PCI_ERR_COR_MASK, kCorrectable);
  set32(kErrorReportingOffset + PCI_ERR_COR_MASK, PCI_ERR_COR_ADV_NFAT | PCI_ERR_COR_INTERNAL);
}

std::optional<FunctionReset> PciConfigSpace::starts_reset(size_t at, uint8_t value) const noexcept {
  if (express_flr_ && at == kExpressOffset + PCI_EXP_DEVCTL + 1u &&
      (value & (PCI_EXP_DEVCTL_BCR_FLR >> 8)) != 0)
    return FunctionReset::kExpressFlr;
  if (advanced_features_ && at == kAdvancedFeaturesOffset + size_t{PCI_AF_CTRL} &&
      (value & PCI_AF_CTRL_FLR) != 0)
    return FunctionReset::kAdvancedFeatures;
  return std::nullopt;
}

bool PciConfigSpace::read(uint64_t offset, std::span<std::byte> out) const noexcept {
  if (offset > kSize || out.size() > kSize - offset) return false;
  std::memcpy(out.data(), data_.data() + offset, out.size());
  return true;
}

bool PciConfigSpace::write(uint64_t offset, std::span<const std::byte> data) {
  if (offset > kSize || data.size() > kSize - offset) return false;
  std::optional<FunctionReset> reset_by;
  const bool was_in_d0 = in_d0();
  for (size_t i = 0; i < data.size(); ++i) {
    const size_t at = offset + i;
    const auto value = std::to_integer<uint8_t>(data[i]);
    // Initiate FLR reads as zero, so that it never shows in data_.
    if (const auto how = starts_reset(at, value)) reset_by = how;
    // D1 and D2 do not exist: a write of such a state is discarded (PCI PM 1.2, section 3.2.4).
    const bool to_missing_state =
        at == kPmOffset + PCI_PM_CTRL + 0u && ((value & 3) == 1 || (value & 3) == 2);
    if (to_missing_state) continue;
    data_[at] = static_cast<uint8_t>((data_[at] & ~mask_[at]) | (value & mask_[at]));
  }
  if (!reset_by && !was_in_d0 && in_d0()) reset_by = FunctionReset::kPowerUp;
  if (reset_by) {
    listener_.on_function_reset(*reset_by);
    reset();
  }
  listener_.on_pci_state_changed();
  return true;
}

void PciConfigSpace::reset() noexcept {
  data_ = initial_;
}

bool PciConfigSpace::memory_enabled() const noexcept {
  return (get16(PCI_COMMAND) & PCI_COMMAND_MEMORY) != 0;
}

bool PciConfigSpace::bus_master() const noexcept {
  return (get16(PCI_COMMAND) & PCI_COMMAND_MASTER) != 0;
}

bool PciConfigSpace::in_d0() const noexcept {
  return (get16(kPmOffset + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK) == 0;
}

bool PciConfigSpace::msix_enabled() const noexcept {
  return (get16(kMsixOffset + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE) != 0;
}

void PciConfigSpace::set16(size_t offset, uint16_t value) {
  set8(offset, static_cast<uint8_t>(value));
  set8(offset + 1, static_cast<uint8_t>(value >> 8));
}

void PciConfigSpace::set32(size_t offset, uint32_t value) {
  set16(offset, static_cast<uint16_t>(value));
  set16(offset + 2, static_cast<uint16_t>(value >> 16));
}

void PciConfigSpace::writable16(size_t offset, uint16_t mask) {
  mask_[offset] = static_cast<uint8_t>(mask);
  mask_[offset + 1] = static_cast<uint8_t>(mask >> 8);
}

void PciConfigSpace::writable32(size_t offset, uint32_t mask) {
  writable16(offset, static_cast<uint16_t>(mask));
  writable16(offset + 2, static_cast<uint16_t>(mask >> 16));
}

uint16_t PciConfigSpace::get16(size_t offset) const noexcept {
  return static_cast<uint16_t>(data_[offset] | (data_[offset + 1] << 8));
}

}  // namespace peermr::nic
