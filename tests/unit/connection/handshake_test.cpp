// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/handshake.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>
#include <variant>

namespace peermr {
namespace {

using Step = Handshake::Step;

StartMessage start(std::uint32_t epoch) {
  StartMessage message;
  message.epoch = epoch;
  return message;
}

/// Does what a caller has to do, and says what that was.
std::string act(Handshake& side) {
  std::string did;
  while (true) {
    switch (side.next()) {
      case Step::kNothing:
        return did;
      case Step::kDrain:
        did += "drain ";
        side.drained();
        break;
      case Step::kSendStart:
        did += "start ";
        side.start_sent();
        break;
      case Step::kConnect:
        did += "connect ";
        side.connected();
        break;
      case Step::kResume:
        did += "resume ";
        side.resumed();
        break;
    }
  }
}

void make_live(Handshake& side) {
  act(side);
  ASSERT_TRUE(side.on_start(start(side.epoch())));
  act(side);
  ASSERT_TRUE(side.on_ready({side.epoch()}));
  act(side);
  ASSERT_TRUE(side.live());
}

TEST(Handshake, ConnectsWhenThePeerHasStartedAndPostsWhenItIsReady) {
  Handshake side;
  EXPECT_EQ(act(side), "drain start ");
  ASSERT_TRUE(side.on_start(start(1)));
  EXPECT_EQ(act(side), "connect ");
  EXPECT_FALSE(side.live());
  ASSERT_TRUE(side.on_ready({1}));
  EXPECT_EQ(act(side), "resume ");
  EXPECT_TRUE(side.live());
}

TEST(Handshake, PeerMayBeFirst) {
  Handshake side;
  ASSERT_TRUE(side.on_start(start(1)));
  EXPECT_EQ(act(side), "drain start connect ");
}

TEST(Handshake, ErrorBeginsTheNextEpoch) {
  Handshake side;
  make_live(side);
  EXPECT_TRUE(side.failed());
  EXPECT_FALSE(side.live());
  EXPECT_EQ(side.epoch(), 2u);
  EXPECT_EQ(act(side), "drain start ");
  EXPECT_FALSE(side.failed()) << "what the drain brings is part of it";
}

TEST(Handshake, PeersStartBeginsTheNextEpochToo) {
  Handshake side;
  make_live(side);
  ASSERT_TRUE(side.on_start(start(2)));
  EXPECT_FALSE(side.live());
  EXPECT_EQ(act(side), "drain start connect ");
}

TEST(Handshake, BothMayBeginAtOnce) {
  Handshake side;
  make_live(side);
  ASSERT_TRUE(side.failed());
  ASSERT_TRUE(side.on_start(start(2)));
  EXPECT_EQ(side.epoch(), 2u);
  EXPECT_EQ(act(side), "drain start connect ");
}

TEST(Handshake, ReadyOfTheEpochBeforeIsLateAndHarmless) {
  Handshake side;
  act(side);
  ASSERT_TRUE(side.on_start(start(1)));
  act(side);
  ASSERT_TRUE(side.failed());
  ASSERT_TRUE(side.on_ready({1}));
  EXPECT_EQ(act(side), "drain start ");
  EXPECT_FALSE(side.on_ready({1}).has_value() && side.live());
}

TEST(Handshake, PeerThatFailedAgainIsFollowed) {
  Handshake side;
  act(side);
  ASSERT_TRUE(side.on_start(start(1)));
  ASSERT_TRUE(side.on_start(start(2))) << "it connected, and failed, before this side did anything";
  EXPECT_EQ(act(side), "drain start connect ");
  EXPECT_EQ(side.epoch(), 2u);
}

TEST(Handshake, MessagesOutOfTurnAreRefused) {
  Handshake side;
  EXPECT_EQ(side.on_ready({1}).error().code(), Errc::kMalformed) << "not started";
  EXPECT_FALSE(side.on_start(start(2))) << "epochs begin at 1";
  EXPECT_FALSE(side.on_start(start(0)));
  make_live(side);
  EXPECT_FALSE(side.on_ready({1})) << "twice";
  EXPECT_FALSE(side.on_start(start(1))) << "of the present epoch";
  EXPECT_FALSE(side.on_start(start(3))) << "one left out";
  EXPECT_FALSE(side.on_ready({2}));
  EXPECT_TRUE(side.live()) << "and none of it had an effect";
}

// Two sides, messages in order but late, errors at any moment at either: they always meet again.
TEST(Handshake, TwoSidesMeetWhateverHappensWhen) {
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    Handshake sides[2];
    std::deque<std::variant<StartMessage, ReadyMessage>> towards[2];
    int failures = 20;
    for (int turn = 0; turn < 4000; ++turn) {
      const std::size_t i = random() % 2;
      Handshake& side = sides[i];
      if (failures > 0 && random() % 5 == 0) {
        side.failed();
        --failures;
      } else if (random() % 2 == 0 && !towards[i].empty()) {
        const auto message = towards[i].front();
        towards[i].pop_front();
        const auto taken = std::holds_alternative<StartMessage>(message)
                               ? side.on_start(std::get<StartMessage>(message))
                               : side.on_ready(std::get<ReadyMessage>(message));
        ASSERT_TRUE(taken) << "seed " << seed << ": " << taken.error().message();
      } else {
        switch (side.next()) {
          case Step::kDrain:
            side.drained();
            break;
          case Step::kSendStart:
            towards[1 - i].push_back(start(side.epoch()));
            side.start_sent();
            break;
          case Step::kConnect:
            towards[1 - i].push_back(ReadyMessage{side.epoch()});
            side.connected();
            break;
          case Step::kResume:
            side.resumed();
            break;
          case Step::kNothing:
            break;
        }
      }
    }
    ASSERT_TRUE(sides[0].live() && sides[1].live()) << "seed " << seed;
    ASSERT_EQ(sides[0].epoch(), sides[1].epoch()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace peermr
