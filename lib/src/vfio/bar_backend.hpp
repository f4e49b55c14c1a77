// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>

#include "peermr/bdf.hpp"
#include "peermr/topology.hpp"
#include "peermr/unique_fd.hpp"
#include "vfio/backend.hpp"

namespace peermr::vfio {

/// A device that the driver peermr_bar has: its BARs and the exporter, and no DMA.
class BarBackend final : public Backend {
 public:
  /// Whether that driver has the device: it makes a file for each.
  [[nodiscard]] static bool has_device(const Bdf& bdf, const SystemPaths& paths);

  /// Errors: EBUSY when somebody has it open, EACCES, or open's errno.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> open(const Bdf& bdf,
                                                             const SystemPaths& paths);

  BarBackend(std::string name, std::string config_path, UniqueFd fd);

  [[nodiscard]] int fd() const noexcept override { return fd_.get(); }
  Result<void> close() override { return fd_.close(); }
  [[nodiscard]] Result<BarRegion> region(BarIndex bar) const override;
  [[nodiscard]] Result<std::uint16_t> read_config16(std::uint16_t offset) const override;
  Result<void> write_config16(std::uint16_t offset, std::uint16_t value) const override;
  [[nodiscard]] Result<bool> memory_enabled() const override;
  Result<void> write_memory_enabled(bool enabled) const override;
  [[nodiscard]] bool can_reset() const noexcept override { return true; }
  Result<void> reset_function() const override;
  [[nodiscard]] Result<UniqueFd> event_fd(DeviceEvent event) const override;
  [[nodiscard]] ExporterKind own_kind() const noexcept override { return ExporterKind::kPeermrBar; }
  [[nodiscard]] bool has(ExportCall call) const override;
  int call(ExportCall call, void* argument, std::size_t bytes) const override;

 private:
  std::string name_;
  std::string config_path_;
  UniqueFd fd_;
};

}  // namespace peermr::vfio
