// SPDX-License-Identifier: BSD-2-Clause
#include "bench/rdma_device.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>

#include "base/file.hpp"
#include "base/system.hpp"

namespace peermr::tool {
namespace {

constexpr std::uint32_t kEmulatedVendor = 0x1234;
constexpr std::uint32_t kEmulatedPart = 0x504e;

bool is_zero(const ibv_gid& gid) {
  return gid.global.interface_id == 0 && gid.global.subnet_prefix == 0;
}

}  // namespace

Result<std::vector<std::string>> rdma_device_names() {
  auto devices = verbs::list_devices(system_paths());
  if (!devices) return std::move(devices).error();
  std::vector<std::string> names;
  for (const auto& device : *devices) names.push_back(device.name);
  if (names.empty()) {
    return make_error(std::errc::no_such_device, "find an RDMA device", "",
                      "there is none: load the NIC's driver (ls /sys/class/infiniband)");
  }
  return names;
}

Result<BenchDevice> BenchDevice::open(const std::string& name) {
  auto context = verbs::Context::open(std::string_view(name), system_paths());
  if (!context) return std::move(context).error();
  BenchDevice device(*std::move(context));
  if (const int status = ibv_query_device(device.context(), &device.attributes_); status != 0) {
    return errno_error(status, "query RDMA device", name);
  }
  device.emulated_ = device.attributes_.vendor_id == kEmulatedVendor &&
                     device.attributes_.vendor_part_id == kEmulatedPart;
  if (auto port = device.find_port(); !port) return std::move(port).error();
  device.choose_gid();
  device.pd_.reset(ibv_alloc_pd(device.context()));
  if (!device.pd_) return errno_error(errno, "allocate a protection domain on", name);
  return device;
}

bool BenchDevice::needs_gid() const noexcept {
  return port_attributes_.link_layer == IBV_LINK_LAYER_ETHERNET || port_attributes_.lid == 0;
}

Result<void> BenchDevice::find_port() {
  for (unsigned port = 1; port <= attributes_.phys_port_cnt; ++port) {
    const auto number = static_cast<std::uint8_t>(port);
    if (ibv_query_port(context(), number, &port_attributes_) != 0) continue;
    if (port_attributes_.state != IBV_PORT_ACTIVE) continue;
    port_ = number;
    return {};
  }
  return make_error(std::errc::network_down, "use RDMA device", name(),
                    "no port is active: see ibv_devinfo");
}

// For Ethernet a RoCE v2 GID of an IPv4 address if there is one, since it is routable without more
// set-up; otherwise the last one that isn't empty.
void BenchDevice::choose_gid() {
  const std::string types = fmt::format("{}/class/infiniband/{}/ports/{}/gid_attrs/types/",
                                        system_paths().sysfs, name(), port_);
  static constexpr unsigned char kMappedIpv4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  bool mapped = false;
  for (int index = 0; index < port_attributes_.gid_tbl_len && index < 256; ++index) {
    ibv_gid gid{};
    if (ibv_query_gid(context(), port_, index, &gid) != 0 || is_zero(gid)) continue;
    const bool v2 = read_line_or_empty(types + std::to_string(index)) == "RoCE v2";
    const bool this_mapped = v2 && std::memcmp(gid.raw, kMappedIpv4, sizeof kMappedIpv4) == 0;
    if (mapped && !this_mapped) continue;
    mapped = this_mapped;
    gid_ = gid;
    gid_index_ = static_cast<std::uint8_t>(index);
  }
}

}  // namespace peermr::tool
