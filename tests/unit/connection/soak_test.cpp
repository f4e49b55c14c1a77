// SPDX-License-Identifier: BSD-2-Clause
//
// Random work, losses on the wire, revokes and delays, from a seed; and at the end the accounts:
// what was said of each piece of work against what the wire executed.
#include <algorithm>
#include <map>

#include "connection/connection_fixture.hpp"

namespace peermr::test {
namespace {

struct Case {
  verbs::ImporterClass importer;
  NewGenerationPolicy policy;
  const char* name;
};

class Soak : public ConnectionTest, public testing::WithParamInterface<Case> {
 public:
  // Values are numbers of work; words 0 to 255 are written, the others are added to.
  static constexpr std::uint64_t kWrittenWords = 256;

  void run_one(std::uint32_t seed, int pieces);
  void act(int& left);
  void post_one();
  void take_events();
  void check_writes();
  void check_messages();
  void check_atomics();
  void check_placed();

  std::uint64_t now() { return wire_.random(); }

  std::uint64_t next_ = 1;  // number of the next work; its value too
  std::map<std::uint64_t, Operation> asked_;
  bool away_ = false;
};

void Soak::post_one() {
  const std::uint64_t id = next_;
  local_[id % kWords] = id;
  WorkRequest work;
  switch (now() % 8) {
    case 0:
    case 1:
      work = send(id, id);
      break;
    case 2:
      work = add(id, id, kWrittenWords + id % (kWords - kWrittenWords));
      break;
    case 3:
      work = place(id);
      break;
    default:
      work = write(id, id, id % kWrittenWords);
  }
  if (writer_->post(work)) {
    asked_[id] = work.operation;
    ++next_;
  }
}

void Soak::act(int& left) {
  const auto dice = now() % 100;
  if (dice < 40 && left > 0) {
    --left;
    post_one();
  } else if (dice < 44) {
    wire_.ports[now() % 2]->lose_connection();
  } else if (dice < 47) {
    away_ ? restore() : revoke();
    away_ = !away_;
  } else if (dice < 65) {
    wire_.ports[now() % 2]->run();
  } else if (dice < 85) {
    auto& side = now() % 2 == 0 ? writer_ : owner_;
    channel_->deliver = static_cast<int>(now() % 3);
    const auto done = side->process();
    ASSERT_TRUE(done) << done.error().message();
    channel_->deliver = -1;
  } else if (dice < 92) {
    collect();
    post_receives(static_cast<int>(64 - (receives_posted_ - received_.size())));
  } else {
    take_events();
  }
}

void Soak::take_events() {
  read_events();
  while (owner_->next_event()) {
  }
}

void Soak::run_one(std::uint32_t seed, int pieces) {
  wire_.random.seed(seed);
  wire_.loss_percent = 4;
  options_.on_new_generation = GetParam().policy;
  options_.max_sends = 32;
  options_.max_failures = 1000;  // the wire is bad, not the work
  make_region(GetParam().importer);
  connect();
  post_receives(64);
  int left = pieces;
  while (left > 0) {
    act(left);
    if (HasFatalFailure()) return;
  }
  if (away_) restore();
  wire_.loss_percent = 0;
  ASSERT_TRUE(turn_until([&] {
    take_events();
    if (received_.size() + 32 > receives_posted_) post_receives(32);
    return completions_.size() == asked_.size();
  })) << completions_.size()
      << " of " << asked_.size();
}

/// One completion each, in order; what succeeded was executed, what was flushed was not.
void Soak::check_writes() {
  ASSERT_EQ(completions_.size(), asked_.size());
  std::map<std::uint64_t, std::size_t> last_execution;
  std::map<std::uint64_t, std::size_t> message_at;
  for (std::size_t i = 0; i < executed_.size(); ++i) {
    if (executed_[i].opcode == IBV_WR_RDMA_WRITE) last_execution[executed_[i].value] = i;
    if (executed_[i].opcode == IBV_WR_SEND) message_at[executed_[i].value] = i;
  }
  std::size_t next_message = executed_.size();
  auto asked = asked_.rbegin();
  for (auto completion = completions_.rbegin(); completion != completions_.rend();
       ++completion, ++asked) {
    ASSERT_EQ(completion->id, asked->first);
    ASSERT_EQ(completion->operation, asked->second);
    if (completion->operation == Operation::kSend && message_at.contains(completion->id)) {
      next_message = message_at[completion->id];
    }
    if (completion->operation != Operation::kWrite) continue;
    const bool executed = last_execution.contains(completion->id);
    if (completion->status == CompletionStatus::kSuccess) {
      ASSERT_TRUE(executed) << completion->id;
    }
    if (completion->status == CompletionStatus::kFlushed) {
      ASSERT_FALSE(executed) << completion->id;
    }
    if (executed) {
      ASSERT_LE(last_execution[completion->id], next_message)
          << "write " << completion->id << " behind a later message that was taken before";
    }
  }
}

/// Taken once each, in order, and no other than those that succeeded.
void Soak::check_messages() {
  std::vector<std::uint64_t> executed;
  for (const Executed& one : executed_) {
    if (one.opcode == IBV_WR_SEND) executed.push_back(one.value);
  }
  std::vector<std::uint64_t> succeeded;
  for (const Completion& completion : completions_) {
    if (completion.operation != Operation::kSend) continue;
    ASSERT_NE(completion.status, CompletionStatus::kOutcomeUnknown) << "messages are counted";
    if (completion.status == CompletionStatus::kSuccess) succeeded.push_back(completion.id);
  }
  ASSERT_EQ(executed, succeeded);
  ASSERT_EQ(
      std::count_if(received_.begin(), received_.end(),
                    [](const Completion& one) { return one.status == CompletionStatus::kSuccess; }),
      static_cast<std::ptrdiff_t>(executed.size()));
}

void Soak::check_atomics() {
  std::map<std::uint64_t, int> executed;
  for (const Executed& one : executed_) {
    if (one.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) ++executed[one.value];
  }
  for (const Completion& completion : completions_) {
    if (completion.operation != Operation::kFetchAdd) continue;
    const int times = executed[completion.id];
    ASSERT_LE(times, 1) << completion.id;
    if (completion.status == CompletionStatus::kSuccess) {
      ASSERT_EQ(times, 1) << completion.id;
    } else if (completion.status != CompletionStatus::kOutcomeUnknown) {
      ASSERT_EQ(times, 0) << completion.id << " " << to_string(completion.status);
    }
  }
}

/// When a place succeeds, the WRITEs that succeeded since the last place are in memory of the
/// generation that the place saw.
void Soak::check_placed() {
  std::map<std::uint64_t, std::uint64_t> generation_of;
  for (std::size_t i = 0; i < executed_.size(); ++i) {
    if (executed_[i].opcode == IBV_WR_RDMA_WRITE) {
      generation_of[executed_[i].value] = generation_at_[i];
    }
  }
  std::vector<std::uint64_t> unplaced;
  for (const Completion& completion : completions_) {
    if (completion.operation == Operation::kWrite &&
        completion.status == CompletionStatus::kSuccess) {
      unplaced.push_back(completion.id);
    }
    if (completion.operation != Operation::kPlace) continue;
    if (completion.status == CompletionStatus::kSuccess) {
      for (const std::uint64_t id : unplaced) {
        ASSERT_EQ(generation_of[id], completion.generation.value())
            << "write " << id << ", place " << completion.id;
      }
      unplaced.clear();
    } else if (completion.status == CompletionStatus::kNewGeneration) {
      unplaced.clear();  // the application was told
    }
  }
}

TEST_P(Soak, EveryPieceOfWorkIsAccountedFor) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    run_one(seed, 300);
    if (HasFailure()) return;
    for (const auto check :
         {&Soak::check_writes, &Soak::check_messages, &Soak::check_atomics, &Soak::check_placed}) {
      (this->*check)();
      if (HasFailure()) return;
    }
    writer_.reset();
    owner_.reset();
    region_.reset();
    fake_.registered.clear();
    dead_keys_.clear();
    asked_.clear();
    executed_.clear();
    generation_at_.clear();
    completions_.clear();
    received_.clear();
    receives_posted_ = 0;
    true_generation_ = 0;
    away_ = false;
    next_ = 1;
  }
}

INSTANTIATE_TEST_SUITE_P(
    , Soak,
    testing::Values(
        Case{verbs::ImporterClass::kRevocable, NewGenerationPolicy::kGiveBack, "RevocableGiveBack"},
        Case{verbs::ImporterClass::kRevocable, NewGenerationPolicy::kReplay, "RevocableReplay"},
        Case{verbs::ImporterClass::kFaultable, NewGenerationPolicy::kGiveBack, "FaultableGiveBack"},
        Case{verbs::ImporterClass::kFaultable, NewGenerationPolicy::kReplay, "FaultableReplay"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace peermr::test
