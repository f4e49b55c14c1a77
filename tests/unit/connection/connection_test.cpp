// SPDX-License-Identifier: BSD-2-Clause
#include "connection/connection_fixture.hpp"
#include "peermr/messages.hpp"

namespace peermr::test {
namespace {

using enum CompletionStatus;

class Connection : public ConnectionTest {
 protected:
  std::vector<CompletionStatus> statuses() const {
    std::vector<CompletionStatus> all;
    for (const Completion& completion : completions_) all.push_back(completion.status);
    return all;
  }
  bool wait_for(std::size_t completions) {
    return turn_until([&] { return completions_.size() >= completions; });
  }
  std::error_code error_of(const WorkRequest& work) {
    const auto posted = writer_->post(work);
    return posted ? std::error_code() : posted.error().code();
  }
};

TEST_F(Connection, WritesReachTheRegionByItsIdAndOffset) {
  connect();
  ASSERT_TRUE(writer_->post(write(1, 42, 3)));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(statuses(), std::vector{kSuccess});
  EXPECT_EQ(completions_[0].id, 1u);
  EXPECT_EQ(memory_[3], 42u);
}

TEST_F(Connection, WorkMayBeAskedForBeforeThereIsAPeer) {
  make_connections();
  ASSERT_TRUE(writer_->post(send(1, 5)));
  post_receives(1);
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(inbox_[0], 5u);
}

TEST_F(Connection, BadRequestsAreRefusedAndHaveNoEffect) {
  connect();
  WorkRequest work = write(1, 1);
  work.region = RegionId(8);
  EXPECT_EQ(error_of(work), std::errc::no_such_file_or_directory);
  work = write(1, 1, kWords);
  EXPECT_EQ(error_of(work), std::errc::invalid_argument);
  work.offset_bytes = ~0ull;
  EXPECT_EQ(error_of(work), std::errc::invalid_argument);
  work = add(1, 1, 0);
  work.offset_bytes = 4;
  EXPECT_EQ(error_of(work), std::errc::invalid_argument);
  work.operation = Operation::kReceive;
  EXPECT_EQ(error_of(work), std::errc::invalid_argument);
  turn(20);
  EXPECT_TRUE(completions_.empty());
}

TEST_F(Connection, TakesNoMoreThanItKeeps) {
  options_.max_sends = 4;
  connect();
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(writer_->post(write(i, i)));
  EXPECT_EQ(error_of(write(4, 4)), std::errc::resource_unavailable_try_again);
  ASSERT_TRUE(wait_for(4));
  EXPECT_TRUE(writer_->post(write(4, 4)));
}

TEST_F(Connection, LostConnectionComesBackAndNothingIsLost) {
  connect();
  for (std::uint64_t i = 0; i < 20; ++i) ASSERT_TRUE(writer_->post(write(i, i + 1, i)));
  wire_.ports[0]->lose_connection();
  ASSERT_TRUE(wait_for(20));
  for (std::uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(completions_[i].id, i);
    EXPECT_EQ(completions_[i].status, kSuccess);
    EXPECT_EQ(memory_[i], i + 1);
  }
  const auto events = read_events();
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().state, ConnectionState::kLive);
  EXPECT_EQ(events.back().epoch, 2u);
}

TEST_F(Connection, ErrorThatThePeerAloneNoticesIsRecoveredFromToo) {
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  wire_.ports[1]->lose_connection();
  post_receives(1);  // it is flushed, and so the owner hears of it
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(statuses(), std::vector{kSuccess});
}

TEST_F(Connection, ReceivesThatAreFlushedArePostedAgain) {
  connect();
  post_receives(3);
  wire_.ports[1]->lose_connection();
  turn(20);
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(writer_->post(send(i, i + 10)));
  ASSERT_TRUE(turn_until([&] { return received_.size() == 3; }));
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(received_[i].id, i);
    EXPECT_EQ(received_[i].length_bytes, 8u);
    EXPECT_EQ(inbox_[i], i + 10);
  }
}

TEST_F(Connection, WorkForAPausedRegionWaitsAndWhatComesLaterWaitsBehindIt) {
  connect();
  post_receives(1);
  revoke();
  turn(5);
  EXPECT_EQ(writer_->remote_region(kRegion)->state, DescriptorState::kPaused);
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(writer_->post(send(2, 2)));
  turn(20);
  EXPECT_TRUE(completions_.empty());
  EXPECT_TRUE(received_.empty());
}

