// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/error.hpp"

#include <cerrno>
#include <cstdlib>

#include "base/log.hpp"
#include "peermr/result.hpp"

namespace peermr {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "peermr"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::kNotBoundToVfio:
        return "device is not bound to a VFIO driver";
      case Errc::kGroupNotViable:
        return "IOMMU group is not viable";
      case Errc::kNoDmaBufFeature:
        return "no dma-buf export here";
      case Errc::kPathNotSupported:
        return "no peer-to-peer path";
      case Errc::kImporterNotRevocable:
        return "RDMA driver cannot give up what it imports";
      case Errc::kImporterNoDmaBuf:
        return "RDMA driver cannot import dma-bufs";
      case Errc::kRevoked:
        return "memory is revoked";
      case Errc::kDead:
        return "memory is gone for good";
      case Errc::kLeaseHeld:
        return "calling thread holds a lease";
      case Errc::kMalformed:
        return "malformed";
      case Errc::kNotOffered:
        return "not offered by this exporter";
      case Errc::kStale:
        return "memory was revoked once more";
      case Errc::kNoWatch:
        return "no dmabuf_watch here";
    }
    return "unknown error " + std::to_string(value);
  }

  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<Errc>(value)) {
      case Errc::kNotBoundToVfio:
        return std::errc::no_such_device;
      case Errc::kGroupNotViable:
        return std::errc::device_or_resource_busy;
      case Errc::kNoDmaBufFeature:
      case Errc::kPathNotSupported:
      case Errc::kImporterNotRevocable:
      case Errc::kImporterNoDmaBuf:
        return std::errc::operation_not_supported;
      case Errc::kRevoked:
        return std::errc::resource_unavailable_try_again;
      case Errc::kDead:
        return std::errc::no_such_device;
      case Errc::kLeaseHeld:
        return std::errc::resource_deadlock_would_occur;
      case Errc::kMalformed:
        return std::errc::invalid_argument;
      case Errc::kNotOffered:
        return std::errc::operation_not_supported;
      case Errc::kStale:
        return {ESTALE, std::generic_category()};
      case Errc::kNoWatch:
        return std::errc::no_such_file_or_directory;
    }
    return {value, *this};
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

std::string Error::message() const {
  std::string text = operation_;
  if (!object_.empty()) {
    if (!text.empty()) text += ' ';
    text += object_;
  }
  if (!text.empty()) text += ": ";
  text += code_.message();
  if (!detail_.empty()) {
    text += ": ";
    text += detail_;
  }
  return text;
}

namespace detail {

void bad_result_access(const Error& error) noexcept {
  log(LogLevel::kError, "value() of a failed Result: {}", error.message());
  std::abort();
}

void bad_error_access() noexcept {
  log(LogLevel::kError, "error() of a Result that holds a value");
  std::abort();
}

}  // namespace detail
}  // namespace peermr
