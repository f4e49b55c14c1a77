// SPDX-License-Identifier: BSD-2-Clause
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "peermr/vfio.hpp"
#include "peermr/vfio_dmabuf.h"
#include "vfio/buffer_source.hpp"
#include "vfio/checks.hpp"
#include "vfio/device_impl.hpp"
#include "vfio/dma_buf_state.hpp"
#include "vfio/exporter.hpp"

namespace peermr::vfio {
namespace {

constexpr std::string_view kExport = "export dma-buf of";

Error export_error(int error_number, const std::string& name, const PciDevice& device,
                   const ExportOptions& options) {
  switch (error_number) {
    case EOPNOTSUPP:
      if (options.write_combine) {
        return make_error(Errc::kNotOffered, kExport, name,
                          "this BAR is not mapped write-combining; as root, before the device is "
                          "opened: echo MASK > /sys/bus/pci/devices/" +
                              device.bdf.to_string() + "/peermr_wc_bars, bit n of MASK for BAR n");
      }
      [[fallthrough]];
    case ENOTTY:
      return make_error(Errc::kNoDmaBufFeature, kExport, name,
                        "it takes Linux 6.19 or later with CONFIG_VFIO_PCI_DMABUF and "
                        "CONFIG_PCI_P2PDMA, and a VFIO driver that supports it");
    case ENODEV:
      return errno_error(error_number, kExport, name,
                         "the kernel could not claim the BAR, or the device is going away");
    case EPERM:
      return errno_error(error_number, kExport, name, "the device's memory is private to a VM");
    case E2BIG:
      return errno_error(error_number, kExport, name, "too many ranges");
    default:
      return errno_error(error_number, kExport, name);
  }
}

// The descriptor, or a negative errno value.
int export_by_mainline(const BackendLink& link, const ExportedMemory& memory) {
  const std::vector<BarRange>& ranges = memory.ranges;
  const std::size_t bytes =
      sizeof(peermr_vfio_dma_buf) + ranges.size() * sizeof(peermr_vfio_dma_range);
  std::vector<std::uint64_t> words((bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t));
  auto* request = reinterpret_cast<peermr_vfio_dma_buf*>(words.data());
  request->region_index = memory.bar.value();
  request->open_flags = open_flags(memory.options);
  request->nr_ranges = static_cast<std::uint32_t>(ranges.size());
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    request->ranges[i] = {.offset = ranges[i].offset_bytes, .length = ranges[i].length_bytes};
  }
  return link.call(ExportCall::kMainline, request, bytes);
}

// For keys that must not outlive a revoke; null where the exporter cannot.
std::shared_ptr<const BufferSource> source_of(const Device::Impl& device, ExportedMemory memory,
                                              const std::string& name) {
  const ExporterFeatures& features = device.features;
  if (!features.manual_rearm || !features.revoke || !features.query || memory.options.delegate) {
    return nullptr;
  }
  memory.options = {.read_only = memory.options.read_only, .manual_rearm = true};
  return std::make_shared<BufferSource>(device.link, std::move(memory), name);
}

}  // namespace

Result<DmaBuf> Device::export_dma_buf(BarIndex bar, std::span<const BarRange> ranges,
                                      const ExportOptions& options) const {
  const std::string name = bar_name(bdf(), bar);
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto total = check_ranges(kExport, name, impl_->pci.bar(bar), ranges, page);
  if (!total) return total.error();
  if (ranges.size() > PEERMR_EXPORT_MAX_RANGES) {
    return make_error(std::errc::invalid_argument, kExport, name,
                      "too many ranges: at most " + std::to_string(PEERMR_EXPORT_MAX_RANGES));
  }
  if (auto offered = check_options(kExport, name, impl_->pci, impl_->features, options); !offered) {
    return offered.error();
  }
  const bool ours = impl_->features.kind == ExporterKind::kPeermrVfio ||
                    impl_->features.kind == ExporterKind::kPeermrBar;
  const ExportedMemory memory{bar, {ranges.begin(), ranges.end()}, options};
  const int fd = (ours ? export_by_peermr : export_by_mainline)(*impl_->link, memory);
  if (fd < 0) return export_error(-fd, name, impl_->pci, options);
  auto state = std::make_shared<peermr::detail::DmaBufState>();
  state->fd = UniqueFd(fd);
  state->file = peermr::detail::file_id(state->fd);
  state->size_bytes = *total;
  state->exporter = bdf();
  state->name = name;
  state->events = impl_->events;
  state->part = std::make_shared<peermr::detail::MemoryPart>(
      peermr::detail::MemoryPart{.manual_rearm = options.manual_rearm});
  state->source = source_of(*impl_, memory, name);
  return DmaBuf(std::move(state));
}

}  // namespace peermr::vfio
