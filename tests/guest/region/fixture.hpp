// SPDX-License-Identifier: BSD-2-Clause
//
// A VFIO device with RAM behind a BAR, a NIC with a QP that is connected with itself, regions.
#pragma once

#include <gtest/gtest.h>
#include <infiniband/verbs.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <peermr/peermr.hpp>
#include <vector>

#include "harness/lab.hpp"
#include "pnic/verbs.hpp"

namespace region_test {

using namespace peermr;
using namespace pnic_test;
using namespace guest_test;

inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kBytes = 256 << 10;

class RegionInTheLab : public testing::Test {
 protected:
  vfio::Device device_ = must(vfio::Device::open(lab_bdf("LAB_IVSHMEM")));
  BarIndex bar_ = lab_bar("LAB_IVSHMEM_BAR");
  verbs::Context nic_ = must(verbs::Context::open(lab_bdf("LAB_NIC0")));
  Loopback loopback_ = Loopback::create(nic_.get());
  std::vector<std::uint8_t> host_ = std::vector<std::uint8_t>(2 * kBytes);
  Mr host_mr_{ibv_reg_mr(loopback_.pd.get(), host_.data(), host_.size(), IBV_ACCESS_LOCAL_WRITE)};

  DmaBuf export_bytes(std::uint64_t offset, std::uint64_t length) {
    return must(device_.export_dma_buf(bar_, {.offset_bytes = offset, .length_bytes = length}));
  }

  Result<Region> try_make(const DmaBuf& buffer, const RegionOptions& options = {}) {
    return Region::create(loopback_.pd.get(), buffer, options);
  }

  ibv_sge half(std::size_t which) {
    return {.addr = reinterpret_cast<std::uint64_t>(host_.data()) + which * kBytes,
            .length = kBytes,
            .lkey = host_mr_->lkey};
  }

  /// Writes a pattern through the region and reads it back.
  void expect_usable(const Region& region, std::uint8_t seed) {
    std::iota(host_.begin(), host_.begin() + kBytes, seed);
    std::fill(host_.begin() + kBytes, host_.end(), std::uint8_t{0});
    const auto keys = region.keys();
    ASSERT_TRUE(keys);
    const std::uint64_t address = keys->address.value();
    ASSERT_EQ(rdma(loopback_, IBV_WR_RDMA_WRITE, half(0), address, keys->rkey.value()),
              IBV_WC_SUCCESS);
    ASSERT_EQ(rdma(loopback_, IBV_WR_RDMA_READ, half(1), address, keys->rkey.value()),
              IBV_WC_SUCCESS);
    ASSERT_TRUE(std::equal(host_.begin(), host_.begin() + kBytes, host_.begin() + kBytes));
  }
};

}  // namespace region_test
