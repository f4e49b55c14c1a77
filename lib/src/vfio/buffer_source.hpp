// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"
#include "peermr/vfio.hpp"
#include "vfio/backend_link.hpp"

namespace peermr::vfio {

/// What is exported: parts of a BAR, in this order.
struct ExportedMemory {
  BarIndex bar;
  std::vector<BarRange> ranges;
  ExportOptions options;
};

/// Makes more buffers of the memory of one that was exported, for keys that must not outlive a
/// revoke: once revoked, such a buffer is held until it is ended, and then dead. Outlives the
/// device. Thread-safe; functions may block.
class BufferSource {
 public:
  BufferSource(std::shared_ptr<const BackendLink> link, ExportedMemory memory, std::string name);

  /// Errors: Errc::kDead when the device is closed; what the export ioctl returns.
  [[nodiscard]] Result<UniqueFd> make() const;
  /// Revokes a buffer for good. One that is dead already is as good.
  Result<void> end(int fd) const;
  /// What importers may do with a buffer of this device now. Errors: Errc::kDead.
  [[nodiscard]] Result<BufferState> state_of(int fd) const;

 private:
  const std::shared_ptr<const BackendLink> link_;
  const ExportedMemory memory_;
  const std::string name_;
};

/// The descriptor of a new buffer by one of peermr's exporters, or a negative errno value.
[[nodiscard]] int export_by_peermr(const BackendLink& link, const ExportedMemory& memory);

}  // namespace peermr::vfio
