// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/exporter.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "vfio/checks.hpp"

namespace peermr::vfio {
namespace {

bool is_peermr(ExporterKind kind) noexcept {
  return kind == ExporterKind::kPeermrVfio || kind == ExporterKind::kPeermrBar;
}

std::string remedy(const PciDevice& device, const ExporterFeatures& features) {
  // A newer driver of the same name is all that can help then.
  if (is_peermr(features.kind)) {
    return fmt::format("this {} is too old for it", to_string(features.kind));
  }
  const bool vfio = device.iommu_group.has_value();
  const char* driver = vfio ? "peermr_vfio" : "peermr_bar";
  return fmt::format("bind {} to {}: {}", device.bdf.to_string(), driver,
                     how_to_bind(device, driver));
}

}  // namespace

std::string_view to_string(ExporterKind kind) noexcept {
  switch (kind) {
    case ExporterKind::kNone:
      return "none";
    case ExporterKind::kMainline:
      return "mainline";
    case ExporterKind::kPeermrVfio:
      return "peermr_vfio";
    case ExporterKind::kPeermrBar:
      return "peermr_bar";
  }
  return "unknown";
}

std::string_view to_string(BufferState state) noexcept {
  switch (state) {
    case BufferState::kLive:
      return "live";
    case BufferState::kRevoked:
      return "revoked";
    case BufferState::kHeld:
      return "held";
    case BufferState::kDead:
      return "dead";
  }
  return "unknown";
}

ExporterFeatures find_features(const Backend& backend) {
  ExporterFeatures features;
  const bool mainline = backend.has(ExportCall::kMainline);
  if (!backend.has(ExportCall::kExport)) {
    if (mainline) {
      features.kind = ExporterKind::kMainline;
      features.delegate = true;
    }
    return features;
  }
  features.kind = backend.own_kind();
  features.revoke = backend.has(ExportCall::kRevoke);
  features.query = backend.has(ExportCall::kQuery);
  features.info = backend.has(ExportCall::kInfo);
  features.make_private = backend.has(ExportCall::kPrivate);
  features.sees_every_reset = true;
  features.many_ranges_translated = true;
  features.mappable = true;
  peermr_export_info info{};
  info.size = sizeof(info);
  if (!features.info || backend.call(ExportCall::kInfo, &info, sizeof(info)) < 0) return features;
  features.manual_rearm =
      (info.flags & PEERMR_EXPORT_MANUAL_REARM) != 0 && backend.has(ExportCall::kRearm);
  features.write_combine =
      (info.flags & PEERMR_EXPORT_WRITE_COMBINE) != 0 && info.combining_bars != 0;
  features.delegate = (info.flags & PEERMR_EXPORT_DELEGATE) != 0;
  return features;
}

std::uint32_t export_flags(const ExportOptions& options) noexcept {
  if (options.delegate) return PEERMR_EXPORT_DELEGATE;
  std::uint32_t flags = options.mappable ? 0 : PEERMR_EXPORT_NO_MMAP;
  if (options.manual_rearm) flags |= PEERMR_EXPORT_MANUAL_REARM;
  if (options.write_combine) flags |= PEERMR_EXPORT_WRITE_COMBINE;
  return flags;
}

std::uint32_t open_flags(const ExportOptions& options) noexcept {
  return static_cast<std::uint32_t>(O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR));
}

