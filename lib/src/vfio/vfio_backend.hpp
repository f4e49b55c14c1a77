// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "peermr/unique_fd.hpp"
#include "vfio/backend.hpp"
#include "vfio/container.hpp"

namespace peermr::vfio {

/// What keeps a device's descriptor good. Gone after it, in the reverse order.
struct VfioOwnership {
  std::shared_ptr<Container> container;
  std::shared_ptr<Group> group;
  UniqueFd iommufd;  ///< instead of the two above
};

/// A device behind VFIO, with whatever driver: its exporter is peermr_vfio's, mainline's, or none.
class VfioBackend final : public Backend {
 public:
  /// Finds the configuration space and turns memory decode on.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(std::string name,
                                                               VfioOwnership ownership,
                                                               UniqueFd fd);

  VfioBackend(std::string name, VfioOwnership ownership, UniqueFd fd);

  [[nodiscard]] int fd() const noexcept override { return fd_.get(); }
  Result<void> close() override;
  [[nodiscard]] Result<BarRegion> region(BarIndex bar) const override;
  [[nodiscard]] Result<std::uint16_t> read_config16(std::uint16_t offset) const override;
  Result<void> write_config16(std::uint16_t offset, std::uint16_t value) const override;
  [[nodiscard]] Result<bool> memory_enabled() const override;
  Result<void> write_memory_enabled(bool enabled) const override;
  [[nodiscard]] bool can_reset() const noexcept override { return can_reset_; }
  Result<void> reset_function() const override;
  [[nodiscard]] Result<UniqueFd> event_fd(DeviceEvent event) const override;
  [[nodiscard]] ExporterKind own_kind() const noexcept override {
    return ExporterKind::kPeermrVfio;
  }
  [[nodiscard]] bool has(ExportCall call) const override;
  int call(ExportCall call, void* argument, std::size_t bytes) const override;

 private:
  Result<void> init();

  std::string name_;
  VfioOwnership ownership_;
  UniqueFd fd_;                      // goes first
  std::uint64_t config_offset_ = 0;  // of the configuration space within the descriptor
  bool can_reset_ = false;
};

}  // namespace peermr::vfio
