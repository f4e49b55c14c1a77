// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/memory_events.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace peermr::detail {
namespace {

using State = MemoryEvents::State;
using namespace std::chrono_literals;

class Recorder final : public MemoryObserver {
 public:
  explicit Recorder(bool refuses = false, bool comes_back = true)
      : refuses_(refuses), comes_back_(comes_back) {}

  Result<void> quiesce() override {
    calls_ += 'q';
    if (refuses_) return make_error(Errc::kLeaseHeld, "quiesce");
    return {};
  }
  Comeback restore() override {
    calls_ += 'r';
    return {.in_use = comes_back_, .waiting = 5ns, .in_kernel = 7ns};
  }
  void gone() override { calls_ += 'g'; }

  [[nodiscard]] const std::string& calls() const { return calls_; }

 private:
  bool refuses_;
  bool comes_back_;
  std::string calls_;
};

TEST(MemoryEvents, ObserversAreToldBeforeAndAfter) {
  MemoryEvents events;
  const auto one = std::make_shared<Recorder>();
  const auto two = std::make_shared<Recorder>(false, false);
  EXPECT_EQ(events.subscribe(one), State::kAvailable);
  EXPECT_EQ(events.subscribe(two), State::kAvailable);
  EXPECT_TRUE(events.quiesce_all());
  EXPECT_EQ(events.state(), State::kRevoked);
  const auto restored = events.restore_all();
  EXPECT_EQ(restored.observers, 2u);
  EXPECT_EQ(restored.in_use, 1u);
  EXPECT_EQ(restored.waiting, 10ns);
  EXPECT_EQ(restored.in_kernel, 14ns);
  EXPECT_EQ(one->calls(), "qr");
  EXPECT_EQ(two->calls(), "qr");
}

TEST(MemoryEvents, WhoComesDuringARevokeLearnsOfIt) {
  MemoryEvents events;
  EXPECT_TRUE(events.quiesce_all());
  const auto late = std::make_shared<Recorder>();
  EXPECT_EQ(events.subscribe(late), State::kRevoked);
  events.restore_all();
  EXPECT_EQ(late->calls(), "r");
}

TEST(MemoryEvents, RevokeIsCalledOffWhenOneRefuses) {
  MemoryEvents events;
  const auto one = std::make_shared<Recorder>();
  const auto refuser = std::make_shared<Recorder>(true);
  const auto three = std::make_shared<Recorder>();
  events.subscribe(one);
  events.subscribe(refuser);
  events.subscribe(three);
  const auto result = events.quiesce_all();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kLeaseHeld);
  EXPECT_EQ(one->calls(), "qr");
  EXPECT_EQ(refuser->calls(), "q");
  EXPECT_EQ(three->calls(), "") << "was never told";
  EXPECT_EQ(events.state(), State::kAvailable);
}

TEST(MemoryEvents, GoneIsFinal) {
  MemoryEvents events;
  const auto one = std::make_shared<Recorder>();
  events.subscribe(one);
  EXPECT_TRUE(events.quiesce_all());
  events.gone_all();
  events.restore_all();
  EXPECT_EQ(one->calls(), "qg");
  EXPECT_EQ(events.state(), State::kGone);
  EXPECT_EQ(events.subscribe(std::make_shared<Recorder>()), State::kGone);
}

TEST(MemoryEvents, PartWithManualRearmIsRestoredAloneAndAtOnceWhenTheRevokeIsCalledOff) {
  MemoryEvents events;
  const auto part = std::make_shared<MemoryPart>(MemoryPart{.manual_rearm = true});
  const auto user = std::make_shared<Recorder>();
  events.subscribe(user, part);
  EXPECT_TRUE(events.quiesce_all());
  EXPECT_EQ(events.restore_all().observers, 1u);
  EXPECT_EQ(user->calls(), "q");
  EXPECT_EQ(events.restore_part(*part).in_use, 1u);
  EXPECT_EQ(user->calls(), "qr");
  const auto refuser = std::make_shared<Recorder>(true);
  events.subscribe(refuser);
  EXPECT_FALSE(events.quiesce_all());
  EXPECT_EQ(user->calls(), "qrqr");
}

TEST(MemoryEvents, ObserversThatWentAreNotKept) {
  MemoryEvents events;
  auto one = std::make_shared<Recorder>();
  events.subscribe(one);
  one.reset();
  EXPECT_TRUE(events.quiesce_all());
  EXPECT_EQ(events.restore_all().observers, 0u);
}

}  // namespace
}  // namespace peermr::detail
