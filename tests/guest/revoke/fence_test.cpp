// SPDX-License-Identifier: BSD-2-Clause
//
// The device's fence is broken on purpose (pnicd --break-fence): its invalidations complete while
// data still moves. The self check that the other tests rely on must notice.

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "revoke/lab.hpp"
#include "revoke/link.hpp"
#include "revoke/traffic.hpp"

namespace {

using namespace revoke_test;

TEST(BrokenFence, IsSeenByTheSelfCheckWhenADeviceIsResetUnderTraffic) {
  constexpr int kResets = 20;
  PmrOwner owner;
  const auto buffer = owner.export_memory();
  End requester("LAB_NIC0");
  End responder("LAB_NIC1");
  const auto region = must(peermr::Region::create(responder.pd(), buffer, {}));
  const auto before = responder.counter("dma_after_invalidate");
  int resets = 0;
  int failed = 0;
  while (resets < kResets && responder.counter("dma_after_invalidate") == before) {
    connect(requester, responder);
    const auto keys = region.keys();
    ASSERT_TRUE(keys);
    Traffic traffic(requester, {keys->address.value(), keys->rkey.value()});
    ASSERT_TRUE(traffic.wait_for(Traffic::kSlots)) << traffic.broken();
    ASSERT_TRUE(owner.device().reset());
    owner.enable_pmr();
    ++resets;
    traffic.stop();
    // A write that hits the unmapped BAR may fail; that one is lost without a word may not be.
    EXPECT_EQ(traffic.broken(), "");
    if (traffic.first_error()) ++failed;
  }
  const auto seen = responder.counter("dma_after_invalidate") - before;
  std::printf("%d resets, %d of them with failed writes: dma_after_invalidate rose by %llu\n",
              resets, failed, static_cast<unsigned long long>(seen));
  EXPECT_GT(seen, 0U) << "a fence that does not fence went unnoticed";
}

}  // namespace
