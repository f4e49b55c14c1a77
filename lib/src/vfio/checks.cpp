// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/checks.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/checked.hpp"

namespace peermr::vfio {
namespace {

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

// A device whose driver registered it with the VFIO core has this folder (since Linux 6.0); variant
// drivers have all kinds of names.
bool has_vfio_driver(const PciDevice& device, const SystemPaths& paths) {
  if (device.driver.empty()) return false;
  if (device.driver.find("vfio") != std::string::npos) return true;
  return exists(fmt::format("{}/bus/pci/devices/{}/vfio-dev", paths.sysfs, device.bdf.to_string()));
}

// Drivers that do not do DMA for the host, so that the group may still be given away.
bool leaves_group_viable(const PciDevice& device, const SystemPaths& paths) {
  return device.driver.empty() || device.driver == "pcieport" || device.driver == "pci-stub" ||
         has_vfio_driver(device, paths);
}

Error range_error(std::string_view operation, const std::string& name, const std::string& detail) {
  return make_error(std::errc::invalid_argument, operation, name, detail);
}

}  // namespace

std::string how_to_bind(const PciDevice& device, std::string_view driver) {
  const std::string bdf = device.bdf.to_string();
  std::string text =
      fmt::format("as root: modprobe {}; echo {} > /sys/bus/pci/devices/{}/driver_override; ",
                  driver, driver, bdf);
  if (!device.driver.empty()) {
    text += fmt::format("echo {} > /sys/bus/pci/devices/{}/driver/unbind; ", bdf, bdf);
  }
  return text + fmt::format("echo {} > /sys/bus/pci/drivers_probe", bdf);
}

std::string bar_name(const Bdf& bdf, BarIndex bar) {
  return fmt::format("{} BAR {}", bdf.to_string(), bar.value());
}

Result<unsigned> check_bound_to_vfio(const Topology& topology, const Bdf& bdf,
                                     const SystemPaths& paths) {
  const std::string name = bdf.to_string();
  const PciDevice* device = topology.find(bdf);
  if (device == nullptr) {
    return make_error(std::errc::no_such_device, "open VFIO device", name,
                      "there is no such PCI device; lspci -D lists them");
  }
  if (!has_vfio_driver(*device, paths)) {
    const std::string driver =
        device->driver.empty() ? "no driver has it" : "driver " + device->driver + " has it";
    return make_error(
        Errc::kNotBoundToVfio, "open VFIO device", name,
        driver + "; " + how_to_bind(*device, device->iommu_group ? "vfio-pci" : "peermr_bar"));
  }
  if (!device->iommu_group) {
    return make_error(std::errc::not_supported, "open VFIO device", name,
                      "it is in no IOMMU group: enable the IOMMU in the firmware, and boot with "
                      "intel_iommu=on on Intel machines; or do without VFIO, " +
                          how_to_bind(*device, "peermr_bar"));
  }
  return *device->iommu_group;
}

Error not_viable_error(const Topology& topology, const Bdf& bdf, unsigned group,
                       const SystemPaths& paths) {
  std::string others;
  for (const PciDevice* device : topology.iommu_group(group)) {
    if (leaves_group_viable(*device, paths)) continue;
    if (!others.empty()) others += ", ";
    others += fmt::format("{} ({})", device->bdf.to_string(), device->driver);
  }
  return make_error(
      Errc::kGroupNotViable, "open VFIO device", bdf.to_string(),
      others.empty()
          ? fmt::format("a device of IOMMU group {} does DMA for the host", group)
          : fmt::format("host drivers have other devices of IOMMU group {}: {}; bind them to "
                        "vfio-pci, or to no driver",
                        group, others));
}

Result<std::uint64_t> check_ranges(std::string_view operation, const std::string& name,
                                   const Bar* bar, std::span<const BarRange> ranges,
                                   std::uint64_t page_bytes) {
  if (bar == nullptr) return range_error(operation, name, "the device has no such BAR");
  if (!bar->memory) return range_error(operation, name, "it is I/O ports, not memory");
  if (ranges.empty()) return range_error(operation, name, "no range is given");
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto [offset, length] = ranges[i];
    if (length == 0) return range_error(operation, name, fmt::format("range {} is empty", i));
    if (!is_aligned(offset, page_bytes) || !is_aligned(length, page_bytes)) {
      return range_error(operation, name,
                         fmt::format("range {} ({:#x}+{:#x}) is not aligned to the page size, {}",
                                     i, offset, length, page_bytes));
    }
    if (!range_in(offset, length, bar->size_bytes)) {
      return range_error(operation, name,
                         fmt::format("range {} ({:#x}+{:#x}) ends past the BAR, which has {:#x} "
                                     "bytes",
                                     i, offset, length, bar->size_bytes));
    }
    const auto sum = checked_add(total, length);
    // The kernel keeps the top bit of the size for itself (DMA_IOVA_USE_SWIOTLB).
    if (!sum || *sum >> 63 != 0) {
      return range_error(operation, name, "the ranges together are too large");
    }
    total = *sum;
  }
  return total;
}

}  // namespace peermr::vfio
