// SPDX-License-Identifier: BSD-2-Clause
#include "bench/permission.hpp"

#include <fmt/core.h>

#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::string_view kUse = "use as a target";

}  // namespace

Result<vfio::BarRange> permitted_range(const Topology& topology, const TargetSpec& spec,
                                       bool allow_registers) {
  const PciDevice* owner = topology.find(spec.device);
  const Bar* bar = owner == nullptr ? nullptr : owner->bar(spec.bar);
  if (bar == nullptr) {
    return make_error(std::errc::invalid_argument, kUse, spec.name(),
                      "the device has no such BAR (peermr topo lists them)");
  }
  if (!bar->memory) {
    return make_error(std::errc::invalid_argument, kUse, spec.name(),
                      "it is I/O ports, not memory: choose a memory BAR (peermr topo)");
  }
  if (!bar->prefetchable && !allow_registers) {
    return make_error(std::errc::operation_not_permitted, kUse, spec.name(),
                      "it is not prefetchable, so it may hold registers that change the device "
                      "when touched: --allow-non-prefetchable if you know better");
  }
  if (spec.extent == TargetSpec::Extent::kAll) return vfio::BarRange{0, bar->size_bytes};
  if (spec.extent == TargetSpec::Extent::kRange) {
    return vfio::BarRange{spec.offset_bytes, spec.length_bytes};
  }
  return make_error(
      std::errc::operation_not_permitted, kUse, spec.name(),
      fmt::format("say which part may be overwritten: {}:{}:OFFSET+LENGTH, or :all "
                  "for its {}",
                  spec.device.to_string(), spec.bar.value(), format_bytes(bar->size_bytes)));
}

}  // namespace peermr::tool
