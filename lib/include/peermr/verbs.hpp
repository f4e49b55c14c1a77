// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <infiniband/verbs.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "peermr/bdf.hpp"
#include "peermr/export.hpp"
#include "peermr/result.hpp"
#include "peermr/topology.hpp"

namespace peermr::verbs {

/// How an RDMA driver imports a dma-buf, which decides what a revoke costs.
enum class ImporterClass {
  kUnknown,    ///< a driver that this library does not know
  kFaultable,  ///< same rkey after a restore; accesses in between fault
  kRevocable,  ///< pinned; dead after an invalidate, the key stays reserved until dereg
  kPinned,     ///< pinned for good: exporters that revoke refuse it
  kNone,       ///< does not import dma-bufs
};

/// "faultable", "revocable", "pinned", "none", "unknown".
[[nodiscard]] PEERMR_API std::string_view to_string(ImporterClass importer) noexcept;

struct RdmaDevice {
  std::string name;        ///< "mlx5_0"
  std::optional<Bdf> bdf;  ///< none: a software device
  std::string driver;      ///< PCI driver, or the device's kind when it has no PCI function: "rxe"
  ImporterClass importer = ImporterClass::kUnknown;
  std::string importer_reason;  ///< one sentence: what that means with a VFIO exporter
};

/// The RDMA devices of this machine by name, from sysfs: needs no user-space driver. The class is
/// by driver; for one that depends on the device (mlx5: ODP) it is what Context::importer()
/// refines. No devices, and no RDMA in the kernel, are an empty list.
[[nodiscard]] PEERMR_API Result<std::vector<RdmaDevice>> list_devices(
    const SystemPaths& paths = {});

/// An open RDMA device. Moves; closes on destruction. Const functions are thread-safe.
class PEERMR_API Context {
 public:
  /// Errors: std::errc::no_such_device, naming the devices that there are, and saying so when the
  /// kernel has the device but no libibverbs provider matches; or what opening it returns.
  [[nodiscard]] static Result<Context> open(std::string_view name, const SystemPaths& paths = {});
  [[nodiscard]] static Result<Context> open(const Bdf& bdf, const SystemPaths& paths = {});

  [[nodiscard]] ibv_context* get() const noexcept { return context_.get(); }
  [[nodiscard]] const RdmaDevice& device() const noexcept { return device_; }
  /// As device().importer, refined by what the device reports.
  [[nodiscard]] ImporterClass importer() const noexcept { return device_.importer; }

 private:
  struct Close {
    void operator()(ibv_context* context) const noexcept;
  };

  Context(std::unique_ptr<ibv_context, Close> context, RdmaDevice device) noexcept
      : context_(std::move(context)), device_(std::move(device)) {}

  std::unique_ptr<ibv_context, Close> context_;
  RdmaDevice device_;
};

/// What the library knows about the device behind a context that the caller opened. Never fails: a
/// device that sysfs does not describe is of class kUnknown.
[[nodiscard]] PEERMR_API RdmaDevice describe(ibv_context* context, const SystemPaths& paths = {});

}  // namespace peermr::verbs
