// SPDX-License-Identifier: BSD-2-Clause
#include "doctor/iommufd.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <optional>

#include "base/system.hpp"

namespace peermr::tool {
namespace {

std::optional<BarIndex> first_memory_bar(const vfio::Device& device, std::uint64_t page) {
  for (std::uint8_t number = 0; number < 6; ++number) {
    const BarIndex bar(number);
    const auto info = device.bar_info(bar);
    if (info && info->mappable && info->size_bytes >= page) return bar;
  }
  return std::nullopt;
}

}  // namespace

std::string try_iommufd(const vfio::Device& device) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const auto bar = first_memory_bar(device, page);
  if (!bar) return "iommufd was not tried: no BAR with memory";
  vfio::ExportOptions options;
  options.delegate = true;
  const auto buffer = device.export_dma_buf(*bar, vfio::BarRange{0, page}, options);
  if (!buffer) return fmt::format("iommufd was not tried: {}", buffer.error().message());
  const auto mapped = vfio::try_iommufd_map(*buffer, system_paths());
  if (!mapped) {
    return fmt::format("iommufd did not map its delegated buffers: {}", mapped.error().message());
  }
  return "iommufd maps its delegated buffers";
}

}  // namespace peermr::tool