TEST_F(Connection, NewGenerationGivesWorkBackAndTakesNoneUntilTheEventIsRead) {
  connect();
  revoke();
  turn(5);
  read_events();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(writer_->post(send(2, 2)));
  restore();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(statuses(), (std::vector{kNewGeneration, kFlushed}));
  EXPECT_EQ(error_of(write(3, 3)), Errc::kStale);
  const auto events = read_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, ConnectionEvent::Kind::kRegion);
  EXPECT_EQ(events[0].previous_generation, Generation(0));
  EXPECT_EQ(events[0].region.generation, Generation(1));
  ASSERT_TRUE(writer_->post(write(3, 3)));
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(completions_[2].status, kSuccess);
  EXPECT_EQ(completions_[2].generation, Generation(1));
  EXPECT_EQ(memory_[0], 3u);
}

TEST_F(Connection, NewGenerationIsUsedWhereThatIsThePolicy) {
  options_.on_new_generation = NewGenerationPolicy::kReplay;
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  revoke();
  ASSERT_TRUE(writer_->post(write(2, 2, 1)));
  turn(20);
  EXPECT_TRUE(completions_.empty());
  restore();
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(statuses(), (std::vector{kSuccess, kSuccess}));
  EXPECT_EQ(completions_[1].generation, Generation(1));
}

TEST_F(Connection, NoWorkIsTakenBehindAFailureThatWasNotPolled) {
  connect();
  revoke();
  turn(5);
  ASSERT_TRUE(writer_->post(write(1, 1)));
  restore();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(owner_->process());
    ASSERT_TRUE(writer_->process());
  }
  read_events();
  EXPECT_EQ(error_of(write(2, 2)), std::errc::operation_canceled);
  collect();
  EXPECT_EQ(statuses(), std::vector{kNewGeneration});
  EXPECT_TRUE(writer_->post(write(2, 2)));
}

TEST_F(Connection, DeadRegionEndsItsWork) {
  connect();
  revoke();
  turn(5);
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(region_->close());
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(statuses(), std::vector{kRegionDead});
  EXPECT_EQ(error_of(write(2, 2)), Errc::kDead);
}

