// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string_view>

#include "peermr/export.hpp"

namespace peermr::vfio {

/// Who makes dma-bufs of a device's memory.
enum class ExporterKind {
  kNone,        ///< nobody: the kernel is too old, or the driver cannot
  kMainline,    ///< the kernel's own VFIO exporter (VFIO_DEVICE_FEATURE_DMA_BUF)
  kPeermrVfio,  ///< the VFIO driver peermr_vfio
  kPeermrBar,   ///< the driver peermr_bar, for machines without an IOMMU
};

/// "none", "mainline", "peermr_vfio", "peermr_bar".
[[nodiscard]] PEERMR_API std::string_view to_string(ExporterKind kind) noexcept;

/// What the exporter of an open device can do, found by asking it; versions play no part.
struct ExporterFeatures {
  ExporterKind kind = ExporterKind::kNone;
  bool mappable = false;                ///< ExportOptions::mappable
  bool manual_rearm = false;            ///< ExportOptions::manual_rearm, and Device::rearm()
  bool write_combine = false;           ///< ExportOptions::write_combine, on some BAR
  bool delegate = false;                ///< ExportOptions::delegate: iommufd can import the buffer
  bool revoke = false;                  ///< Device::revoke()
  bool query = false;                   ///< Device::query()
  bool info = false;                    ///< Device::exporter_info()
  bool make_private = false;            ///< Device::make_private()
  bool sees_every_reset = false;        ///< also those through sysfs revoke and restore
  bool many_ranges_translated = false;  ///< several ranges map through an IOMMU too

  friend bool operator==(const ExporterFeatures&, const ExporterFeatures&) = default;
};

enum class BufferState {
  kLive,     ///< importers can map it
  kRevoked,  ///< they cannot, until the device's memory is back
  kHeld,     ///< they cannot, until Device::rearm()
  kDead,     ///< never again
};

/// "live", "revoked", "held", "dead".
[[nodiscard]] PEERMR_API std::string_view to_string(BufferState state) noexcept;

/// What a buffer is, and has been through (struct peermr_export_query).
struct BufferStatus {
  BufferState state = BufferState::kLive;
  std::uint64_t size_bytes = 0;
  std::uint64_t revokes = 0;      ///< of it, or of the device's memory; being born so included
  std::uint64_t restores = 0;     ///< times that it became mappable again
  std::uint64_t invalidates = 0;  ///< callbacks that an importer attached throughout has had
  std::uint64_t mappings = 0;     ///< that importers hold now
  std::uint64_t mapped = 0;       ///< mappings ever made
  std::uint64_t faults = 0;       ///< pages that users of mmap faulted in
  std::uint32_t ranges = 0;       ///< after merging adjacent ones
  bool read_only = false;
  bool mappable = false;
  bool manual_rearm = false;
  bool write_combine = false;
  bool waiting = false;  ///< a revoke waits for an importer
};

/// The exporter of an open device (struct peermr_export_info).
struct ExporterInfo {
  std::uint32_t why = 0;             ///< PEERMR_WHY_*: why memory is revoked now; 0: it is not
  std::uint32_t combining_bars = 0;  ///< bit n: BAR n is mapped write-combining
  std::uint64_t revokes = 0;         ///< of the device's memory since it was opened
  std::uint64_t restores = 0;
  std::uint64_t late_revokes = 0;  ///< those that came after the fact
  std::uint32_t buffers = 0;       ///< that exist now
  bool waiting = false;            ///< a revoke waits for importers
  bool private_memory = false;
};

/// What Device::make_private() does when a BAR or buffer was ever mapped into a process.
enum class PrivateMappings {
  kRefuse,  ///< fail with EBUSY: VFIO type1 may have pinned what it found in a mapping
  kZap,     ///< take them away
};

}  // namespace peermr::vfio
