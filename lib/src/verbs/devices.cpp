// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>
#include <string>

#include "pci/sysfs.hpp"
#include "peermr/verbs.hpp"
#include "verbs/importer_table.hpp"

namespace peermr::verbs {
namespace {

// Software devices have no PCI function, or only that of the network device below them. rxe has a
// file that names that device; siw describes itself.
std::string software_kind(const std::string& folder) {
  if (read_attribute(folder + "/parent")) return "rxe";
  const auto description = read_attribute(folder + "/node_desc");
  if (description && description->starts_with("Software iWARP")) return "siw";
  return {};
}

ImporterInfo importer_of(const std::string& driver, const std::string& sysfs) {
  if (driver != "pnic") return importer_of_driver(driver);
  return importer_of_pnic(
      read_attribute(sysfs + "/module/pnic/parameters/dmabuf_import").value_or(""));
}

RdmaDevice read_device(const std::string& sysfs, const std::string& name) {
  const std::string folder = sysfs + "/class/infiniband/" + name;
  RdmaDevice device;
  device.name = name;
  device.driver = software_kind(folder);
  if (device.driver.empty()) {
    if (const auto parent = link_name(folder + "/device")) {
      if (const auto bdf = Bdf::parse(*parent)) device.bdf = *bdf;
    }
    device.driver = link_name(folder + "/device/driver").value_or("");
  }
  const ImporterInfo info = importer_of(device.driver, sysfs);
  device.importer = info.importer;
  device.importer_reason = info.reason;
  return device;
}

}  // namespace

Result<std::vector<RdmaDevice>> list_devices(const SystemPaths& paths) {
  const auto names = list_directory(paths.sysfs + "/class/infiniband");
  std::vector<RdmaDevice> devices;
  if (!names) {
    // No module of the RDMA subsystem is loaded.
    if (names.error().code() == std::errc::no_such_file_or_directory) return devices;
    return names.error();
  }
  for (const std::string& name : *names) devices.push_back(read_device(paths.sysfs, name));
  return devices;
}

RdmaDevice describe(ibv_context* context, const SystemPaths& paths) {
  const std::string name = ibv_get_device_name(context->device);
  RdmaDevice device;
  device.name = name;
  device.importer_reason = "sysfs does not describe the device";
  if (const auto devices = list_devices(paths)) {
    const auto found = std::find_if(devices->begin(), devices->end(),
                                    [&](const RdmaDevice& one) { return one.name == name; });
    if (found != devices->end()) device = *found;
  }
  if (device.driver == "mlx5_core") {
    ibv_device_attr_ex attributes{};
    if (ibv_query_device_ex(context, nullptr, &attributes) == 0 &&
        (attributes.odp_caps.general_caps & IBV_ODP_SUPPORT) == 0) {
      const ImporterInfo info = importer_without_odp();
      device.importer = info.importer;
      device.importer_reason = info.reason;
    }
  }
  return device;
}

}  // namespace peermr::verbs
