// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "peermr/vfio.hpp"
#include "peermr/vfio_dmabuf.h"
#include "vfio/checks.hpp"
#include "vfio/device_impl.hpp"
#include "vfio/dma_buf_state.hpp"

namespace peermr::vfio {
namespace {

constexpr std::string_view kExport = "export dma-buf of";

/// Argument of VFIO_DEVICE_FEATURE: a header, the feature's struct, its ranges. Bytes in a vector
/// that is aligned for all of them.
class FeatureArgument {
 public:
  explicit FeatureArgument(std::size_t ranges)
      : size_bytes_(sizeof(vfio_device_feature) + sizeof(peermr_vfio_dma_buf) +
                    ranges * sizeof(peermr_vfio_dma_range)),
        words_((size_bytes_ + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t)) {
    header().argsz = static_cast<std::uint32_t>(size_bytes_);
  }

  vfio_device_feature& header() { return *reinterpret_cast<vfio_device_feature*>(words_.data()); }
  peermr_vfio_dma_buf& dma_buf() { return *reinterpret_cast<peermr_vfio_dma_buf*>(header().data); }

 private:
  std::size_t size_bytes_;
  std::vector<std::uint64_t> words_;
};

Error export_error(int error_number, const std::string& name) {
  switch (error_number) {
    case ENOTTY:
    case EOPNOTSUPP:
      return make_error(Errc::kNoDmaBufFeature, kExport, name,
                        "it takes Linux 6.19 or later with CONFIG_VFIO_PCI_DMABUF and "
                        "CONFIG_PCI_P2PDMA, and a VFIO driver that supports it");
    case ENODEV:
      return errno_error(error_number, kExport, name,
                         "the kernel could not claim the BAR, or the device is going away");
    default:
      return errno_error(error_number, kExport, name);
  }
}

}  // namespace

bool Device::can_export_dma_buf() const {
  FeatureArgument argument(0);
  argument.header().flags =
      PEERMR_VFIO_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET;
  return ::ioctl(fd(), VFIO_DEVICE_FEATURE, &argument.header()) == 0;
}

Result<DmaBuf> Device::export_dma_buf(BarIndex bar, std::span<const BarRange> ranges,
                                      const ExportOptions& options) const {
  const std::string name = bar_name(bdf(), bar);
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto total = check_ranges(kExport, name, impl_->pci.bar(bar), ranges, page);
  if (!total) return total.error();
  // argsz is 32 bits wide.
  if (ranges.size() > std::numeric_limits<std::uint32_t>::max() / 2 / sizeof(BarRange)) {
    return make_error(std::errc::invalid_argument, kExport, name, "too many ranges");
  }
  FeatureArgument argument(ranges.size());
  argument.header().flags = PEERMR_VFIO_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET;
  peermr_vfio_dma_buf& request = argument.dma_buf();
  request.region_index = bar.value();
  request.open_flags =
      static_cast<std::uint32_t>(O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR));
  request.nr_ranges = static_cast<std::uint32_t>(ranges.size());
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    request.ranges[i] = {.offset = ranges[i].offset_bytes, .length = ranges[i].length_bytes};
  }
  const int fd = ::ioctl(this->fd(), VFIO_DEVICE_FEATURE, &argument.header());
  if (fd < 0) return export_error(errno, name);
  auto state = std::make_shared<peermr::detail::DmaBufState>();
  state->fd = UniqueFd(fd);
  state->size_bytes = *total;
  state->exporter = bdf();
  state->name = name;
  state->events = impl_->events;
  return DmaBuf(std::move(state));
}

}  // namespace peermr::vfio
