// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/replay_log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace peermr {
namespace {

using Verdict = ReplayLog::Verdict;
using enum Operation;
using enum CompletionStatus;

class Log : public testing::Test {
 protected:
  void ask(std::initializer_list<Operation> operations) {
    for (const Operation operation : operations) {
      log_.append({.operation = operation, .id = next_id_++});
    }
  }
  void post_all() {
    while (auto* entry = log_.next_to_post()) log_.posted(*entry);
  }
  void post(std::initializer_list<Operation> operations) {
    ask(operations);
    post_all();
  }
  void succeed(std::uint64_t number) { ASSERT_TRUE(log_.completed(number, IBV_WC_SUCCESS)); }
  void fail(std::uint64_t number, ibv_wc_status status) {
    ASSERT_TRUE(log_.completed(number, status));
  }
  /// With `fate` of the culprit and of all that the log would replay.
  Result<void> resolve(std::uint64_t received, Verdict fate = Verdict::kReplay,
                       std::uint64_t which = ~0ull) {
    return log_.resolve({received},
                        [fate, which](ReplayLog::Entry& entry, const ReplayLog::Culprit*) {
                          return entry.number == which ? fate : Verdict::kReplay;
                        });
  }
  /// "0:success 1:flushed", of what can be taken.
  std::string taken() {
    std::string text;
    while (const auto completion = log_.take()) {
      if (!text.empty()) text += ' ';
      text += std::to_string(completion->id) + ":" + std::string(to_string(completion->status));
    }
    return text;
  }
  /// Numbers that wait to be posted.
  std::vector<std::uint64_t> waiting() {
    std::vector<std::uint64_t> numbers;
    while (auto* entry = log_.next_to_post()) {
      numbers.push_back(entry->number);
      log_.posted(*entry);
    }
    return numbers;
  }

  ReplayLog log_{8};
  std::uint64_t next_id_ = 0;
};

using Numbers = std::vector<std::uint64_t>;

TEST_F(Log, CompletionsComeInTheOrderOfTheCalls) {
  post({kWrite, kSend, kRead});
  EXPECT_EQ(taken(), "");
  succeed(0);
  EXPECT_EQ(taken(), "0:success");
  succeed(1);
  succeed(2);
  EXPECT_EQ(taken(), "1:success 2:success");
  EXPECT_TRUE(log_.empty());
}

TEST_F(Log, IsFullUntilCompletionsAreTaken) {
  for (int i = 0; i < 8; ++i) post({kWrite});
  EXPECT_TRUE(log_.full());
  for (std::uint64_t i = 0; i < 8; ++i) succeed(i);
  EXPECT_TRUE(log_.full());
  ASSERT_TRUE(log_.take());
  EXPECT_FALSE(log_.full());
}

TEST_F(Log, GoesRoundItsRing) {
  for (std::uint64_t i = 0; i < 100; ++i) {
    post({kWrite});
    succeed(i);
    EXPECT_EQ(taken(), std::to_string(i) + ":success");
  }
}

TEST_F(Log, CompletionOfNothingInFlightIsNone) {
  ask({kWrite});
  EXPECT_FALSE(log_.completed(0, IBV_WC_SUCCESS)) << "not posted";
  post_all();
  succeed(0);
  EXPECT_FALSE(log_.completed(0, IBV_WC_SUCCESS)) << "twice";
  EXPECT_FALSE(log_.completed(7, IBV_WC_SUCCESS));
  EXPECT_FALSE(log_.completed(~0ull, IBV_WC_SUCCESS));
}

TEST_F(Log, WritesAndReadsAreRepeatedInOrder) {
  post({kWrite, kRead, kWrite});
  succeed(0);
  fail(1, IBV_WC_RETRY_EXC_ERR);
  fail(2, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{1, 2}));
}

TEST_F(Log, SendThatThePeerHasIsNotRepeatedAndTheNextOneIs) {
  post({kSend, kSend, kSend});
  succeed(0);
  fail(1, IBV_WC_RETRY_EXC_ERR);
  fail(2, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(2));
  EXPECT_EQ(taken(), "0:success 1:success");
  EXPECT_EQ(waiting(), (Numbers{2}));
}

TEST_F(Log, CountsGoOnAfterARecovery) {
  post({kSend, kSend});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(1));
  EXPECT_EQ(waiting(), (Numbers{1}));
  fail(1, IBV_WC_RETRY_EXC_ERR);
  ASSERT_TRUE(resolve(2));
  EXPECT_EQ(taken(), "0:success 1:success");
}

// A repetition behind a message that the peer has acted upon could undo what it did.
TEST_F(Log, WriteBeforeASendThatThePeerHasIsNotRepeated) {
  post({kWrite, kSend, kWrite});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  fail(2, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(1));
  EXPECT_EQ(taken(), "0:success 1:success");
  EXPECT_EQ(waiting(), (Numbers{2}));
}

TEST_F(Log, ReadBeforeASendThatThePeerHasIsRepeatedAndTheSendWaitsForIt) {
  post({kRead, kSend});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(1));
  EXPECT_EQ(taken(), "");
  EXPECT_EQ(waiting(), (Numbers{0}));
  succeed(0);
  EXPECT_EQ(taken(), "0:success 1:success");
}

TEST_F(Log, AtomicThatMayHaveBeenExecutedIsUnknownAndNothingBehindItIsRepeated) {
  post({kFetchAdd, kWrite, kSend, kRead});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  for (std::uint64_t i = 1; i < 4; ++i) fail(i, IBV_WC_WR_FLUSH_ERR);
  ask({kWrite});
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), Numbers{});
  EXPECT_EQ(taken(), "0:outcome unknown 1:outcome unknown 2:flushed 3:flushed 4:flushed");
}

