// SPDX-License-Identifier: BSD-2-Clause
//
// A peer that goes on using keys that it should have forgotten.
#pragma once

#include <vector>

#include "region/fixture.hpp"

namespace region_test {

class OldKeys : public RegionInTheLab {
 protected:
  ibv_wc_status write(const RegionKeys& keys) {
    const auto status = rdma(loopback_, IBV_WR_RDMA_WRITE, half(0), keys.address.value(),
                             keys.rkey.value());
    if (status != IBV_WC_SUCCESS) loopback_.reconnect();
    return status;
  }
  void reset() {
    const auto report = device_.reset();
    ASSERT_TRUE(report) << report.error().message();
    ASSERT_EQ(report->restored, report->regions);
  }

  /// Over a number of resets a peer tries every key that it ever saw of the region, whose keys are
  /// fresh.
  void expect_newest_key_only(Region& region) {
    std::vector<RegionKeys> seen = {region.keys().value()};
    constexpr int kResets = 12;
    for (int i = 0; i < kResets; ++i) {
      reset();
      const RegionKeys now = region.keys().value();
      for (const RegionKeys& old : seen) {
        EXPECT_NE(now.rkey, old.rkey);
        EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR) << "of epoch " << old.key_epoch.value();
      }
      EXPECT_EQ(write(now), IBV_WC_SUCCESS);
      seen.push_back(now);
    }
    EXPECT_EQ(region.key_epoch(), KeyEpoch(kResets));
    // The peer has acknowledged: the keys are given back, and still let nobody in.
    ASSERT_TRUE(region.release_keys_before(region.key_epoch()));
    for (const RegionKeys& old : seen) {
      if (old.key_epoch == region.key_epoch()) continue;
      EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR);
    }
  }
};

}  // namespace region_test
