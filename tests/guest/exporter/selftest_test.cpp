// SPDX-License-Identifier: BSD-2-Clause
//
// The cases that the selftest proposed for mainline walks through, on two BARs of a device.
#include <sys/mman.h>

#include "exporter/child.hpp"
#include "exporter/fixture.hpp"

namespace exporter_test {
namespace {

constexpr std::uint32_t kLive = PEERMR_EXPORT_LIVE, kDead = PEERMR_EXPORT_DEAD;

class MmapAndRevoke : public testing::TestWithParam<const char*> {
 protected:
  static constexpr std::uint64_t kBytes = 16 * kPage;

  MmapAndRevoke() {
    for (std::uint32_t page = 0; page < 32; ++page) *bar_memory_.word(page * kPage) = mark(page);
  }

  std::uint32_t mark(std::uint32_t page) const { return bar_ << 16 | page; }
  Fd make(const std::vector<Range>& ranges = {{0, kBytes}}) const {
    Fd buffer = device_.export_buffer(bar_, ranges);
    EXPECT_TRUE(buffer.ok()) << buffer.error();
    return buffer;
  }
  std::uint32_t state(const Fd& buffer) const { return device_.query(buffer.get()).state; }
  std::uint64_t faults(const Fd& buffer) const { return device_.query(buffer.get()).faults; }

  const std::string bdf_ = lab("LAB_MEM0");
  const std::uint32_t bar_ = static_cast<std::uint32_t>(lab_number(GetParam()));
  Device device_{bdf_};
  // The BAR through the VFIO descriptor.
  Mapping bar_memory_ = device_.map_bar(bar_, 32 * kPage);
};

TEST_P(MmapAndRevoke, TheVfioDescriptorsMappingIsTheSameMemoryAndStays) {
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kBytes);
  for (std::uint32_t page = 0; page < 16; ++page)
    EXPECT_EQ(try_read(mapping.word(page * kPage)), mark(page));
  ASSERT_TRUE(try_write(mapping.word(8), 0x5eed));
  EXPECT_EQ(*bar_memory_.word(8), 0x5eedu);
  *bar_memory_.word(12) = 0xfeed;
  EXPECT_EQ(try_read(mapping.word(12)), 0xfeedu);

  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_EQ(try_read(bar_memory_.word()), mark(0)) << "its owner's own mapping";
  EXPECT_TRUE(try_write(bar_memory_.word(), mark(0)));
}

TEST_P(MmapAndRevoke, ARevokedBufferIsReachedByNoPageOfIt) {
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_TRUE(try_read(mapping.word())) << "one page is there, the others never were";
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  for (std::uint64_t page = 0; page < 16; ++page) {
    EXPECT_FALSE(try_read(mapping.word(page * kPage)));
    EXPECT_FALSE(try_write(mapping.word(page * kPage), 1));
  }
  for (std::uint32_t page = 0; page < 16; ++page)
    EXPECT_EQ(*bar_memory_.word(page * kPage), mark(page)) << "nothing was written";
}

TEST_P(MmapAndRevoke, ASecondRevokeSaysThatItWasDead) {
  const Fd buffer = make();
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_EQ(device_.revoke(buffer.get()), -EBADFD);
  EXPECT_EQ(device_.revoke(buffer.get()), -EBADFD);
  EXPECT_EQ(device_.query(buffer.get()).revokes, 1u);
}

TEST_P(MmapAndRevoke, ARevokedBufferIsNotMapped) {
  const Fd buffer = make();
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_EQ(Mapping(buffer.get(), kBytes).error(), ENODEV);
  EXPECT_EQ(Mapping(buffer.get(), kPage, 0, PROT_READ).error(), ENODEV);
}

TEST_P(MmapAndRevoke, ARevokedRangeIsExportedAgainAndTheOldBufferStaysDead) {
  const Fd old = make();
  const Mapping old_mapping(old.get(), kBytes);
  ASSERT_TRUE(try_read(old_mapping.word()));
  ASSERT_EQ(device_.revoke(old.get()), 0);
  const Fd fresh = make();
  const Mapping mapping(fresh.get(), kBytes);
  EXPECT_EQ(try_read(mapping.word(kPage)), mark(1));
  EXPECT_FALSE(try_read(old_mapping.word(kPage)));
  EXPECT_EQ(state(old), kDead);
  EXPECT_EQ(state(fresh), kLive);
}

TEST_P(MmapAndRevoke, BuffersOfTheSameRangeAreTheSameMemoryAndRevokedEachForItself) {
  const Fd first = make(), second = make();
  const Mapping one(first.get(), kBytes), two(second.get(), kBytes);
  ASSERT_TRUE(try_write(one.word(), 77));
  EXPECT_EQ(try_read(two.word()), 77u);
  const std::uint64_t before = faults(second);
  ASSERT_EQ(device_.revoke(first.get()), 0);
  EXPECT_FALSE(try_read(one.word()));
  EXPECT_EQ(try_read(two.word()), 77u);
  EXPECT_EQ(faults(second), before) << "its pages stayed";
}

TEST_P(MmapAndRevoke, BuffersThatOverlapShareWhatTheyShare) {
  const Fd low = make({{0, 8 * kPage}}), high = make({{4 * kPage, 8 * kPage}});
  const Mapping lower(low.get(), 8 * kPage), higher(high.get(), 8 * kPage);
  ASSERT_TRUE(try_write(lower.word(5 * kPage), 55));
  EXPECT_EQ(try_read(higher.word(kPage)), 55u);
  ASSERT_EQ(device_.revoke(low.get()), 0);
  EXPECT_FALSE(try_read(lower.word(5 * kPage)));
  EXPECT_EQ(try_read(higher.word(kPage)), 55u);
  ASSERT_EQ(device_.revoke(high.get()), 0);
  EXPECT_FALSE(try_read(higher.word(kPage)));
}

TEST_P(MmapAndRevoke, ABufferMayHoldTheSameRangeTwice) {
  const Fd buffer = make({{2 * kPage, kPage}, {2 * kPage, kPage}});
  const Mapping mapping(buffer.get(), 2 * kPage);
  ASSERT_TRUE(try_write(mapping.word(4), 99));
  EXPECT_EQ(try_read(mapping.word(kPage + 4)), 99u);
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_FALSE(try_read(mapping.word(4)));
  EXPECT_FALSE(try_read(mapping.word(kPage + 4)));
}

TEST_P(MmapAndRevoke, ACopyOfTheDescriptorIsAsGood) {
  Fd buffer = make();
  const Fd copy(::dup(buffer.get()));
  const Mapping mapping(buffer.get(), kPage), through_copy(copy.get(), kPage);
  ASSERT_TRUE(try_read(mapping.word()));
  ASSERT_TRUE(try_read(through_copy.word()));
  buffer.reset();
  ASSERT_EQ(device_.revoke(copy.get()), 0);
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_FALSE(try_read(through_copy.word()));
  EXPECT_EQ(state(copy), kDead);
}

TEST_P(MmapAndRevoke, AnotherProcessRevokesThroughDescriptorsThatItWasSent) {
  const Child child;
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kPage);
  const auto [theirs, error] = child.map(buffer.get(), kPage);
  ASSERT_EQ(error, 0);
  ASSERT_TRUE(try_write(mapping.word(), 4711));
  EXPECT_EQ(child.read(theirs), 4711u);
  ASSERT_EQ(child.revoke(device_.fd(), buffer.get()), 0);
  EXPECT_EQ(state(buffer), kDead);
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_FALSE(child.read(theirs));
  EXPECT_EQ(child.revoke(device_.fd(), buffer.get()), -EBADFD);
  EXPECT_EQ(child.map(buffer.get(), kPage).second, ENODEV);
}