Result<void> check_options(std::string_view operation, const std::string& object,
                           const PciDevice& device, const ExporterFeatures& features,
                           const ExportOptions& options) {
  if (options.delegate && (options.mappable || options.manual_rearm || options.write_combine)) {
    return make_error(std::errc::invalid_argument, operation, object,
                      "the kernel's own exporter, to which it is to be delegated, has no mmap, "
                      "manual re-arm or write combining");
  }
  if (options.write_combine && !options.mappable) {
    return make_error(std::errc::invalid_argument, operation, object,
                      "write combining is a property of mmap, which is not asked for");
  }
  const auto lacks = [&](std::string_view what) {
    return make_error(Errc::kNotOffered, operation, object,
                      fmt::format("no {} with exporter {}; {}", what, to_string(features.kind),
                                  remedy(device, features)));
  };
  if (options.mappable && !features.mappable) return lacks("mmap of buffers");
  if (options.manual_rearm && !features.manual_rearm) return lacks("manual re-arm");
  if (options.delegate && !features.delegate) {
    return make_error(Errc::kNotOffered, operation, object,
                      fmt::format("{} has nobody to delegate to; iommufd imports only what the "
                                  "kernel's own VFIO exporter made",
                                  to_string(features.kind)));
  }
  if (!options.write_combine || features.write_combine) return {};
  if (features.kind != ExporterKind::kPeermrVfio) return lacks("write combining");
  return make_error(
      Errc::kNotOffered, operation, object,
      fmt::format("no BAR is mapped write-combining; as root, before the device is opened: echo "
                  "MASK > /sys/bus/pci/devices/{}/peermr_wc_bars, bit n of MASK for BAR n",
                  device.bdf.to_string()));
}

Error not_offered(std::string_view operation, const std::string& object, const PciDevice& device,
                  const ExporterFeatures& features) {
  return make_error(
      Errc::kNotOffered, operation, object,
      fmt::format("exporter {} cannot; {}", to_string(features.kind), remedy(device, features)));
}

Error exporter_error(int error_number, std::string_view operation, const std::string& object) {
  switch (error_number) {
    case EBADFD:
      return make_error(Errc::kDead, operation, object, "the buffer was revoked for good before");
    case ENODEV:
      return make_error(Errc::kDead, operation, object, "the device is closed or removed");
    case ESTALE:
      return make_error(Errc::kStale, operation, object,
                        "nothing happened: query the buffer, see to its memory, and re-arm with "
                        "the number of revokes found then");
    case EAGAIN:
      return make_error(Errc::kRevoked, operation, object,
                        "the device's memory is away at the moment: memory decode is off, or a "
                        "reset is under way");
    case EINVAL:
      return errno_error(error_number, operation, object,
                         "this device's exporter did not make the buffer");
    case EBUSY:
      return errno_error(
          error_number, operation, object,
          "its memory was mapped into a process, an ioeventfd is set, or a buffer was "
          "delegated");
    default:
      return errno_error(error_number, operation, object);
  }
}

BufferStatus to_status(const peermr_export_query& query) noexcept {
  BufferStatus status;
  switch (query.state) {
    case PEERMR_EXPORT_LIVE:
      status.state = BufferState::kLive;
      break;
    case PEERMR_EXPORT_HELD:
      status.state = BufferState::kHeld;
      break;
    case PEERMR_EXPORT_DEAD:
      status.state = BufferState::kDead;
      break;
    default:  // also what a newer kernel may invent: at least it is not live
      status.state = BufferState::kRevoked;
      break;
  }
  status.size_bytes = query.bytes;
  status.revokes = query.revokes;
  status.restores = query.restores;
  status.invalidates = query.invalidates;
  status.mappings = query.mappings;
  status.mapped = query.mapped;
  status.faults = query.faults;
  status.ranges = query.nr_ranges;
  status.read_only = query.read_only != 0;
  status.mappable = (query.flags & PEERMR_EXPORT_NO_MMAP) == 0;
  status.manual_rearm = (query.flags & PEERMR_EXPORT_MANUAL_REARM) != 0;
  status.write_combine = query.cache == PEERMR_EXPORT_COMBINING;
  status.waiting = query.waiting != 0;
  return status;
}

ExporterInfo to_info(const peermr_export_info& info) noexcept {
  return {.why = info.why,
          .combining_bars = info.combining_bars,
          .revokes = info.revokes,
          .restores = info.restores,
          .late_revokes = info.late_revokes,
          .buffers = info.buffers,
          .waiting = info.waiting != 0,
          .private_memory = info.private_memory != 0};
}

}  // namespace peermr::vfio
