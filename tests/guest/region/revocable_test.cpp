// SPDX-License-Identifier: BSD-2-Clause
//
// Regions of an importer whose memory regions are dead after an invalidate, and what a peer gets
// that does not know it yet.
#include <gtest/gtest.h>

#include <thread>

#include "region/old_keys.hpp"

namespace {

using namespace region_test;

class Revocable : public OldKeys {};

TEST_F(Revocable, IsWhatTheLibrarySeesTheImporterAs) {
  const auto region = must(try_make(export_bytes(0, kBytes)));
  EXPECT_EQ(region.importer().importer, verbs::ImporterClass::kRevocable);
  expect_usable(region, 1);
}

TEST_F(Revocable, KeyIsDeadAfterARevokeAndANewOneTakesItsPlace) {
  const auto buffer = export_bytes(0, kBytes);
  const auto region = must(try_make(buffer));
  const RegionKeys old = region.keys().value();
  ASSERT_EQ(write(old), IBV_WC_SUCCESS);
  ASSERT_TRUE(device_.set_memory_enabled(false));
  EXPECT_EQ(region.state(), RegionState::kRevoked);
  EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR);
  ASSERT_TRUE(device_.set_memory_enabled(true));
  ASSERT_EQ(region.state(), RegionState::kLive);
  EXPECT_EQ(region.generation(), Generation(1));
  EXPECT_EQ(region.key_epoch(), KeyEpoch(1));
  EXPECT_NE(region.keys()->rkey, old.rkey);
  EXPECT_EQ(write(old), IBV_WC_REM_ACCESS_ERR) << "memory is back, the key is not";
  expect_usable(region, 2);
}

// The registration is the kernel's, below the library: dead for good without anybody's help.
TEST_F(Revocable, RegistrationStaysDeadThoughTheMemoryIsBack) {
  const auto buffer = export_bytes(0, kBytes);
  const Mr mr(ibv_reg_dmabuf_mr(loopback_.pd.get(), 0, kBytes, 0, buffer.fd(),
                                IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
  ASSERT_NE(mr, nullptr);
  const RegionKeys keys{.lkey = Lkey(mr->lkey), .rkey = Rkey(mr->rkey), .address = Iova(0), .length_bytes = kBytes,
                        .generation = {}, .key_epoch = {}};
  ASSERT_EQ(write(keys), IBV_WC_SUCCESS);
  reset();
  EXPECT_EQ(write(keys), IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(rdma(loopback_, IBV_WR_RDMA_READ,
                 {.addr = 0, .length = kPage, .lkey = mr->lkey},
                 reinterpret_cast<std::uint64_t>(host_.data()), host_mr_->rkey),
            IBV_WC_LOC_PROT_ERR)
      << "as a local key too";
  loopback_.reconnect();
}

TEST_F(Revocable, PeerThatUsesEveryKeyItEverSawGetsInWithTheNewestOnly) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = must(try_make(buffer, {.keys = KeyPolicy::kFresh}));
  expect_newest_key_only(region);
  expect_usable(region, 3);
}

TEST_F(Revocable, WritesUnderAResetEndInSuccessOrInAnErrorThatTheRevokeExplains) {
  const auto buffer = export_bytes(0, kBytes);
  auto region = must(try_make(buffer));
  write_across_resets(region, 20, [&](ibv_wc_status status, Generation posted_in) {
    EXPECT_NE(region.report_completion(status, posted_in), CompletionVerdict::kUnrelated)
        << ibv_wc_status_str(status);
    loopback_.reconnect();
  });
  ASSERT_TRUE(region.recover());
  expect_usable(region, 4);
}

TEST_F(Revocable, DeregistrationAndRevokeMayMeet) {
  for (int i = 0; i < 20; ++i) {
    const auto buffer = export_bytes(0, kBytes);
    Mr mr(ibv_reg_dmabuf_mr(loopback_.pd.get(), 0, kBytes, 0, buffer.fd(),
                            IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));
    ASSERT_NE(mr, nullptr);
    std::thread deregister([&mr] { mr.reset(); });
    const bool off = device_.set_memory_enabled(false).has_value();
    deregister.join();
    ASSERT_TRUE(off);
    ASSERT_TRUE(device_.set_memory_enabled(true));
  }
}

}  // namespace
