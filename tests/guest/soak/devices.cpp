// SPDX-License-Identifier: BSD-2-Clause
#include "soak/devices.hpp"

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "harness/lab.hpp"

namespace soak {

using namespace peermr;
using namespace guest_test;

namespace {

constexpr std::array kDevices = {std::pair("LAB_MEM0", "LAB_MEM_BAR"),
                                 std::pair("LAB_MEM1", "LAB_MEM_BAR"),
                                 std::pair("LAB_IVSHMEM", "LAB_IVSHMEM_BAR")};

bool is_chosen(std::string_view name) {
  const char* chosen = std::getenv("SOAK_DEVICES");
  return chosen == nullptr || std::string_view(chosen).find(name) != std::string_view::npos;
}

vfio::BarRange part(unsigned number) {
  return {.offset_bytes = number * kPart, .length_bytes = kPart};
}

}  // namespace

DmaBuf Owned::export_part(unsigned number) const {
  return must(device.export_dma_buf(bar, part(number)));
}

vfio::BarMapping Owned::map_part(unsigned number) const {
  return must(device.map_bar(bar, part(number)));
}

std::vector<Owned> open_devices() {
  const auto container = must(vfio::Container::create());
  std::vector<Owned> devices;
  for (const auto& [name, bar] : kDevices) {
    if (!is_chosen(name)) continue;
    auto device = must(vfio::Device::open(lab_bdf(name), {.container = container}));
    const auto& features = device.exporter_features();
    const bool fresh = features.revoke && features.manual_rearm;
    devices.push_back({std::move(device), lab_bar(bar), fresh});
  }
  return devices;
}

std::size_t buffers_left() {
  std::size_t count = 0;
  for (const auto& [name, bar] : kDevices) {
    if (!is_chosen(name)) continue;
    std::ifstream list("/sys/kernel/debug/peermr_export/" + lab_bdf(name).to_string());
    for (std::string line; std::getline(list, line);) {
      if (line.starts_with("buffer")) ++count;
    }
  }
  return count;
}

}  // namespace soak
