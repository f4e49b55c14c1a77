// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/buffer_source.hpp"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "peermr/peermr_export.h"
#include "vfio/exporter.hpp"

namespace peermr::vfio {

int export_by_peermr(const BackendLink& link, const ExportedMemory& memory) {
  std::vector<peermr_export_range> parts;
  parts.reserve(memory.ranges.size());
  for (const BarRange& range : memory.ranges) {
    parts.push_back({range.offset_bytes, range.length_bytes});
  }
  peermr_export_create request{};
  request.size = sizeof(request);
  request.flags = export_flags(memory.options);
  request.bar = memory.bar.value();
  request.open_flags = open_flags(memory.options);
  request.nr_ranges = static_cast<std::uint32_t>(parts.size());
  request.ranges = reinterpret_cast<std::uintptr_t>(parts.data());
  return link.call(ExportCall::kExport, &request, sizeof(request));
}

BufferSource::BufferSource(std::shared_ptr<const BackendLink> link, ExportedMemory memory,
                           std::string name)
    : link_(std::move(link)), memory_(std::move(memory)), name_(std::move(name)) {}

Result<UniqueFd> BufferSource::make() const {
  const int fd = export_by_peermr(*link_, memory_);
  if (fd < 0) return exporter_error(-fd, "export once more", name_);
  return UniqueFd(fd);
}

Result<void> BufferSource::end(int fd) const {
  peermr_export_revoke request{};
  request.size = sizeof(request);
  request.dmabuf_fd = fd;
  int status = 0;
  // After a signal the buffer is dead but may not have been let go of by all.
  do {
    status = link_->call(ExportCall::kRevoke, &request, sizeof(request));
  } while (status == -EINTR);
  if (status >= 0 || status == -EBADFD || status == -ENODEV) return {};
  return exporter_error(-status, "end an export of", name_);
}

Result<BufferState> BufferSource::state_of(int fd) const {
  peermr_export_query request{};
  request.size = sizeof(request);
  request.dmabuf_fd = fd;
  const int status = link_->call(ExportCall::kQuery, &request, sizeof(request));
  if (status < 0) return exporter_error(-status, "query dma-buf of", name_);
  return to_status(request).state;
}

}  // namespace peermr::vfio
