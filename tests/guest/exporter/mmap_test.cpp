// SPDX-License-Identifier: BSD-2-Clause
//
// mmap of a buffer.
#include <sys/mman.h>

#include <cstdlib>

#include "exporter/fixture.hpp"

namespace exporter_test {
namespace {

class Mmap : public ExporterTest {
 protected:
  std::uint64_t faults(const Fd& buffer) const { return device_.query(buffer.get()).faults; }
};

TEST_F(Mmap, ShowsTheRangesOneAfterTheOther) {
  Mapping bar = device_.map_bar(bar_, 8 * kPage);
  for (std::uint32_t page = 0; page < 8; ++page) *bar.word(page * kPage) = 1000 + page;
  const Fd buffer = make({{5 * kPage, kPage}, {0, 2 * kPage}, {7 * kPage, kPage}});
  const Mapping mapping(buffer.get(), 4 * kPage);
  ASSERT_TRUE(mapping.ok()) << mapping.error();
  const std::uint32_t pages[] = {5, 0, 1, 7};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(*mapping.word(i * kPage), 1000 + pages[i]);
  const Mapping tail(buffer.get(), kPage, 3 * kPage);
  EXPECT_EQ(*tail.word(), 1007u);
  *tail.word() = 5;
  EXPECT_EQ(*bar.word(7 * kPage), 5u);
}

TEST_F(Mmap, RefusesWhatIsPrivateOrPastTheBuffer) {
  const Fd buffer = make({{0, 2 * kPage}});
  EXPECT_EQ(Mapping(buffer.get(), kPage, 0, Mapping::kReadWrite, MAP_PRIVATE).error(), EINVAL);
  EXPECT_EQ(Mapping(buffer.get(), kPage, 0, PROT_READ, MAP_PRIVATE).error(), EINVAL);
  EXPECT_EQ(Mapping(buffer.get(), 3 * kPage).error(), EINVAL);
  EXPECT_EQ(Mapping(buffer.get(), kPage, 2 * kPage).error(), EINVAL);
  EXPECT_EQ(Mapping(buffer.get(), 2 * kPage, kPage).error(), EINVAL);
}

TEST_F(Mmap, IsForbiddenByTheFlag) {
  const Fd buffer = make(PEERMR_EXPORT_NO_MMAP);
  EXPECT_EQ(Mapping(buffer.get(), kPage).error(), EPERM);
}

TEST_F(Mmap, AReadOnlyBufferStaysSo) {
  const Fd buffer = make(0, O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Mapping(buffer.get(), kPage).error(), EACCES);
  Mapping mapping(buffer.get(), kPage, 0, PROT_READ);
  ASSERT_TRUE(mapping.ok());
  EXPECT_TRUE(try_read(mapping.word()));
  EXPECT_NE(::mprotect(const_cast<std::uint32_t*>(mapping.word()), kPage, PROT_READ | PROT_WRITE),
            0);
  EXPECT_EQ(errno, EACCES);
}

TEST_F(Mmap, GivesSigbusWhileRevokedAndTheMemoryAfterwards) {
  const Fd buffer = make();
  const Fd held = make(PEERMR_EXPORT_MANUAL_REARM);
  const Mapping mapping(buffer.get(), kPage), held_mapping(held.get(), kPage);
  ASSERT_TRUE(try_write(mapping.word(), 42));
  ASSERT_TRUE(try_read(held_mapping.word()));
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_FALSE(try_read(mapping.word()));
  EXPECT_FALSE(try_write(mapping.word(), 1));
  EXPECT_TRUE(Mapping(buffer.get(), kPage).ok()) << "it may come back";
  ASSERT_EQ(device_.set_decode(true), 0);
  EXPECT_EQ(try_read(mapping.word()), 42u);
  EXPECT_FALSE(try_read(held_mapping.word()));
  ASSERT_EQ(device_.rearm(held.get(), 1), 0);
  EXPECT_EQ(try_read(held_mapping.word()), 42u);
}

TEST_F(Mmap, OneBuffersRevokeLeavesTheOthersPagesInPlace) {
  const Fd buffer = make(), other = make();
  const Mapping mapping(buffer.get(), kPage), other_mapping(other.get(), kPage);
  ASSERT_TRUE(try_read(mapping.word()));
  ASSERT_TRUE(try_read(other_mapping.word()));
  ASSERT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_TRUE(try_read(other_mapping.word()));
  EXPECT_EQ(faults(other), 1u) << "it was not zapped";
}

TEST_F(Mmap, OutlivesTheDescriptor) {
  Fd buffer = make();
  const Mapping mapping(buffer.get(), kPage);
  buffer.reset();
  EXPECT_TRUE(try_read(mapping.word()));
  ASSERT_EQ(device_.set_decode(false), 0);
  EXPECT_FALSE(try_read(mapping.word()));
  device_.close();
  EXPECT_FALSE(try_read(mapping.word()));
}

// A place for a mapping whose virtual address is aligned to a huge page.
class Place {
 public:
  explicit Place(std::size_t bytes) : bytes_(bytes + kHugePage) {
    base_ = ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  ~Place() { ::munmap(base_, bytes_); }
  void* at() const {
    const auto base = reinterpret_cast<std::uintptr_t>(base_);
    return reinterpret_cast<void*>((base + kHugePage - 1) / kHugePage * kHugePage);
  }

 private:
  void* base_;
  std::size_t bytes_;
};

TEST_F(Mmap, TakesHugePagesWhereTheyFit) {
  const Fd buffer = make({{0, 4 * kHugePage}});
  const Place place(4 * kHugePage);
  const Mapping mapping(buffer.get(), 4 * kHugePage, 0, Mapping::kReadWrite, MAP_SHARED,
                        place.at());
  ASSERT_TRUE(mapping.ok());
  for (std::size_t byte = 0; byte < 4 * kHugePage; byte += kPage)
    ASSERT_TRUE(try_read(mapping.word(byte)));
  EXPECT_EQ(faults(buffer), 4u);
}

TEST_F(Mmap, TakesSmallPagesWhereHugeOnesWouldReachTooFar) {
  const Fd buffer = make({{kPage, kHugePage}, {4 * kHugePage, kHugePage}});
  const Place place(2 * kHugePage);
  const Mapping mapping(buffer.get(), 2 * kHugePage, 0, Mapping::kReadWrite, MAP_SHARED,
                        place.at());
  ASSERT_TRUE(mapping.ok());
  ASSERT_TRUE(try_read(mapping.word()));
  ASSERT_TRUE(try_read(mapping.word(kPage)));
  EXPECT_EQ(faults(buffer), 2u) << "physically not aligned";
  for (std::size_t byte = kHugePage; byte < 2 * kHugePage; byte += kPage)
    ASSERT_TRUE(try_read(mapping.word(byte)));
  EXPECT_EQ(faults(buffer), 3u) << "the second range is one huge page";
}

TEST_F(Mmap, IsRefusedWriteCombiningOnABarThatIsNot) {
  EXPECT_EQ(make(PEERMR_EXPORT_WRITE_COMBINE).error(), EOPNOTSUPP);
  EXPECT_EQ(device_.info().combining_bars, 0u);
}

}  // namespace
}  // namespace exporter_test
