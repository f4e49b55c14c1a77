// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "peermr/export.hpp"

namespace peermr {

/// What errno cannot say. Everything else is reported with std::generic_category().
enum class Errc {
  kNotBoundToVfio = 1,    ///< the device's driver is not a VFIO driver
  kGroupNotViable,        ///< another device of the IOMMU group is bound to a host driver
  kNoDmaBufFeature,       ///< the kernel or the VFIO driver has no dma-buf export
  kPathNotSupported,      ///< no peer-to-peer path between the two devices
  kImporterNotRevocable,  ///< the RDMA driver pins what it imports: the exporter refuses it
  kImporterNoDmaBuf,      ///< the RDMA driver cannot import dma-bufs
  kRevoked,               ///< the memory is taken away now, and may come back
  kDead,                  ///< the memory is gone for good
  kLeaseHeld,   ///< the calling thread holds a lease, so waiting for leases would never end
  kMalformed,   ///< a file or text is not in the form it should have
  kNotOffered,  ///< the device's exporter cannot do what was asked; another one can
  kStale,       ///< the memory was revoked once more since the caller looked
  kNoWatch,     ///< the module dmabuf_watch is not loaded
};

/// The category of Errc; its name is "peermr". Each code maps to the nearest std::errc.
[[nodiscard]] PEERMR_API const std::error_category& error_category() noexcept;

[[nodiscard]] inline std::error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), error_category()};
}

/// Why an operation failed: a code for programs, and for people what was tried, on what, and what
/// to do about it. Reads as
///   "export dma-buf of 0000:04:00.0 BAR 2: Invalid argument: range 1 ends past the BAR"
/// that is, operation, object, text of the code, detail.
class [[nodiscard]] PEERMR_API Error {
 public:
  Error(std::error_code code, std::string_view operation, std::string_view object = {},
        std::string_view detail = {})
      : code_(code), operation_(operation), object_(object), detail_(detail) {}

  [[nodiscard]] const std::error_code& code() const noexcept { return code_; }
  [[nodiscard]] const std::string& operation() const noexcept { return operation_; }
  [[nodiscard]] const std::string& object() const noexcept { return object_; }
  [[nodiscard]] const std::string& detail() const noexcept { return detail_; }

  /// The whole sentence, without a final full stop or newline.
  [[nodiscard]] std::string message() const;

 private:
  std::error_code code_;
  std::string operation_;
  std::string object_;
  std::string detail_;
};

/// An Error from an errno value. `error_number` is positive.
[[nodiscard]] inline Error errno_error(int error_number, std::string_view operation,
                                       std::string_view object = {}, std::string_view detail = {}) {
  return Error(std::error_code(error_number, std::generic_category()), operation, object, detail);
}

/// An Error from a std::errc or Errc.
template <typename Code>
[[nodiscard]] Error make_error(Code code, std::string_view operation, std::string_view object = {},
                               std::string_view detail = {}) {
  return Error(make_error_code(code), operation, object, detail);
}

}  // namespace peermr

template <>
struct std::is_error_code_enum<peermr::Errc> : std::true_type {};
