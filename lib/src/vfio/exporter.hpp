// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>

#include "peermr/peermr_export.h"
#include "peermr/vfio.hpp"
#include "vfio/backend.hpp"

namespace peermr::vfio {

/// Asks `backend` what its exporter can do.
[[nodiscard]] ExporterFeatures find_features(const Backend& backend);

/// PEERMR_EXPORT_* for our own exporters.
[[nodiscard]] std::uint32_t export_flags(const ExportOptions& options) noexcept;

/// O_* of the buffer's descriptor.
[[nodiscard]] std::uint32_t open_flags(const ExportOptions& options) noexcept;

/// Whether the exporter has what `options` ask for. Errors: Errc::kNotOffered with the remedy;
/// std::errc::invalid_argument for options that exclude each other.
Result<void> check_options(std::string_view operation, const std::string& object,
                           const PciDevice& device, const ExporterFeatures& features,
                           const ExportOptions& options);

/// For a call that only our exporters have.
[[nodiscard]] Error not_offered(std::string_view operation, const std::string& object,
                                const PciDevice& device, const ExporterFeatures& features);

/// What the errno value of one of peermr_export.h's calls, other than export, says about a buffer.
[[nodiscard]] Error exporter_error(int error_number, std::string_view operation,
                                   const std::string& object);

[[nodiscard]] BufferStatus to_status(const peermr_export_query& query) noexcept;
[[nodiscard]] ExporterInfo to_info(const peermr_export_info& info) noexcept;

}  // namespace peermr::vfio
