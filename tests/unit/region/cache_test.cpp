// SPDX-License-Identifier: BSD-2-Clause
//
// The registration cache, with regions on a FakeDevice.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <thread>
#include <vector>

#include "region/cache_core.hpp"
#include "region/region_fixture.hpp"

namespace peermr {
namespace {

using detail::CacheCore;

DmaBuf fake_buffer() {
  auto state = std::make_shared<detail::DmaBufState>();
  state->fd = UniqueFd(::memfd_create("buffer", MFD_CLOEXEC));
  state->file = detail::file_id(state->fd);
  state->size_bytes = 65536;
  state->name = "buffer";
  return DmaBuf(std::move(state));
}

/// A second descriptor of the same buffer, adopted on its own.
DmaBuf same_buffer(const DmaBuf& buffer) {
  auto state = std::make_shared<detail::DmaBufState>();
  state->fd = UniqueFd(::dup(buffer.fd()));
  state->file = detail::file_id(state->fd);
  state->size_bytes = buffer.size_bytes();
  return DmaBuf(std::move(state));
}

class Cache : public test::RegionTest {
 protected:
  CacheCore cache(std::size_t unused = 256) {
    return CacheCore({.unused = unused},
                     [this](ibv_pd*, const DmaBuf&, const RegionOptions& options) {
                       made_.push_back(options);
                       return try_make(verbs::ImporterClass::kRevocable)
                           .transform([](std::shared_ptr<detail::RegionCore> core) {
                             return Region(std::move(core));
                           });
                     });
  }

  ibv_pd pd_{};
  DmaBuf buffer_ = fake_buffer();
  std::vector<RegionOptions> made_;
};

TEST_F(Cache, SameAgainIsALookup) {
  auto cache = this->cache();
  const auto first = cache.get(&pd_, buffer_, {});
  ASSERT_TRUE(first);
  const auto second = cache.get(&pd_, buffer_, {.length_bytes = 65536});
  ASSERT_TRUE(second);
  EXPECT_EQ(*first, *second) << "all of it, said in two ways";
  EXPECT_EQ(*cache.get(&pd_, same_buffer(buffer_), {}), *first);
  EXPECT_EQ(device_.adds, 1);
  EXPECT_EQ(cache.statistics().hits, 2u);
  EXPECT_EQ(cache.statistics().misses, 1u);
}

TEST_F(Cache, AnythingElseIsAnotherRegion) {
  auto cache = this->cache();
  const auto first = *cache.get(&pd_, buffer_, {});
  ibv_pd other{};
  EXPECT_NE(*cache.get(&other, buffer_, {}), first);
  EXPECT_NE(*cache.get(&pd_, fake_buffer(), {}), first);
  EXPECT_NE(*cache.get(&pd_, buffer_, {.offset_bytes = 4096}), first);
  EXPECT_NE(*cache.get(&pd_, buffer_, {.length_bytes = 4096}), first);
  EXPECT_NE(*cache.get(&pd_, buffer_, {.address = Iova(1 << 20)}), first);
  EXPECT_NE(*cache.get(&pd_, buffer_, {.access = IBV_ACCESS_REMOTE_READ}), first);
  EXPECT_EQ(cache.statistics().misses, 7u);
  EXPECT_EQ(cache.statistics().regions, 7u);
}

TEST_F(Cache, RegionIsMadeAsThePartSays) {
  auto cache = this->cache();
  ASSERT_TRUE(cache.get(&pd_, buffer_,
                        {.offset_bytes = 4096, .length_bytes = 8192, .address = Iova(0x7000),
                         .access = IBV_ACCESS_REMOTE_READ}));
  EXPECT_EQ(made_.at(0).offset_bytes, 4096u);
  EXPECT_EQ(made_.at(0).length_bytes, 8192u);
  EXPECT_EQ(made_.at(0).address, Iova(0x7000));
  EXPECT_EQ(made_.at(0).access, IBV_ACCESS_REMOTE_READ);
}

TEST_F(Cache, RevokedRegionIsBroughtBackBeforeItIsHandedOut) {
  auto cache = this->cache();
  const auto first = *cache.get(&pd_, buffer_, {});
  ASSERT_TRUE(events_->quiesce_all());
  ASSERT_NE(first->state(), RegionState::kLive);
  const auto again = cache.get(&pd_, buffer_, {});
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, first);
  EXPECT_EQ((*again)->state(), RegionState::kLive);
  EXPECT_EQ(cache.statistics().revived, 1u);
}

TEST_F(Cache, RevokedRegionWhoseMemoryStaysAwayIsNotHandedOut) {
  auto cache = this->cache();
  ASSERT_TRUE(cache.get(&pd_, buffer_, {}));
  ASSERT_TRUE(events_->quiesce_all());
  device_.memory_there = false;
  const auto again = cache.get(&pd_, buffer_, {});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Errc::kRevoked);
  EXPECT_EQ(cache.statistics().regions, 0u);
}