TEST_F(Connection, KeyThatIsRefusedWithoutAReasonEndsTheWorkAndNotTheConnection) {
  options_.max_failures = 3;
  options_.failing_for = {};
  connect();
  dead_keys_ = fake_.registered;  // nobody has told the region
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(writer_->post(write(2, 2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(statuses(), (std::vector{kFailed, kFlushed}));
  EXPECT_EQ(completions_[0].wc_status, IBV_WC_REM_ACCESS_ERR);
  bool told = false;
  while (const auto event = owner_->next_event()) {
    if (event->kind != ConnectionEvent::Kind::kPeerFailed) continue;
    told = true;
    EXPECT_EQ(event->region.id, kRegion);
  }
  EXPECT_TRUE(told);
  post_receives(1);
  ASSERT_TRUE(writer_->post(send(3, 3)));
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(completions_[2].status, kSuccess);
}

TEST_F(Connection, KeyThatIsRefusedIsTriedForAWhileSinceItsOwnerMayNotKnowYet) {
  options_.max_failures = 1;
  options_.failing_for = std::chrono::minutes(1);
  options_.on_new_generation = NewGenerationPolicy::kReplay;
  connect();
  dead_keys_ = fake_.registered;
  ASSERT_TRUE(writer_->post(write(1, 1)));
  const auto epoch = [&] {
    std::uint32_t last = 0;
    while (const auto event = writer_->next_event()) last = std::max(last, event->epoch);
    return last;
  };
  std::uint32_t connections = 0;
  for (int i = 0; i < 1000 && connections < 5; ++i) {
    turn(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    connections = std::max(connections, epoch());
  }
  EXPECT_GE(connections, 5u);
  EXPECT_TRUE(statuses().empty());
  revoke();
  restore();
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(statuses(), std::vector{kSuccess});
}

TEST_F(Connection, PeerWithoutReceivesIsTriedAgainBoundedly) {
  options_.max_failures = 3;
  options_.failing_for = {};
  connect();
  ASSERT_TRUE(writer_->post(send(1, 1)));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(statuses(), std::vector{kFailed});
  EXPECT_EQ(completions_[0].wc_status, IBV_WC_RNR_RETRY_EXC_ERR);
}

TEST_F(Connection, OldKeysAreGivenBackOnceThePeerUsesThemNoMore) {
  connect();
  for (int i = 0; i < 3; ++i) {
    revoke();
    turn(3);
    restore();
    EXPECT_EQ(fake_.registered.size(), 2u) << "the peer may still use the old one";
    turn(5);
    EXPECT_EQ(fake_.registered.size(), 1u);
  }
}

TEST_F(Connection, KeyIsNotGivenBackWhileWorkWithItIsOnItsWay) {
  connect();
  bool executed = false;
  on_executed_ = [&](const Executed&) { executed = true; };
  wire_.key_state = [](std::uint32_t) { return FakeWire::Key::kFault; };
  ASSERT_TRUE(writer_->post(write(1, 1)));
  revoke();
  restore();
  turn(20);
  EXPECT_FALSE(executed);
  EXPECT_EQ(fake_.registered.size(), 2u);
  wire_.key_state = [](std::uint32_t key) {
    return key == 1 ? FakeWire::Key::kBad : FakeWire::Key::kGood;
  };
  ASSERT_TRUE(wait_for(1));
  turn(5);
  EXPECT_EQ(fake_.registered.size(), 1u);
}

TEST_F(Connection, SeveralPeersOfARegionMustAllHaveLetGo) {
  const auto publication = Publication::create(kRegion, *region_);
  connect();  // with a publication of its own
  const auto one = publication->add_peer();
  const auto two = publication->add_peer();
  ASSERT_TRUE(publication->acknowledge(one, KeyEpoch(0)));
  EXPECT_EQ(publication->acknowledge(one, KeyEpoch(1)).error().code(), std::errc::invalid_argument);
  EXPECT_EQ(publication->acknowledge(77, KeyEpoch(0)).error().code(), std::errc::invalid_argument);
  owner_.reset();  // nobody else acknowledges
  revoke();
  restore();
  ASSERT_TRUE(publication->acknowledge(one, KeyEpoch(1)));
  EXPECT_EQ(fake_.registered.size(), 2u);
  publication->remove_peer(two);
  ASSERT_TRUE(publication->release());
  EXPECT_EQ(fake_.registered.size(), 1u);
  writer_.reset();
}

TEST_F(Connection, PlacedMeansPlacedInThisGeneration) {
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(writer_->post(place(2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(statuses(), (std::vector{kSuccess, kSuccess}));
}

TEST_F(Connection, AcknowledgedWritesOfAnOlderGenerationAreNotPlaced) {
  options_.on_new_generation = NewGenerationPolicy::kReplay;
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(wait_for(1));
  revoke();
  restore();
  turn(5);
  ASSERT_TRUE(writer_->post(place(2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions_[1].status, kNewGeneration);
  ASSERT_TRUE(writer_->post(write(3, 1)));
  ASSERT_TRUE(writer_->post(place(4)));
  ASSERT_TRUE(wait_for(4));
  EXPECT_EQ(completions_[3].status, kSuccess) << "the application was told, and wrote again";
}

// The key survives: WRITE, READ and all succeed, and only the owner knows what happened between.
TEST_F(Connection, PlacedIsAskedOfTheOwnerWhereTheKeyDoesNotTell) {
  make_region(verbs::ImporterClass::kFaultable);
  options_.on_new_generation = NewGenerationPolicy::kReplay;
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(wait_for(1));
  revoke();
  restore();
  ASSERT_TRUE(writer_->post(place(2)));
  while (completions_.size() < 2) {  // the owner is slow
    wire_.ports[0]->run();
    ASSERT_TRUE(writer_->process());
    if (channel_->towards[1].size() > 0) turn();
    collect();
  }
  EXPECT_EQ(completions_[1].status, kNewGeneration);
}

TEST_F(Connection, PlacedIsTrueWithStableKeysToo) {
  make_region(verbs::ImporterClass::kFaultable);
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(writer_->post(place(2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions_[1].status, kSuccess);
}

TEST_F(Connection, EndOfTheChannelEndsTheConnectionAndAllItsWork) {
  connect();
  post_receives(1);
  ASSERT_TRUE(writer_->post(write(1, 1)));
  ASSERT_TRUE(writer_->post(send(2, 2)));
  channel_->closed = true;
  death_expected_ = true;
  EXPECT_EQ(writer_->process().error().code(), std::errc::connection_reset);
  turn(2);
  EXPECT_EQ(statuses(), (std::vector{kOutcomeUnknown, kOutcomeUnknown}));
  EXPECT_EQ(received_.size(), 1u);
  EXPECT_EQ(received_[0].status, kFlushed);
  EXPECT_EQ(writer_->state(), ConnectionState::kDead);
  EXPECT_EQ(error_of(write(3, 3)), Errc::kDead);
  EXPECT_EQ(read_events().back().state, ConnectionState::kDead);
}

TEST_F(Connection, PeerThatDoesNotAnswerRunsOutOfTime) {
  options_.recovery.limit = std::chrono::milliseconds(20);
  connect();
  ASSERT_TRUE(writer_->post(write(1, 1)));
  wire_.ports[0]->lose_connection();
  death_expected_ = true;
  for (int i = 0; i < 200 && writer_->state() != ConnectionState::kDead; ++i) {
    static_cast<void>(writer_->process());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(writer_->process().error().code(), std::errc::timed_out);
  collect();
  EXPECT_EQ(statuses(), std::vector{kOutcomeUnknown});
}

class HostilePeer : public Connection {
 protected:
  void expect_death(const Message& message, std::error_code code = Errc::kMalformed) {
    connect();
    FakeChannel(channel_, 1).send(encode(message)).value();
    death_expected_ = true;
    const auto done = writer_->process();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), code) << done.error().message();
  }
  static RegionDescriptor descriptor() {
    return {.id = kRegion, .state = DescriptorState::kLive, .length_bytes = 8, .rkey = Rkey(1)};
  }
};

TEST_F(HostilePeer, StartOutOfTurn) {
  StartMessage message;
  message.epoch = 9;
  message.address = {.qp_number = 2, .lid = 1};
  expect_death(message);
}
TEST_F(HostilePeer, ReadyOutOfTurn) {
  expect_death(ReadyMessage{1});
}
TEST_F(HostilePeer, AnswerToNoQuestion) {
  expect_death(SyncedMessage{0});
}
TEST_F(HostilePeer, AcknowledgementOfNoRegion) {
  expect_death(AcknowledgeMessage{RegionId(3)});
}

TEST_F(HostilePeer, AcknowledgementOfAKeyThatIsNotMadeYet) {
  connect();
  FakeChannel(channel_, 0)
      .send(encode(AcknowledgeMessage{.region = kRegion, .key_epoch = KeyEpoch(1)}))
      .value();
  EXPECT_EQ(owner_->process().error().code(), Errc::kMalformed);
  death_expected_ = true;
}

TEST_F(HostilePeer, RegionOfThePast) {
  connect();
  revoke();
  restore();
  turn(5);
  FakeChannel(channel_, 1).send(encode(descriptor())).value();
  EXPECT_EQ(writer_->process().error().code(), Errc::kMalformed);
  death_expected_ = true;
}

TEST_F(HostilePeer, RegionsWithoutEnd) {
  options_.max_remote_regions = 10;
  connect();
  FakeChannel channel(channel_, 1);
  death_expected_ = true;
  Result<void> done;
  for (std::uint64_t id = 100; id < 120 && done; ++id) {
    RegionDescriptor one = descriptor();
    one.id = RegionId(id);
    channel.send(encode(one)).value();
    done = writer_->process();
  }
  EXPECT_EQ(done.error().code(), Errc::kMalformed);
}

TEST_F(HostilePeer, CountOfMessagesThatWereNeverSent) {
  connect();
  StartMessage message;
  message.epoch = 2;
  message.address = {.qp_number = 2, .lid = 1};
  message.received = 5;
  FakeChannel channel(channel_, 1);
  channel.send(encode(message)).value();
  ASSERT_TRUE(writer_->process());
  channel.send(encode(ReadyMessage{2})).value();
  EXPECT_EQ(writer_->process().error().code(), Errc::kMalformed);
  death_expected_ = true;
}

TEST_F(HostilePeer, FloodIsTakenInTurns) {
  connect();
  FakeChannel channel(channel_, 1);
  for (int i = 0; i < 1000; ++i) channel.send(encode(SyncMessage{1})).value();
  ASSERT_TRUE(writer_->process());
  EXPECT_GT(channel_->towards[0].size(), 800u);
  EXPECT_LE(writer_->wake_at(), std::chrono::steady_clock::now());
}

}  // namespace
}  // namespace peermr::test
