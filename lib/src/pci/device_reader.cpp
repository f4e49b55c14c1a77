// SPDX-License-Identifier: BSD-2-Clause
#include "pci/device_reader.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <memory>

#include "base/text.hpp"
#include "pci/config_space.hpp"
#include "pci/sysfs.hpp"

namespace peermr {
namespace {

// Flags of a line of "resource": include/linux/ioport.h. They are part of what sysfs shows.
constexpr std::uint64_t kResourceIo = 0x100;
constexpr std::uint64_t kResourceMemory = 0x200;
constexpr std::uint64_t kResourcePrefetch = 0x2000;
constexpr std::uint64_t kResource64Bit = 0x100000;
constexpr std::size_t kBars = 6;
constexpr std::size_t kConfigSpaceBytes = 4096;

class DeviceReader {
 public:
  DeviceReader(const std::string& folder, const Bdf& bdf) : folder_(folder) { device_.bdf = bdf; }

  PciDevice read() {
    read_place();
    device_.vendor = number<std::uint16_t>("vendor");
    device_.device = number<std::uint16_t>("device");
    device_.class_code = number<std::uint32_t>("class");
    read_bars();
    read_config_space();
    device_.driver = link_name(folder_ + "/driver").value_or("");
    read_iommu_group();
    read_link();
    read_reset_methods();
    return std::move(device_);
  }

 private:
  void problem(std::string_view file, std::string_view what) {
    device_.problems.push_back(fmt::format("{}/{}: {}", folder_, file, what));
  }

  template <typename T>
  T number(const char* file) {
    const auto text = read_attribute(folder_ + '/' + file);
    if (!text) {
      problem(file, text.error().code().message());
      return 0;
    }
    const auto value = parse_hex<T>(*text);
    if (!value) problem(file, fmt::format("\"{}\" is not a number of the right size", *text));
    return value.value_or(0);
  }

  // The folder's real path says it all:
  //   /sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0
  // A host bridge may lie below another device (VMD): the last one counts, as for the kernel's
  // pci_upstream_bridge(), which ends at a root bus.
  void read_place() {
    const std::unique_ptr<char, decltype(&std::free)> path(::realpath(folder_.c_str(), nullptr),
                                                           &std::free);
    if (!path) return problem("", "the link leads nowhere");
    for (const std::string_view part : split(path.get(), '/')) {
      if (part.starts_with("pci") && part.find(':') != std::string_view::npos) {
        device_.host_bridge = part;
        device_.parent.reset();
      } else if (const auto bdf = Bdf::parse(part); bdf && *bdf != device_.bdf) {
        device_.parent = *bdf;
      }
    }
    if (device_.host_bridge.empty()) problem("", "not below a host bridge");
  }

  void read_bars() {
    const auto text = read_attribute(folder_ + "/resource");
    if (!text) return problem("resource", text.error().code().message());
    const auto lines = split(*text, '\n');
    for (std::size_t i = 0; i < kBars && i < lines.size(); ++i) {
      if (!read_bar(i, trim(lines[i]))) {
        problem("resource", fmt::format("line {} is malformed: \"{}\"", i + 1, lines[i]));
      }
    }
    if (lines.size() < kBars) problem("resource", "fewer lines than BARs");
  }

  bool read_bar(std::size_t index, std::string_view line) {
    const auto fields = split(line, ' ');
    if (fields.size() != 3) return false;
    const auto start = parse_hex<std::uint64_t>(fields[0]);
    const auto end = parse_hex<std::uint64_t>(fields[1]);
    const auto flags = parse_hex<std::uint64_t>(fields[2]);
    if (!start || !end || !flags) return false;
    if (*start == 0 && *end == 0) return true;  // absent
    if (*end < *start || *end - *start == UINT64_MAX) return false;
    if ((*flags & (kResourceIo | kResourceMemory)) == 0) return true;
    device_.bars.push_back({.index = BarIndex(static_cast<std::uint8_t>(index)),
                            .start = *start,
                            .size_bytes = *end - *start + 1,
                            .memory = (*flags & kResourceMemory) != 0,
                            .prefetchable = (*flags & kResourcePrefetch) != 0,
                            .is_64bit = (*flags & kResource64Bit) != 0});
    return true;
  }

  void read_config_space() {
    const std::string path = folder_ + "/config";
    const auto bytes = read_file(path, kConfigSpaceBytes);
    struct stat info {};
    if (!bytes || ::stat(path.c_str(), &info) != 0) {
      return problem("config", bytes ? "cannot be examined" : bytes.error().code().message());
    }
    const ConfigSpace config(*bytes, static_cast<std::size_t>(info.st_size));
    device_.bridge = config.is_bridge();
    device_.pcie_type = config.pcie_type();
    device_.acs = config.acs();
  }

  void read_iommu_group() {
    const auto name = link_name(folder_ + "/iommu_group");
    if (!name) return;
    device_.iommu_group = parse_number<unsigned>(*name);
    if (!device_.iommu_group) return problem("iommu_group", "\"" + *name + "\" is not a number");
    device_.iommu_type = read_attribute(folder_ + "/iommu_group/type").value_or("");
  }

  // Conventional devices have none of these files.
  void read_link() {
    const auto speed = read_attribute(folder_ + "/current_link_speed");
    if (!speed) return;
    PcieLink link;
    link.speed = *speed;
    link.width = decimal("current_link_width");
    link.max_speed = read_attribute(folder_ + "/max_link_speed").value_or("");
    link.max_width = decimal("max_link_width");
    device_.link = std::move(link);
  }

  unsigned decimal(const char* file) {
    const auto text = read_attribute(folder_ + '/' + file);
    const auto value = text ? parse_number<unsigned>(*text) : std::nullopt;
    if (!value) problem(file, "missing or not a number");
    return value.value_or(0);
  }

  void read_reset_methods() {
    const auto text = read_attribute(folder_ + "/reset_method");
    if (!text || text->empty()) return;
    for (const auto method : split(*text, ' ')) device_.reset_methods.emplace_back(method);
  }

  const std::string& folder_;
  PciDevice device_;
};

}  // namespace

PciDevice read_pci_device(const std::string& folder, const Bdf& bdf) {
  return DeviceReader(folder, bdf).read();
}

}  // namespace peermr
