// SPDX-License-Identifier: BSD-2-Clause
//
// Descriptors, publications, and who is woken when a region changes, through the C interface.
#include "peermr/peermr_publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <vector>

#include "capi/connection.hpp"
#include "region/fake_registrar.hpp"
#include "region/region_core.hpp"

namespace peermr {
namespace {

using capi::Followers;
using detail::MemoryEvents;
using detail::RegionCore;
using test::FakeDevice;
using test::FakeRegistrar;
using testing::ElementsAre;
using testing::HasSubstr;

peermr_descriptor live_descriptor() {
  return {.id = 1,
          .address = 0x2000,
          .length = 3,
          .generation = 4,
          .key_epoch = 5,
          .rkey = 6,
          .state = PEERMR_DESCRIPTOR_LIVE,
          .flags = PEERMR_DESCRIPTOR_KEY_DIES,
          .reserved = 0};
}

TEST(CapiDescriptor, ComesBackAsItWas) {
  const peermr_descriptor descriptor = live_descriptor();
  unsigned char bytes[PEERMR_DESCRIPTOR_BYTES];
  ASSERT_EQ(peermr_descriptor_encode(&descriptor, bytes), 0);
  peermr_descriptor decoded{};
  ASSERT_EQ(peermr_descriptor_decode(bytes, sizeof(bytes), &decoded), 0);
  EXPECT_EQ(decoded.id, 1u);
  EXPECT_EQ(decoded.address, 0x2000u);
  EXPECT_EQ(decoded.length, 3u);
  EXPECT_EQ(decoded.generation, 4u);
  EXPECT_EQ(decoded.key_epoch, 5u);
  EXPECT_EQ(decoded.rkey, 6u);
  EXPECT_EQ(decoded.state, PEERMR_DESCRIPTOR_LIVE);
  EXPECT_EQ(decoded.flags, PEERMR_DESCRIPTOR_KEY_DIES);
  EXPECT_EQ(decoded.reserved, 0u);
}

TEST(CapiDescriptor, WithWhatDoesNotExistIsNotEncoded) {
  const auto refused = [](auto change) {
    peermr_descriptor descriptor = live_descriptor();
    change(descriptor);
    unsigned char bytes[PEERMR_DESCRIPTOR_BYTES];
    return peermr_descriptor_encode(&descriptor, bytes) == -EINVAL;
  };
  EXPECT_TRUE(refused([](auto& d) { d.state = 0; }));
  EXPECT_TRUE(refused([](auto& d) { d.state = 4; }));
  EXPECT_TRUE(refused([](auto& d) { d.state = -1; }));
  EXPECT_TRUE(refused([](auto& d) { d.flags = 2; }));
  EXPECT_TRUE(refused([](auto& d) { d.reserved = 1; }));
}

TEST(CapiDescriptor, MalformedBytesAreRefusedWithTheField) {
  const peermr_descriptor descriptor = live_descriptor();
  unsigned char bytes[PEERMR_DESCRIPTOR_BYTES + 1] = {};
  ASSERT_EQ(peermr_descriptor_encode(&descriptor, bytes), 0);
  peermr_descriptor decoded{};
  EXPECT_EQ(peermr_descriptor_decode(bytes, sizeof(bytes), &decoded), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("57 bytes"));
  EXPECT_EQ(peermr_descriptor_decode(bytes, 0, &decoded), -EINVAL);
  bytes[5] = 9;
  EXPECT_EQ(peermr_descriptor_decode(bytes, PEERMR_DESCRIPTOR_BYTES, &decoded), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("state 9"));
}

TEST(CapiDescriptor, NullIsRefused) {
  peermr_descriptor descriptor = live_descriptor();
  unsigned char bytes[PEERMR_DESCRIPTOR_BYTES] = {};
  EXPECT_EQ(peermr_descriptor_encode(nullptr, bytes), -EINVAL);
  EXPECT_EQ(peermr_descriptor_encode(&descriptor, nullptr), -EINVAL);
  EXPECT_EQ(peermr_descriptor_decode(nullptr, 56, &descriptor), -EINVAL);
  EXPECT_EQ(peermr_descriptor_decode(bytes, 56, nullptr), -EINVAL);
}

class CapiPublication : public testing::Test {
 protected:
  CapiPublication() {
    detail::RegionConfig config;
    config.name = "memory";
    config.length_bytes = 4096;
    config.keys = KeyPolicy::kFresh;
    config.on_event = [followers = followers_](const RegionEvent& event) {
      followers->tell(event);
    };
    auto core = RegionCore::create(
        std::make_unique<FakeRegistrar>(device_, verbs::ImporterClass::kRevocable), events_,
        config);
    region_ = new peermr_region{
        .region = std::make_shared<Region>(core.value()), .cached = false, .followers = followers_};
    EXPECT_EQ(peermr_publication_create(7, region_, &publication_), 0);
  }
  ~CapiPublication() override {
    EXPECT_EQ(peermr_region_close(region_), 0);
    peermr_publication_close(publication_);
  }
  peermr_descriptor descriptor() {
    peermr_descriptor descriptor{};
    EXPECT_EQ(peermr_publication_descriptor(publication_, &descriptor), 0);
    return descriptor;
  }
  void revoke_and_restore() {
    ASSERT_TRUE(events_->quiesce_all());
    events_->restore_all();
  }

