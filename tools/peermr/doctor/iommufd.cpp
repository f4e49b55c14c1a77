// SPDX-License-Identifier: BSD-2-Clause
#include "doctor/iommufd.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <system_error>

#include "peermr/unique_fd.hpp"

namespace peermr::tool {
namespace {

// Linux 7.2's <linux/iommufd.h>: distributions' headers may be older, or have none.
struct IoasAlloc {
  std::uint32_t size, flags, out_ioas_id;
};
struct IoasMapFile {
  std::uint32_t size, flags, ioas_id;
  std::int32_t fd;
  std::uint64_t start, length, iova;
};
constexpr unsigned long kIoasAlloc = _IO(';', 0x81), kIoasMapFile = _IO(';', 0x8f);
constexpr std::uint32_t kWritable = 2, kReadable = 4;

std::string text_of(int error) {
  return std::generic_category().message(error);
}

std::optional<BarIndex> first_memory_bar(const vfio::Device& device, std::uint64_t page) {
  for (std::uint8_t number = 0; number < 6; ++number) {
    const BarIndex bar(number);
    const auto info = device.bar_info(bar);
    if (info && info->mappable && info->size_bytes >= page) return bar;
  }
  return std::nullopt;
}

}  // namespace

std::string try_iommufd(const vfio::Device& device, const std::string& node) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const UniqueFd iommufd(::open(node.c_str(), O_RDWR | O_CLOEXEC));
  if (!iommufd) return fmt::format("iommufd was not tried: open {}: {}", node, text_of(errno));
  const auto bar = first_memory_bar(device, page);
  if (!bar) return "iommufd was not tried: no BAR with memory";
  vfio::ExportOptions options;
  options.delegate = true;
  const auto buffer = device.export_dma_buf(*bar, vfio::BarRange{0, page}, options);
  if (!buffer) return fmt::format("iommufd was not tried: {}", buffer.error().message());

  IoasAlloc space{sizeof(space), 0, 0};
  if (::ioctl(iommufd.get(), kIoasAlloc, &space) != 0)
    return fmt::format("iommufd was not tried: no address space: {}", text_of(errno));
  IoasMapFile map{sizeof(map), kReadable | kWritable, space.out_ioas_id, buffer->fd(), 0, page, 0};
  if (::ioctl(iommufd.get(), kIoasMapFile, &map) != 0)
    return fmt::format("iommufd cannot map its delegated buffers: {}", text_of(errno));
  return "iommufd maps its delegated buffers";
}

}  // namespace peermr::tool
