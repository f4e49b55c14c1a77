// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "peermr/exporter.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"
#include "peermr/vfio.hpp"

namespace peermr::vfio {

/// What can be asked of the exporter behind a device; each takes one structure.
enum class ExportCall {
  kMainline,  ///< peermr_vfio_dma_buf with its ranges; returns the new descriptor
  kExport,    ///< peermr_export_create; returns the new descriptor
  kRevoke,    ///< peermr_export_revoke
  kRearm,     ///< peermr_export_rearm
  kQuery,     ///< peermr_export_query
  kInfo,      ///< peermr_export_info
  kPrivate,   ///< peermr_export_private
};

/// A BAR, as mmap of the device's descriptor wants it.
struct BarRegion {
  BarInfo info;
  std::uint64_t mmap_offset = 0;
};

/// One way to own a PCI device: VFIO, or peermr_bar. The seam between Device and the kernel; tests
/// replace it. Const functions are thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;

  [[nodiscard]] virtual int fd() const noexcept = 0;
  /// Gives the device back. Afterwards fd() is -1.
  virtual Result<void> close() = 0;

  [[nodiscard]] virtual Result<BarRegion> region(BarIndex bar) const = 0;
  [[nodiscard]] virtual Result<std::uint16_t> read_config16(std::uint16_t offset) const = 0;
  virtual Result<void> write_config16(std::uint16_t offset, std::uint16_t value) const = 0;
  [[nodiscard]] virtual Result<bool> memory_enabled() const = 0;
  virtual Result<void> write_memory_enabled(bool enabled) const = 0;
  [[nodiscard]] virtual bool can_reset() const noexcept = 0;
  /// Tries again while somebody else has the device locked.
  virtual Result<void> reset_function() const = 0;

  /// As Device::event_fd().
  [[nodiscard]] virtual Result<UniqueFd> event_fd(DeviceEvent event) const = 0;

  /// What the exporter is called when it has the call in question.
  [[nodiscard]] virtual ExporterKind own_kind() const noexcept = 0;
  /// Whether the kernel knows the call. Changes nothing.
  [[nodiscard]] virtual bool has(ExportCall call) const = 0;
  /// `argument` has `bytes` bytes, its kernel structure first; results are written to it. Returns
  /// what the kernel returns, or a negative errno value.
  virtual int call(ExportCall call, void* argument, std::size_t bytes) const = 0;
};

}  // namespace peermr::vfio