  FakeDevice device_;
  std::shared_ptr<MemoryEvents> events_ = std::make_shared<MemoryEvents>();
  std::shared_ptr<Followers> followers_ = std::make_shared<Followers>();
  peermr_region* region_ = nullptr;
  peermr_publication* publication_ = nullptr;
};

TEST_F(CapiPublication, TellsWhatTheRegionIsNow) {
  EXPECT_EQ(descriptor().id, 7u);
  EXPECT_EQ(descriptor().state, PEERMR_DESCRIPTOR_LIVE);
  EXPECT_EQ(descriptor().flags, PEERMR_DESCRIPTOR_KEY_DIES);
  EXPECT_EQ(descriptor().rkey, 1u);
  ASSERT_TRUE(events_->quiesce_all());
  EXPECT_EQ(descriptor().state, PEERMR_DESCRIPTOR_PAUSED);
  EXPECT_EQ(descriptor().rkey, 0u);
  events_->restore_all();
  EXPECT_EQ(descriptor().generation, 1u);
  EXPECT_EQ(descriptor().rkey, 2u);
}

TEST_F(CapiPublication, RegionThatIsClosedFirstIsDead) {
  ASSERT_EQ(peermr_region_close(region_), 0);
  region_ = nullptr;
  EXPECT_EQ(descriptor().state, PEERMR_DESCRIPTOR_DEAD);
  EXPECT_TRUE(device_.registered.empty());
}

TEST_F(CapiPublication, KeysAreGivenBackWhenAllPeersHaveTheNewOne) {
  std::uint64_t one = 0;
  std::uint64_t two = 0;
  ASSERT_EQ(peermr_publication_add_peer(publication_, &one), 0);
  ASSERT_EQ(peermr_publication_add_peer(publication_, &two), 0);
  revoke_and_restore();
  EXPECT_THAT(device_.registered, ElementsAre(1, 2));
  ASSERT_EQ(peermr_publication_acknowledge(publication_, one, 1), 0);
  EXPECT_THAT(device_.registered, ElementsAre(1, 2)) << "the other one may use it";
  ASSERT_EQ(peermr_publication_acknowledge(publication_, two, 1), 0);
  EXPECT_THAT(device_.registered, ElementsAre(2));
  revoke_and_restore();
  ASSERT_EQ(peermr_publication_acknowledge(publication_, one, 2), 0);
  ASSERT_EQ(peermr_publication_remove_peer(publication_, two), 0);
  EXPECT_THAT(device_.registered, ElementsAre(2, 3)) << "removing gives nothing back";
  ASSERT_EQ(peermr_publication_release(publication_), 0);
  EXPECT_THAT(device_.registered, ElementsAre(3));
}

TEST_F(CapiPublication, AcknowledgementsThatCannotBeAreRefused) {
  std::uint64_t peer = 0;
  ASSERT_EQ(peermr_publication_add_peer(publication_, &peer), 0);
  EXPECT_EQ(peermr_publication_acknowledge(publication_, peer, 1), -EINVAL);
  EXPECT_EQ(peermr_publication_acknowledge(publication_, peer + 1, 0), -EINVAL);
}

TEST_F(CapiPublication, NullIsRefused) {
  peermr_descriptor descriptor{};
  std::uint64_t peer = 0;
  peermr_publication* publication = nullptr;
  EXPECT_EQ(peermr_publication_create(1, nullptr, &publication), -EINVAL);
  EXPECT_EQ(peermr_publication_create(1, region_, nullptr), -EINVAL);
  EXPECT_EQ(peermr_publication_descriptor(nullptr, &descriptor), -EINVAL);
  EXPECT_EQ(peermr_publication_descriptor(publication_, nullptr), -EINVAL);
  EXPECT_EQ(peermr_publication_add_peer(nullptr, &peer), -EINVAL);
  EXPECT_EQ(peermr_publication_add_peer(publication_, nullptr), -EINVAL);
  EXPECT_EQ(peermr_publication_acknowledge(nullptr, 1, 0), -EINVAL);
  EXPECT_EQ(peermr_publication_remove_peer(nullptr, 1), -EINVAL);
  EXPECT_EQ(peermr_publication_release(nullptr), -EINVAL);
  peermr_publication_close(nullptr);
}

TEST_F(CapiPublication, FollowersAreWokenOnceEachUntilTheyAreGone) {
  std::vector<RegionState> seen;
  auto wake = std::make_shared<const Followers::Wake>(
      [&](const RegionEvent& event) { seen.push_back(event.state); });
  followers_->add(wake);
  followers_->add(wake);
  ASSERT_TRUE(events_->quiesce_all());
  EXPECT_THAT(seen, ElementsAre(RegionState::kRevoked));
  wake.reset();
  events_->restore_all();
  EXPECT_EQ(seen.size(), 1u);
}

// What peermr_region_register() and the cache give to the library.
TEST_F(CapiPublication, RegionOptionsTellTheFollowers) {
  int woken = 0;
  const auto wake = std::make_shared<const Followers::Wake>([&](const RegionEvent&) { ++woken; });
  followers_->add(wake);
  const RegionOptions options = capi::with_followers({.cookie = 3}, followers_);
  EXPECT_EQ(options.cookie, 3u);
  options.on_event({});
  EXPECT_EQ(woken, 1);
}

}  // namespace
}  // namespace peermr
