// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <fcntl.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "peermr/peermr_export.h"
#include "vfio/backend.hpp"

namespace peermr::test {

using vfio::ExportCall;

/// What a FakeBackend does, and was asked. Outlives the device.
struct FakeExporter {
  std::set<ExportCall> calls;  ///< that it has
  vfio::ExporterKind kind = vfio::ExporterKind::kPeermrVfio;
  std::map<ExportCall, int> failures;  ///< errno value, for as long as it is there
  peermr_export_info info{};
  peermr_export_query query{};
  bool memory_enabled = true;
  std::map<std::uint16_t, std::uint16_t> config;  ///< by offset; 0 elsewhere
  int config_write_error = 0;
  std::map<vfio::DeviceEvent, int> events;  ///< eventfds to signal; those that it can have

  std::vector<ExportCall> made;  ///< but queries and probes
  peermr_export_create created{};
  std::vector<peermr_export_range> ranges;
  peermr_export_rearm rearmed{};

  static FakeExporter mainline() {
    FakeExporter exporter;
    exporter.calls = {ExportCall::kMainline};
    return exporter;
  }
  static FakeExporter peermr() {
    FakeExporter exporter;
    exporter.calls = {ExportCall::kMainline, ExportCall::kExport, ExportCall::kRevoke,
                      ExportCall::kRearm,    ExportCall::kQuery,  ExportCall::kInfo,
                      ExportCall::kPrivate};
    exporter.info.flags = PEERMR_EXPORT_NO_MMAP | PEERMR_EXPORT_MANUAL_REARM |
                          PEERMR_EXPORT_WRITE_COMBINE | PEERMR_EXPORT_DELEGATE;
    return exporter;
  }
};

class FakeBackend final : public vfio::Backend {
 public:
  explicit FakeBackend(FakeExporter& exporter) : exporter_(exporter) {}

  [[nodiscard]] int fd() const noexcept override { return open_ ? 1000 : -1; }
  Result<void> close() override {
    open_ = false;
    return {};
  }
  [[nodiscard]] Result<vfio::BarRegion> region(BarIndex) const override {
    return vfio::BarRegion{};
  }
  [[nodiscard]] Result<std::uint16_t> read_config16(std::uint16_t offset) const override {
    const auto found = exporter_.config.find(offset);
    return found == exporter_.config.end() ? std::uint16_t{0} : found->second;
  }
  Result<void> write_config16(std::uint16_t offset, std::uint16_t value) const override {
    if (exporter_.config_write_error != 0) {
      return errno_error(exporter_.config_write_error, "write", "fake");
    }
    exporter_.config[offset] = value;
    return {};
  }
  [[nodiscard]] Result<bool> memory_enabled() const override { return exporter_.memory_enabled; }
  Result<void> write_memory_enabled(bool enabled) const override {
    exporter_.memory_enabled = enabled;
    return {};
  }
  [[nodiscard]] bool can_reset() const noexcept override { return true; }
  Result<void> reset_function() const override { return {}; }
  [[nodiscard]] Result<UniqueFd> event_fd(vfio::DeviceEvent event) const override {
    const auto found = exporter_.events.find(event);
    if (found == exporter_.events.end()) return make_error(std::errc::not_supported, "fake");
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    found->second = fd.get();
    return fd;
  }
  [[nodiscard]] vfio::ExporterKind own_kind() const noexcept override { return exporter_.kind; }
  [[nodiscard]] bool has(ExportCall call) const override { return exporter_.calls.contains(call); }

  int call(ExportCall call, void* argument, std::size_t) const override {
    if (!has(call)) return -ENOTTY;
    if (call != ExportCall::kInfo && call != ExportCall::kQuery) exporter_.made.push_back(call);
    if (const auto failure = exporter_.failures.find(call); failure != exporter_.failures.end()) {
      return -failure->second;
    }
    switch (call) {
      case ExportCall::kMainline:
        return ::open("/dev/null", O_RDWR | O_CLOEXEC);
      case ExportCall::kExport:
        record_export(argument);
        return ::open("/dev/null", O_RDWR | O_CLOEXEC);
      case ExportCall::kInfo:
        std::memcpy(argument, &exporter_.info, sizeof(exporter_.info));
        return 0;
      case ExportCall::kQuery:
        std::memcpy(argument, &exporter_.query, sizeof(exporter_.query));
        return 0;
      case ExportCall::kRearm:
        std::memcpy(&exporter_.rearmed, argument, sizeof(exporter_.rearmed));
        return 0;
      case ExportCall::kRevoke:
      case ExportCall::kPrivate:
        return 0;
    }
    return -ENOTTY;
  }

 private:
  void record_export(const void* argument) const {
    std::memcpy(&exporter_.created, argument, sizeof(exporter_.created));
    const auto* ranges = reinterpret_cast<const peermr_export_range*>(exporter_.created.ranges);
    exporter_.ranges.assign(ranges, ranges + exporter_.created.nr_ranges);
  }

  FakeExporter& exporter_;
  bool open_ = true;
};

}  // namespace peermr::test
