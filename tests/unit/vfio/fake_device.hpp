// SPDX-License-Identifier: BSD-2-Clause
//
// Devices on a FakeBackend, and users of their memory who write down what they are told.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "vfio/device_impl.hpp"
#include "vfio/dma_buf_state.hpp"
#include "vfio/fake_backend.hpp"

namespace peermr::test {

inline constexpr vfio::BarRange kPage{.offset_bytes = 4096, .length_bytes = 4096};

inline vfio::Device open_device(FakeExporter& exporter, bool iommu = true) {
  PciDevice pci;
  pci.bdf = Bdf(0, 4, 0, 0);
  pci.driver = "vfio-pci";
  if (iommu) pci.iommu_group = 7;
  pci.bars.push_back({.index = BarIndex(2),
                      .start = 0xf0000000,
                      .size_bytes = 16 << 20,
                      .memory = true,
                      .prefetchable = true,
                      .is_64bit = true});
  return vfio::Device(
      std::make_unique<vfio::Device::Impl>(pci, std::make_unique<FakeBackend>(exporter)));
}

class Recorder final : public detail::MemoryObserver {
 public:
  Result<void> quiesce() override {
    calls += 'q';
    if (refuses) return make_error(Errc::kLeaseHeld, "quiesce");
    return {};
  }
  detail::Comeback restore() override {
    calls += 'r';
    return comeback;
  }
  detail::Comeback resume() override {
    calls += '~';
    return comeback;
  }
  void gone() override { calls += 'g'; }

  std::string calls;
  detail::Comeback comeback = {.in_use = true, .waiting = {}, .in_kernel = {}};
  bool refuses = false;
};

inline std::shared_ptr<Recorder> use(const DmaBuf& buffer) {
  auto user = std::make_shared<Recorder>();
  EXPECT_EQ(buffer.state()->events->subscribe(user, buffer.state()->part),
            detail::MemoryEvents::State::kAvailable);
  return user;
}

}  // namespace peermr::test
