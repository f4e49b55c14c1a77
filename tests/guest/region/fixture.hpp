// SPDX-License-Identifier: BSD-2-Clause
//
// A VFIO device with RAM behind a BAR, a NIC with a QP that is connected with itself, regions.
#pragma once

#include <gtest/gtest.h>
#include <infiniband/verbs.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <peermr/peermr.hpp>
#include <thread>
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

  /// Writes, one at a time, while the device is reset so many times; after each there is traffic
  /// again. What did not succeed is for `on_error`, with the generation it was posted in.
  void write_across_resets(Region& region, int resets,
                           const std::function<void(ibv_wc_status, Generation)>& on_error) {
    using namespace std::chrono_literals;
    std::atomic<bool> stop{false};
    std::atomic<int> done{0};
    std::thread writer([&] {
      while (!stop) {
        Generation posted_in;
        {
          const auto lease = region.lease();
          if (!lease) {
            std::this_thread::yield();
            continue;
          }
          posted_in = lease->generation;
          ASSERT_EQ(post_rdma(loopback_, IBV_WR_RDMA_WRITE, half(0), lease->address.value(),
                              lease->rkey.value()),
                    0);
        }
        const auto completion = poll_one(loopback_, 10000);
        ASSERT_TRUE(completion) << "a write got stuck";
        if (completion->status == IBV_WC_SUCCESS) {
          ++done;
        } else {
          on_error(completion->status, posted_in);
        }
      }
    });
    for (int i = 0; i < resets; ++i) {
      const auto report = device_.reset();
      if (!report) {
        ADD_FAILURE() << report.error().message();
        break;
      }
      EXPECT_EQ(report->restored, report->regions);
      const int before = done;
      const auto until = std::chrono::steady_clock::now() + 10s * guest_test::time_scale();
      while (done == before && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(1ms);
      }
      EXPECT_GT(done, before) << "no traffic after reset " << i;
    }
    stop = true;
    writer.join();
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
