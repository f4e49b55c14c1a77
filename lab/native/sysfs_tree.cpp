// SPDX-License-Identifier: BSD-2-Clause
#include "sysfs_tree.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "peermr/error.hpp"

namespace peermr::native {

namespace fs = std::filesystem;

namespace {

constexpr int kUverbsAbi = 6;  // IB_USER_VERBS_ABI_VERSION
constexpr int kPnicAbi = 1;    // PNIC_ABI_VERSION

Result<void> write_file(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  std::ofstream file(path);
  file << text << '\n';
  file.close();
  if (!file) return errno_error(EIO, "write", path.string());
  return {};
}

std::string guid(uint64_t value) {
  return fmt::format("{:04x}:{:04x}:{:04x}:{:04x}", value >> 48, value >> 32 & 0xffff,
                     value >> 16 & 0xffff, value & 0xffff);
}

std::string gid(const uint8_t (&raw)[16]) {
  std::string text;
  for (size_t i = 0; i < sizeof(raw); i += 2)
    text += fmt::format("{}{:02x}{:02x}", i == 0 ? "" : ":", raw[i], raw[i + 1]);
  return text;
}

std::string modalias() {
  return fmt::format("pci:v{:08X}d{:08X}sv{:08X}sd{:08X}bc{:02x}sc{:02x}i{:02x}",
                     PNIC_PCI_VENDOR_ID, PNIC_PCI_DEVICE_ID, 0, 0, PNIC_PCI_CLASS >> 16,
                     PNIC_PCI_CLASS >> 8 & 0xff, PNIC_PCI_CLASS & 0xff);
}

}  // namespace

Result<void> write_sysfs_device(const std::string& root, int index,
                                const pnic_device_attr& attr) {
  // The descriptor that stands for the uverbs file is one of /dev/null, and libibverbs compares.
  struct stat null {};
  if (::stat("/dev/null", &null) != 0) return errno_error(errno, "stat", "/dev/null");
  const fs::path verbs = fs::path(root) / "class/infiniband_verbs";
  const fs::path uverbs = verbs / fmt::format("uverbs{}", index);
  const fs::path device = fs::path(root) / fmt::format("class/infiniband/pnic{}", index);
  const fs::path port = device / "ports/1";
  const uint64_t fw = attr.fw_version;
  const bool active = attr.port_state == PNIC_PORT_ACTIVE;

  const std::pair<fs::path, std::string> files[] = {
      {verbs / "abi_version", std::to_string(kUverbsAbi)},
      {uverbs / "abi_version", std::to_string(kPnicAbi)},
      {uverbs / "dev", fmt::format("{}:{}", major(null.st_rdev), minor(null.st_rdev))},
      {uverbs / "ibdev", fmt::format("pnic{}", index)},
      {device / "node_type", "1: CA"},
      {device / "node_guid", guid(attr.node_guid)},
      {device / "sys_image_guid", guid(attr.node_guid)},
      {device / "fw_ver", fmt::format("{}.{}.{}", fw >> 32, fw >> 16 & 0xffff, fw & 0xffff)},
      {device / "device/modalias", modalias()},
      {device / "device/vendor", fmt::format("{:#06x}", PNIC_PCI_VENDOR_ID)},
      {device / "device/device", fmt::format("{:#06x}", PNIC_PCI_DEVICE_ID)},
      {device / "device/numa_node", "-1"},
      {port / "gids/0", gid(attr.gid)},
      {port / "pkeys/0", "0xffff"},
      {port / "lid", fmt::format("{:#x}", attr.lid)},
      {port / "state", active ? "4: ACTIVE" : "1: DOWN"},
      {port / "link_layer", "InfiniBand"},
  };
  for (const auto& [path, text] : files)
    if (auto written = write_file(path, text); !written) return written;
  return {};
}

}  // namespace peermr::native
