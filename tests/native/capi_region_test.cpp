// SPDX-License-Identifier: BSD-2-Clause
// Who is woken, and who is told, when a region of a C program changes.
#include <peermr/peermr_events.h>

#include "capi_fixture.hpp"

namespace peermr::test {
namespace {

TEST_F(CapiConnections, PublishedRegionWakesItsConnectionAndItsEventQueue) {
  make_both();
  peermr_event_queue* events = nullptr;
  ASSERT_EQ(peermr_event_queue_create(&events), 0);
  region = memory.make_region(owner_pd.get(), events);
  ASSERT_EQ(peermr_connection_publish(owner, kRegion, region), 0);
  settle();
  tell();
  EXPECT_TRUE(readable(owner, 0ms));
  peermr_event event;
  ASSERT_EQ(peermr_event_queue_read(events, &event), 0);
  EXPECT_EQ(event.state, PEERMR_REGION_REVOKED);
  ASSERT_TRUE(turn_until([&] { return remote().state == PEERMR_DESCRIPTOR_PAUSED; }));
  settle();
  ASSERT_EQ(peermr_region_recover(region, -1), 0);
  EXPECT_TRUE(readable(owner, 0ms));
  ASSERT_TRUE(turn_until([&] { return remote().generation == 1; }));
  peermr_event_queue_close(events);
}

TEST_F(CapiConnections, RegionOfLocalMemoryWakesWhoFollowsIt) {
  connect();
  const DeviceMemory source;
  peermr_region* const from = source.make_region(writer_pd.get());
  peermr_keys keys;
  ASSERT_EQ(peermr_region_keys(from, &keys), 0);
  settle();
  peermr_region_report_completion(from, IBV_WC_LOC_PROT_ERR, keys.generation);
  EXPECT_FALSE(readable(writer, 20ms)) << "nobody follows it";
  ASSERT_EQ(peermr_region_recover(from, -1), 0);
  ASSERT_EQ(peermr_connection_follow(writer, from), 0);
  peermr_region_report_completion(from, IBV_WC_LOC_PROT_ERR, keys.generation + 1);
  EXPECT_TRUE(readable(writer, 0ms));

  std::memset(source.bytes + 64, 0x77, 8);
  peermr_work write = work(PEERMR_WRITE, 1);
  write.local = {.region = from, .address = 64, .length = 8, .lkey = 0};
  ASSERT_EQ(post(write), 0);
  turn();
  EXPECT_TRUE(completions.empty()) << "its memory is away";
  ASSERT_EQ(peermr_region_recover(from, -1), 0);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].status, PEERMR_WORK_SUCCESS);
  EXPECT_EQ(memory.bytes[7], 0x77);

  peermr_connection_close(writer);  // it is not woken any more
  writer = nullptr;
  ASSERT_EQ(peermr_region_keys(from, &keys), 0);
  peermr_region_report_completion(from, IBV_WC_LOC_PROT_ERR, keys.generation);
  EXPECT_EQ(peermr_region_close(from), 0);
}

TEST_F(CapiConnections, RegionThatIsClosedFirstIsDeadForThePeer) {
  connect();
  settle();
  ASSERT_EQ(peermr_region_close(region), 0);
  region = nullptr;
  EXPECT_TRUE(readable(owner, 0ms));
  ASSERT_TRUE(turn_until([&] { return remote().state == PEERMR_DESCRIPTOR_DEAD; }));
  EXPECT_EQ(post(work(PEERMR_WRITE, 1)), -ENODEV);
}

// One region, two peers.
TEST_F(CapiConnections, SharedPublicationTellsAllPeers) {
  make_both();
  peermr_connection* const first_writer = writer;
  peermr_connection* const first_owner = owner;
  make_both();
  region = memory.make_region(owner_pd.get());
  peermr_publication* publication = nullptr;
  ASSERT_EQ(peermr_publication_create(kRegion, region, &publication), 0);
  for (peermr_connection* const side : {first_owner, owner}) {
    ASSERT_EQ(peermr_connection_publish_shared(side, publication), 0) << peermr_last_error();
  }
  peermr_publication_close(publication);  // the connections go on
  const auto turn_both_until = [&](const std::function<bool()>& done) {
    return turn_until([&] {
      EXPECT_EQ(peermr_connection_process(first_writer), 0);
      EXPECT_EQ(peermr_connection_process(first_owner), 0);
      return done();
    });
  };
  const auto told = [](peermr_connection* side, uint64_t generation) {
    peermr_descriptor descriptor;
    return peermr_connection_remote_region(side, kRegion, &descriptor) == 0 &&
           descriptor.generation == generation && descriptor.state == PEERMR_DESCRIPTOR_LIVE;
  };
  ASSERT_TRUE(turn_both_until([&] { return told(writer, 0) && told(first_writer, 0); }));
  tell();
  ASSERT_EQ(peermr_region_recover(region, -1), 0);
  EXPECT_TRUE(readable(first_owner, 0ms) && readable(owner, 0ms)) << "both are woken";
  ASSERT_TRUE(turn_both_until([&] { return told(writer, 1) && told(first_writer, 1); }));
  peermr_connection_close(first_writer);
  peermr_connection_close(first_owner);
}

}  // namespace
}  // namespace peermr::test