TEST_P(MmapAndRevoke, ADescriptorAloneRevokesNothing) {
  const Fd buffer = make();
  Device other(lab("LAB_IVSHMEM"));
  EXPECT_EQ(other.revoke(buffer.get()), -EINVAL);
  EXPECT_EQ(state(buffer), kLive);
}

TEST_P(MmapAndRevoke, TwoRangesWithAGapAreOneMapping) {
  const Fd buffer = make({{kPage, 2 * kPage}, {8 * kPage, 3 * kPage}});
  const Mapping mapping(buffer.get(), 5 * kPage);
  const std::uint32_t pages[] = {1, 2, 8, 9, 10};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(try_read(mapping.word(i * kPage)), mark(pages[i]));
  ASSERT_TRUE(try_write(mapping.word(2 * kPage - 4), 1));
  ASSERT_TRUE(try_write(mapping.word(3 * kPage - 4), 2));
  EXPECT_EQ(*bar_memory_.word(3 * kPage - 4), 1u);
  EXPECT_EQ(*bar_memory_.word(9 * kPage - 4), 2u);
  for (std::uint32_t page = 3; page < 8; ++page)
    EXPECT_EQ(*bar_memory_.word(page * kPage), mark(page)) << "the gap";
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_FALSE(try_read(mapping.word(i * kPage)));
}

TEST_P(MmapAndRevoke, AnOffsetCountsFromTheBuffersBeginning) {
  const Fd buffer = make({{4 * kPage, 8 * kPage}});
  const Mapping mapping(buffer.get(), 2 * kPage, 3 * kPage);
  EXPECT_EQ(try_read(mapping.word()), mark(7));
  EXPECT_EQ(try_read(mapping.word(kPage)), mark(8));
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_FALSE(try_read(mapping.word()));
}

TEST_P(MmapAndRevoke, AMappingOutlivesTheDescriptorAndIsRevokedWithTheDevice) {
  Fd buffer = make();
  const Mapping mapping(buffer.get(), kPage), untouched(buffer.get(), kPage);
  buffer.reset();
  EXPECT_EQ(try_read(mapping.word()), mark(0));
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_FALSE(try_read(mapping.word()));
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(try_read(mapping.word()), mark(0));
  EXPECT_EQ(try_read(untouched.word()), mark(0));
}

TEST_P(MmapAndRevoke, NothingIsReachedAfterTheDeviceIsClosed) {
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kPage), untouched(buffer.get(), kPage);
  ASSERT_TRUE(try_read(mapping.word()));
  bar_memory_.reset();  // it would keep the device open
  device_.close();
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_FALSE(try_read(untouched.word()));
  EXPECT_EQ(Mapping(buffer.get(), kPage).error(), ENODEV);
}

TEST_P(MmapAndRevoke, RevokesAfterAClose) {
  Fd buffer = make();
  const int number = buffer.get();
  buffer.reset();
  EXPECT_EQ(device_.revoke(number), -EBADF) << "no descriptor";

  const Fd outlives = make();
  bar_memory_.reset();
  device_.close();
  EXPECT_EQ(device_.revoke(outlives.get()), -EBADF) << "no device";
  const Device again(bdf_);
  EXPECT_EQ(again.revoke(outlives.get()), -EBADFD) << "the close did it";
  EXPECT_EQ(again.query(outlives.get()).state, kDead);
  EXPECT_EQ(again.rearm(outlives.get(), again.query(outlives.get()).revokes), -EBADFD);
}

INSTANTIATE_TEST_SUITE_P(EachBar, MmapAndRevoke,
                         testing::Values("LAB_MEM_BAR", "LAB_MEM_BAR2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace exporter_test
