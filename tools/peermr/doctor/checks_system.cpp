// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "base/file.hpp"
#include "base/units.hpp"
#include "doctor/checks.hpp"

namespace peermr::tool {
namespace {

// Where mainline's vfio-pci learned to export dma-bufs.
constexpr unsigned kMajor = 6;
constexpr unsigned kMinor = 19;
constexpr rlim_t kEnoughLocked = rlim_t{256} << 20;

Check check_kernel(const Machine& machine) {
  if (release_at_least(machine.kernel, kMajor, kMinor)) {
    return {Level::kOk, "kernel", fmt::format("{} has VFIO's dma-buf export", machine.kernel), ""};
  }
  return {Level::kFail, "kernel", fmt::format("{} has no VFIO dma-buf export", machine.kernel),
          fmt::format("boot Linux {}.{} or newer", kMajor, kMinor)};
}

std::string read_config(const Machine& machine) {
  for (const auto& path :
       {"/boot/config-" + machine.kernel, "/lib/modules/" + machine.kernel + "/config",
        "/usr/lib/modules/" + machine.kernel + "/config"}) {
    if (auto text = read_file(path)) return *std::move(text);
  }
  return {};
}

void check_config(const Machine& machine, std::vector<Check>& checks) {
  const std::string config = read_config(machine);
  if (config.empty()) {
    checks.push_back(
        {Level::kWarn, "kernel", "its configuration is not readable",
         "install it as /boot/config-" + machine.kernel + ", or see what doctor --probe BDF says"});
    return;
  }
  for (const char* option : {"CONFIG_PCI_P2PDMA", "CONFIG_VFIO_PCI", "CONFIG_VFIO_PCI_DMABUF"}) {
    const std::string value = config_value(config, option);
    const bool on = value == "y" || value == "m";
    checks.push_back({on ? Level::kOk : Level::kFail, "kernel",
                      fmt::format("{} is {}", option, on ? value : "off"),
                      on ? "" : fmt::format("build the kernel with {}=y", option)});
  }
}

Check check_memory_lock() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (::geteuid() == 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= kEnoughLocked) {
    return {Level::kOk, "memory lock", "the limit leaves room for registered host memory", ""};
  }
  return {Level::kWarn, "memory lock",
          fmt::format("only {} of host memory may be registered", format_bytes(limit.rlim_cur)),
          "raise it: ulimit -l unlimited, or memlock in /etc/security/limits.conf"};
}

Check check_vfio_module(const Machine& machine) {
  if (::access((machine.paths.sysfs + "/bus/pci/drivers/vfio-pci").c_str(), F_OK) == 0) {
    return {Level::kOk, "vfio-pci", "the driver is there", ""};
  }
  return {Level::kFail, "vfio-pci", "the driver is not loaded", "modprobe vfio-pci"};
}

Check check_vfio_node(const Machine& machine) {
  const std::string node = machine.paths.dev + "/vfio/vfio";
  if (::access(node.c_str(), R_OK | W_OK) == 0) {
    return {Level::kOk, node, "this user may open it", ""};
  }
  const bool exists = ::access(node.c_str(), F_OK) == 0;
  return {Level::kFail, node, exists ? "this user may not open it" : "it does not exist",
          exists ? "become root, or change the owner of /dev/vfio/* by a udev rule"
                 : "modprobe vfio-pci"};
}

Check check_watch(const Machine& machine) {
  const std::string node = machine.paths.dev + "/dmabuf_watch";
  if (::access(node.c_str(), R_OK | W_OK) == 0) {
    return {Level::kOk, node, "invalidates of any dma-buf can be counted (peermr watch)", ""};
  }
  if (::access(node.c_str(), F_OK) == 0) {
    return {Level::kWarn, node, "this user may not open it: revokes show late, in completions",
            "become root, or change its mode by a udev rule"};
  }
  return {Level::kWarn, node, "it does not exist: revokes show late, in completions",
          "modprobe dmabuf_watch"};
}

// What a virtual machine's address space can have of device memory. Without iommufd it is VFIO
// type1's, in which everything else works: no failure.
Check check_iommufd(const Machine& machine) {
  const std::string node = machine.paths.dev + "/iommu";
  if (::access(node.c_str(), R_OK | W_OK) == 0) {
    return {Level::kOk, node,
            "iommufd is there. It maps device memory from buffers of the kernel's own exporter, of "
            "one range (peermr export --delegate), and takes them away for good when they are "
            "revoked; not from other buffers, and not from a mapping of a BAR",
            ""};
  }
  if (::access(node.c_str(), F_OK) == 0) {
    return {Level::kWarn, node, "this user may not open it: no devices by character device",
            "become root, or change its owner by a udev rule"};
  }
  const std::string without =
      "devices are opened by group, address spaces are VFIO type1's, which maps device memory from "
      "a mapping of a BAR or buffer and hears of no revoke; delegated buffers have no use";
  const std::string value = config_value(read_config(machine), "CONFIG_IOMMUFD");
  if (value == "n") {
    return {Level::kWarn, node, "the kernel has no iommufd: " + without,
            "for virtual machines only: a kernel with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV"};
  }
  return {Level::kWarn, node, "it does not exist: " + without,
          "for virtual machines only: modprobe iommufd"};
}

}  // namespace

std::string_view to_string(Level level) noexcept {
  switch (level) {
    case Level::kOk:
      return "OK";
    case Level::kWarn:
      return "WARN";
    case Level::kFail:
      return "FAIL";
  }
  return "?";
}

bool release_at_least(std::string_view release, unsigned major, unsigned minor) {
  std::array<unsigned, 2> version{};
  const char* at = release.data();
  const char* end = release.data() + release.size();
  for (std::size_t i = 0; i < version.size(); ++i) {
    if (i != 0 && (at == end || *at++ != '.')) return false;
    auto [stop, status] = std::from_chars(at, end, version[i]);
    if (status != std::errc{}) return false;
    at = stop;
  }
  return version[0] > major || (version[0] == major && version[1] >= minor);
}

std::string config_value(std::string_view config, std::string_view option) {
  while (!config.empty()) {
    const std::size_t end = config.find('\n');
    const std::string_view line = config.substr(0, end);
    if (line.starts_with(option) && line.size() > option.size() && line[option.size()] == '=') {
      return std::string(line.substr(option.size() + 1));
    }
    if (line == fmt::format("# {} is not set", option)) return "n";
    if (end == std::string_view::npos) break;
    config.remove_prefix(end + 1);
  }
  return {};
}

Result<Machine> examine(const SystemPaths& paths) {
  auto topology = Topology::read(paths);
  if (!topology) return std::move(topology).error();
  auto rdma = verbs::list_devices(paths);
  if (!rdma) return std::move(rdma).error();
  utsname system{};
  ::uname(&system);
  return Machine{paths, *std::move(topology), *std::move(rdma), system.release};
}

std::vector<Check> check_system(const Machine& machine) {
  std::vector<Check> checks = {check_kernel(machine)};
  check_config(machine, checks);
  checks.push_back(check_vfio_module(machine));
  checks.push_back(check_vfio_node(machine));
  checks.push_back(check_iommufd(machine));
  checks.push_back(check_memory_lock());
  checks.push_back(check_watch(machine));
  return checks;
}

}  // namespace peermr::tool
