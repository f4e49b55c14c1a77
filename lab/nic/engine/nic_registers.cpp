// SPDX-License-Identifier: BSD-2-Clause
//
// What a client reads and writes: BAR 0 and its pages, BAR 2 without the mapping, configuration
// space.

#include <cerrno>
#include <cstring>

#include "base/log.hpp"
#include "nic.hpp"

namespace peermr::nic {

namespace {

constexpr uint64_t kFeatures = PNIC_FEATURE_RC | PNIC_FEATURE_FAULTABLE_MR | PNIC_FEATURE_SELF_TEST;

void set_low(uint64_t& value, uint32_t half) {
  value = (value & 0xffffffff00000000) | half;
}
void set_high(uint64_t& value, uint32_t half) {
  value = (value & 0xffffffff) | uint64_t{half} << 32;
}

}  // namespace

int Nic::region_read(uint32_t index, uint64_t offset, std::span<std::byte> out) {
  if (index == vfio_user::kConfigRegion) return config_.read(offset, out) ? 0 : EINVAL;
  if (!config_.memory_enabled() || !config_.in_d0()) return EIO;
  if (index == vfio_user::kBar2Region) {
    core_.doorbells.read(offset, out.data(), out.size());
    return 0;
  }
  std::memset(out.data(), 0xff, out.size());
  const bool word = (out.size() == 4 || out.size() == 8) && offset % out.size() == 0;
  if (!word) return 0;
  const uint64_t value = read_bar0(offset, out.size());
  std::memcpy(out.data(), &value, out.size());
  return 0;
}

int Nic::region_write(uint32_t index, uint64_t offset, std::span<const std::byte> data) {
  if (index == vfio_user::kConfigRegion) return config_.write(offset, data) ? 0 : EINVAL;
  if (!config_.memory_enabled() || !config_.in_d0()) return EIO;
  if (index == vfio_user::kBar2Region) {
    core_.doorbells.write(offset, data.data(), data.size());
    return 0;
  }
  const bool word = (data.size() == 4 || data.size() == 8) && offset % data.size() == 0;
  if (!word) return 0;
  uint64_t value = 0;
  std::memcpy(&value, data.data(), data.size());
  write_bar0(offset, data.size(), value);
  return 0;
}

uint64_t Nic::read_bar0(uint64_t offset, size_t size) const noexcept {
  const uint64_t page = offset & ~uint64_t{PNIC_PAGE_SIZE - 1};
  const auto in_page = static_cast<uint32_t>(offset - page);
  uint64_t value = 0;
  if (page == PNIC_MSIX_TABLE_OFFSET) {
    if (in_page + size <= msix_table_.size())
      std::memcpy(&value, msix_table_.data() + in_page, size);
    return value;
  }
  if (page == PNIC_MSIX_PBA_OFFSET) {
    const uint64_t bits = core_.irqs.pending_word(in_page / 8);
    return in_page % 8 == 0 ? bits : bits >> 32;
  }
  if (size != 4) return UINT64_MAX;
  return page == PNIC_REGS_OFFSET ? read_register(in_page) : 0;
}

void Nic::write_bar0(uint64_t offset, size_t size, uint64_t value) {
  const uint64_t page = offset & ~uint64_t{PNIC_PAGE_SIZE - 1};
  const auto in_page = static_cast<uint32_t>(offset - page);
  if (page == PNIC_MSIX_TABLE_OFFSET) {
    // Remembered for who reads it back; delivery follows the client's eventfds.
    if (in_page + size <= msix_table_.size())
      std::memcpy(msix_table_.data() + in_page, &value, size);
    return;
  }
  if (size != 4) return;
  if (page == PNIC_REGS_OFFSET) return write_register(in_page, static_cast<uint32_t>(value));
  // That the message has arrived is all that a kick is for: the engine looks at the doorbells next.
  if (page == PNIC_KICK_OFFSET) core_.stats.add(PNIC_STAT_KICK);
}

uint32_t Nic::read_register(uint32_t offset) const noexcept {
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32); };
  switch (offset) {
    case PNIC_REG_MAGIC:
      return PNIC_MAGIC;
    case PNIC_REG_VERSION:
      return PNIC_VERSION;
    case PNIC_REG_FEATURES_LO:
      return low(kFeatures);
    case PNIC_REG_FEATURES_HI:
      return high(kFeatures);
    case PNIC_REG_CTRL:
      return control_;
    case PNIC_REG_STATUS: {
      const auto reason = static_cast<uint32_t>(core_.fatal);
      if (core_.fatal != PNIC_FATAL_NONE)
        return PNIC_STATUS_FATAL | reason << PNIC_STATUS_REASON_SHIFT;
      return core_.enabled ? PNIC_STATUS_READY : 0;
    }
    case PNIC_REG_ASQ_BASE_LO:
      return low(admin_config_.submission_base);
    case PNIC_REG_ASQ_BASE_HI:
      return high(admin_config_.submission_base);
    case PNIC_REG_ACQ_BASE_LO:
      return low(admin_config_.completion_base);
    case PNIC_REG_ACQ_BASE_HI:
      return high(admin_config_.completion_base);
    case PNIC_REG_ADMIN_SIZE:
      return admin_config_.log_size;
    case PNIC_REG_ADMIN_VECTOR:
      return admin_config_.vector;
    default:
      return 0;
  }
}

void Nic::write_register(uint32_t offset, uint32_t value) {
  const bool enabled = (control_ & PNIC_CTRL_ENABLE) != 0;
  switch (offset) {
    case PNIC_REG_CTRL:
      return write_control(value);
    case PNIC_REG_ASQ_DOORBELL:
      if (core_.enabled) admin_.submitted(value);
      return;
    case PNIC_REG_ACQ_DOORBELL:
      if (core_.enabled) admin_.completions_consumed(value);
      return;
    default:
      break;
  }
  if (enabled) return;
  switch (offset) {
    case PNIC_REG_ASQ_BASE_LO:
      return set_low(admin_config_.submission_base, value);
    case PNIC_REG_ASQ_BASE_HI:
      return set_high(admin_config_.submission_base, value);
    case PNIC_REG_ACQ_BASE_LO:
      return set_low(admin_config_.completion_base, value);
    case PNIC_REG_ACQ_BASE_HI:
      return set_high(admin_config_.completion_base, value);
    case PNIC_REG_ADMIN_SIZE:
      admin_config_.log_size = value;
      return;
    case PNIC_REG_ADMIN_VECTOR:
      admin_config_.vector = value;
      return;
    default:
      return;
  }
}

void Nic::write_control(uint32_t value) {
  const bool was_enabled = (control_ & PNIC_CTRL_ENABLE) != 0;
  const bool enable = (value & PNIC_CTRL_ENABLE) != 0;
  if (enable == was_enabled) return;
  if (!enable) {
    log(LogLevel::kDebug, "{}: disabled", core_.name);
    return reset_function();
  }
  control_ = PNIC_CTRL_ENABLE;
  const pnic_fatal_reason reason = admin_.configure(core_, admin_config_);
  if (reason != PNIC_FATAL_NONE) return core_.raise_fatal(reason);
  core_.enabled = true;
  log(LogLevel::kDebug, "{}: enabled", core_.name);
}

}  // namespace peermr::nic