TEST_F(Cache, DeadRegionIsReplaced) {
  auto cache = this->cache();
  const auto first = *cache.get(&pd_, buffer_, {});
  ASSERT_TRUE(first->close());
  const auto again = cache.get(&pd_, buffer_, {});
  ASSERT_TRUE(again);
  EXPECT_NE(*again, first);
  EXPECT_EQ((*again)->state(), RegionState::kLive);
  EXPECT_EQ(cache.statistics().replaced, 1u);
}

TEST_F(Cache, FailureIsNotCached) {
  auto cache = this->cache();
  device_.failures = {errno_error(ENOMEM, "register", "fake")};
  EXPECT_FALSE(cache.get(&pd_, buffer_, {}));
  EXPECT_EQ(cache.statistics().regions, 0u);
  EXPECT_TRUE(cache.get(&pd_, buffer_, {}));
}

TEST_F(Cache, UnusedForLongestGoesFirstAndUsedOnesStay) {
  auto cache = this->cache(2);
  const auto part = [](std::uint64_t page) { return CachedPart{.offset_bytes = page * 4096}; };
  const auto used = *cache.get(&pd_, buffer_, part(0));
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(1)));
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(2)));
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(1)));  // now 2 has waited longest
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(3)));
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(4)));
  EXPECT_EQ(cache.statistics().evicted, 1u) << "the one just handed out was in use when it was";
  const int adds = device_.adds;
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(1)));
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(0)));
  EXPECT_EQ(device_.adds, adds) << "1 and 0 are there";
  ASSERT_TRUE(cache.get(&pd_, buffer_, part(2)));
  EXPECT_EQ(device_.adds, adds + 1) << "2 is not";
  EXPECT_EQ(used->state(), RegionState::kLive);
}

TEST_F(Cache, ForgettingClosesWhatNobodyUses) {
  auto cache = this->cache();
  const auto used = *cache.get(&pd_, buffer_, {});
  ASSERT_TRUE(cache.get(&pd_, buffer_, {.offset_bytes = 4096}));
  EXPECT_EQ(cache.forget([](const detail::CacheKey&) { return true; }), 1u);
  EXPECT_EQ(device_.registered.size(), 1u);
  EXPECT_EQ(used->state(), RegionState::kLive);
}

TEST_F(Cache, ThreadWithALeaseGetsLiveRegionsOnly) {
  auto cache = this->cache();
  const auto region = *cache.get(&pd_, buffer_, {});
  const auto lease = region->lease();
  EXPECT_TRUE(cache.get(&pd_, buffer_, {}));
  const auto other = cache.get(&pd_, buffer_, {.offset_bytes = 4096});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Errc::kLeaseHeld);
}

TEST_F(Cache, ManyThreadsRegisterOnce) {
  auto cache = this->cache();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; ++j) {
        const auto got = cache.get(&pd_, buffer_, {});
        ASSERT_TRUE(got);
        ASSERT_EQ((*got)->state(), RegionState::kLive);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(device_.adds, 1);
  EXPECT_EQ(cache.statistics().hits, 799u);
}

}  // namespace
}  // namespace peermr
