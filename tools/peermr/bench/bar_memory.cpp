// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/core.h>

#include "base/system.hpp"
#include "bench/local_targets.hpp"
#include "bench/permission.hpp"
#include "peermr/region.hpp"
#include "peermr/topology.hpp"

namespace peermr::tool {
namespace {

class BarMemory final : public TargetMemory {
 public:
  BarMemory(vfio::BarMapping mapping, Region region, TargetInfo info, std::uint32_t lkey,
            bool restore)
      : mapping_(std::move(mapping)),
        region_(std::move(region)),
        info_(std::move(info)),
        lkey_(lkey) {
    if (!restore) return;
    const Words content = words();
    saved_.assign(content.begin(), content.end());
  }
  ~BarMemory() override {
    // Nobody may write any more once the content is put back.
    (void)region_.close().has_value();
    const Words content = words();
    for (std::size_t i = 0; i < saved_.size(); ++i) content[i] = saved_[i];
  }

  [[nodiscard]] const TargetInfo& info() const noexcept override { return info_; }
  [[nodiscard]] std::uint32_t lkey() const noexcept override { return lkey_; }
  [[nodiscard]] Words words() const noexcept override {
    const auto bytes = mapping_.bytes();
    return {reinterpret_cast<std::uint64_t*>(bytes.data()), bytes.size() / sizeof(std::uint64_t)};
  }

 private:
  vfio::BarMapping mapping_;
  Region region_;
  TargetInfo info_;
  std::uint32_t lkey_;
  std::vector<std::uint64_t> saved_;
};

// Paths are predicted for the device that does the DMA: the one that imports the memory.
void predict(const Topology& topology, const BenchDevice& device, const TargetSpec& spec,
             TargetInfo& info) {
  info.predicted = to_string(P2pPath::kUnknown);
  if (!device.info().bdf) {
    info.reason = "the RDMA device has no PCI function";
    return;
  }
  auto prediction = topology.predict(spec.device, *device.info().bdf);
  if (!prediction) {
    info.reason = prediction.error().message();
    return;
  }
  info.predicted = to_string(prediction->path);
  info.reason = prediction->reason;
}

std::string kernel_verdict(const BenchDevice& device, const TargetSpec& spec,
                           const TargetOptions& options) {
  if (options.probe == nullptr || !device.info().bdf) return {};
  auto verdict = options.probe->verdict(spec.device, *device.info().bdf);
  if (!verdict) return "unreadable";
  return verdict->empty() ? "not asked" : *verdict;
}

Result<Region> register_bar(const BenchDevice& device, vfio::Device& vfio, const TargetSpec& spec,
                            vfio::BarRange range, const TargetOptions& options) {
  auto buffer = vfio.export_dma_buf(spec.bar, range);
  if (!buffer) return std::move(buffer).error();
  RegionOptions region_options;
  region_options.paths = system_paths();
  auto region = Region::create(device.pd(), *buffer, region_options);
  if (region) return region;
  const std::string verdict = kernel_verdict(device, spec, options);
  if (verdict.empty()) return region;
  const Error& error = region.error();
  return Error(error.code(), error.operation(), error.object(),
               fmt::format("{} (the kernel's verdict: {})", error.detail(), verdict));
}

}  // namespace

Result<std::unique_ptr<TargetMemory>> make_bar_memory(const BenchDevice& device, vfio::Device& vfio,
                                                      const TargetSpec& spec,
                                                      const TargetOptions& options) {
  auto topology = Topology::read(system_paths());
  if (!topology) return std::move(topology).error();
  auto range = permitted_range(*topology, spec, options.allow_registers);
  if (!range) return std::move(range).error();

  auto region = register_bar(device, vfio, spec, *range, options);
  if (!region) return std::move(region).error();
  auto mapping = vfio.map_bar(spec.bar, *range);
  if (!mapping) return std::move(mapping).error();
  const auto keys = region->keys();
  if (!keys) return make_error(Errc::kRevoked, "use as a target", spec.name());

  TargetInfo info;
  info.name = spec.name();
  info.host = false;
  info.length_bytes = range->length_bytes;
  info.address = keys->address.value();
  info.rkey = keys->rkey.value();
  predict(*topology, device, spec, info);
  info.kernel = kernel_verdict(device, spec, options);
  return std::unique_ptr<TargetMemory>(
      std::make_unique<BarMemory>(*std::move(mapping), *std::move(region), std::move(info),
                                  keys->lkey.value(), options.restore));
}

}  // namespace peermr::tool