TEST_F(Log, AtomicBehindARefusalWasNotExecutedAndIsPostedAgain) {
  post({kWrite, kFetchAdd});
  fail(0, IBV_WC_REM_ACCESS_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{0, 1}));
}

TEST_F(Log, AtomicThatWasRefusedItselfIsPostedAgain) {
  post({kCompareSwap});
  fail(0, IBV_WC_RNR_RETRY_EXC_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{0}));
}

TEST_F(Log, AtomicThatFailedAtThisSideMayHaveBeenExecuted) {
  post({kFetchAdd});
  fail(0, IBV_WC_LOC_PROT_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(taken(), "0:outcome unknown");
}

TEST_F(Log, AtomicBeforeASendThatThePeerHasWasExecutedAndItsResultIsLost) {
  post({kFetchAdd, kSend, kWrite});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  fail(2, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(1));
  EXPECT_EQ(taken(), "0:outcome unknown 1:success 2:outcome unknown");
}

TEST_F(Log, AtomicThatWasNeverPostedIsPosted) {
  post({kWrite});
  ask({kFetchAdd});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{0, 1}));
}

TEST_F(Log, PeerThatNoticedFirstLeavesNoCulprit) {
  post({kWrite, kSend});
  fail(0, IBV_WC_WR_FLUSH_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  EXPECT_FALSE(log_.culprit());
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{0, 1}));
}

TEST_F(Log, BehindWorkThatFailedNothingIsRepeated) {
  post({kWrite, kRead, kSend, kWrite});
  fail(0, IBV_WC_REM_ACCESS_ERR);
  for (std::uint64_t i = 1; i < 4; ++i) fail(i, IBV_WC_WR_FLUSH_ERR);
  EXPECT_EQ(log_.culprit()->number, 0u);
  ASSERT_TRUE(resolve(0, Verdict::kFail, 0));
  EXPECT_TRUE(log_.has_failures());
  const auto first = log_.take();
  EXPECT_EQ(first->status, kFailed);
  EXPECT_EQ(first->wc_status, IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(taken(), "1:flushed 2:flushed 3:flushed") << "the refusal shows that for certain";
  EXPECT_FALSE(log_.has_failures());
}

TEST_F(Log, WriteThatMayHaveBeenExecutedIsNotCalledFlushed) {
  post({kSend, kWrite});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0, Verdict::kFail, 0));
  EXPECT_EQ(taken(), "0:failed 1:outcome unknown");
}

TEST_F(Log, DoubtAboutAWriteOutlivesARepetitionThatWasRefused) {
  post({kSend, kWrite});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{0, 1}));
  fail(0, IBV_WC_RNR_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0, Verdict::kFail, 0));
  EXPECT_EQ(taken(), "0:failed 1:outcome unknown");
}

TEST_F(Log, CountsThatCannotBeAreRefused) {
  post({kSend, kSend});
  succeed(0);
  EXPECT_EQ(resolve(0).error().code(), Errc::kMalformed) << "one was acknowledged";
  EXPECT_EQ(resolve(3).error().code(), Errc::kMalformed) << "two were sent";
  EXPECT_TRUE(resolve(2));
}

TEST_F(Log, SendThatWasGivenBackIsNotCounted) {
  post({kSend, kSend});
  fail(0, IBV_WC_RNR_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0, Verdict::kFail, 0));
  EXPECT_EQ(taken(), "0:failed 1:flushed");
  post({kSend});
  fail(2, IBV_WC_RETRY_EXC_ERR);
  EXPECT_FALSE(resolve(2));
  ASSERT_TRUE(resolve(1));
  EXPECT_EQ(taken(), "2:success");
}

TEST_F(Log, PlaceIsHeldUntilItIsFinished) {
  post({kWrite, kPlace, kWrite});
  for (std::uint64_t i = 0; i < 3; ++i) succeed(i);
  EXPECT_EQ(taken(), "0:success");
  log_.finish(*log_.find(1), kNewGeneration);
  EXPECT_EQ(taken(), "1:new generation 2:success");
}

TEST_F(Log, HeldPlaceIsNotRepeated) {
  post({kPlace, kWrite});
  succeed(0);
  fail(1, IBV_WC_RETRY_EXC_ERR);
  ASSERT_TRUE(resolve(0));
  EXPECT_EQ(waiting(), (Numbers{1}));
}

TEST_F(Log, GivesBackFromTheFirstThatIsNotWantedOn) {
  post({kWrite});
  ask({kSend, kWrite, kSend});
  log_.give_back([](const ReplayLog::Entry& entry) {
    return entry.number == 2 ? Verdict::kNewGeneration : Verdict::kReplay;
  });
  EXPECT_EQ(waiting(), (Numbers{1}));
  succeed(0);
  succeed(1);
  EXPECT_EQ(taken(), "0:success 1:success 2:new generation 3:flushed");
}

TEST_F(Log, AbandonedWorkIsUnknownWherePostedAndFlushedWhereNot) {
  post({kSend, kWrite, kPlace});
  succeed(0);
  ask({kSend});
  log_.abandon();
  EXPECT_EQ(taken(), "0:success 1:outcome unknown 2:outcome unknown 3:flushed");
  EXPECT_EQ(log_.in_flight(), 0u);
}

TEST_F(Log, ReadsHaveNoEffectToBeUnsureOf) {
  post({kSend, kRead});
  fail(0, IBV_WC_RETRY_EXC_ERR);
  fail(1, IBV_WC_WR_FLUSH_ERR);
  ASSERT_TRUE(resolve(0, Verdict::kFail, 0));
  EXPECT_EQ(taken(), "0:failed 1:flushed");
}

}  // namespace
}  // namespace peermr
