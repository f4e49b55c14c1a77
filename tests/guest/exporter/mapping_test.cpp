// SPDX-License-Identifier: BSD-2-Clause
//
// Mappings of a buffer through what processes do with mappings, and what nobody may do with them.
#include <sys/mman.h>
#include <sys/uio.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "exporter/child.hpp"
#include "exporter/fixture.hpp"

namespace exporter_test {
namespace {

class MappedBuffer : public ExporterTest {
 protected:
  static constexpr std::size_t kPages = 16, kBytes = kPages * kPage;

  MappedBuffer() {
    for (std::uint32_t page = 0; page < kPages; ++page)
      device_.write(bar_, page * kPage, &(mark_ = page + 1000), 4);
  }
  static void* address(const Mapping& mapping, std::size_t byte = 0) {
    return const_cast<std::uint32_t*>(mapping.word(byte));
  }
  void revoke() const { ASSERT_EQ(device_.set_decode(false), 0); }
  void restore() const { ASSERT_EQ(device_.set_decode(true), 0); }

  std::uint32_t mark_ = 0;
  const Fd buffer_ = make({{0, kBytes}});
  const Mapping mapping_{buffer_.get(), kBytes};
};

TEST_F(MappedBuffer, AnUnmappedPartIsGoneAndTheRestIsRevokedAndRestored) {
  ASSERT_TRUE(mapping_.ok());
  for (std::size_t page = 0; page < kPages; ++page)
    ASSERT_EQ(try_read(mapping_.word(page * kPage)), page + 1000);
  ASSERT_EQ(::munmap(address(mapping_, 4 * kPage), 4 * kPage), 0);
  const std::size_t rest[] = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15};
  for (const std::size_t page : rest)
    EXPECT_EQ(try_read(mapping_.word(page * kPage)), page + 1000);
  revoke();
  for (const std::size_t page : rest)
    EXPECT_FALSE(try_read(mapping_.word(page * kPage))) << page;
  restore();
  for (const std::size_t page : rest)
    EXPECT_EQ(try_read(mapping_.word(page * kPage)), page + 1000);
}

TEST_F(MappedBuffer, AMovedMappingShowsTheSameAndIsRevoked) {
  ASSERT_TRUE(try_read(mapping_.word(2 * kPage)));
  void* place = ::mmap(nullptr, 4 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(place, MAP_FAILED);
  void* moved = ::mremap(address(mapping_, 2 * kPage), 4 * kPage, 4 * kPage,
                         MREMAP_MAYMOVE | MREMAP_FIXED, place);
  ASSERT_EQ(moved, place) << errno;
  const auto* word = static_cast<volatile std::uint32_t*>(moved);
  EXPECT_EQ(try_read(word), 1002u) << "was faulted in before";
  EXPECT_EQ(try_read(word + kPage / 4), 1003u) << "was not";
  revoke();
  EXPECT_FALSE(try_read(word));
  EXPECT_FALSE(try_read(word + kPage / 4));
  restore();
  EXPECT_EQ(try_read(word), 1002u);
  ::munmap(moved, 4 * kPage);
}

TEST_F(MappedBuffer, IsNotMadeLonger) {
  EXPECT_EQ(::mremap(address(mapping_), kBytes, 2 * kBytes, MREMAP_MAYMOVE), MAP_FAILED);
  EXPECT_EQ(errno, EFAULT);
  EXPECT_EQ(try_read(mapping_.word()), 1000u);
}

TEST_F(MappedBuffer, IsNotMappedAtAnOffsetThatWraps) {
  EXPECT_FALSE(Mapping(buffer_.get(), kPage, static_cast<off_t>(~0ull >> 1 & ~(kPage - 1))).ok());
  EXPECT_FALSE(Mapping(buffer_.get(), kBytes, static_cast<off_t>(1ull << 62)).ok());
  EXPECT_EQ(Mapping(buffer_.get(), 1ull << 40).error(), EINVAL);
}

TEST_F(MappedBuffer, AForkSharesItAndIsRevokedToo) {
  ASSERT_EQ(try_read(mapping_.word()), 1000u);
  const Child child;
  EXPECT_EQ(child.read(mapping_.word()), 1000u);
  EXPECT_EQ(child.read(mapping_.word(kPage)), 1001u);
  ASSERT_TRUE(child.write(mapping_.word(8), 31337));
  EXPECT_EQ(try_read(mapping_.word(8)), 31337u) << "shared, never copied";
  revoke();
  EXPECT_FALSE(child.read(mapping_.word()));
  EXPECT_FALSE(child.write(mapping_.word(8), 1));
  EXPECT_FALSE(child.read(mapping_.word(2 * kPage)));
  EXPECT_FALSE(try_read(mapping_.word()));
  restore();
  EXPECT_EQ(child.read(mapping_.word(8)), 31337u);
  EXPECT_EQ(try_read(mapping_.word()), 1000u);
}

TEST_F(MappedBuffer, AnotherProcessThatGotTheDescriptorIsRevokedToo) {
  const Child child;
  const Fd sent = make({{0, kBytes}});
  const auto [theirs, error] = child.map(sent.get(), kBytes);
  ASSERT_EQ(error, 0);
  EXPECT_EQ(child.read(theirs + kPage / 4), 1001u);
  revoke();
  EXPECT_FALSE(child.read(theirs + kPage / 4));
  restore();
  EXPECT_EQ(child.read(theirs + kPage / 4), 1001u);
  ASSERT_EQ(device_.revoke(sent.get()), 0);
  EXPECT_FALSE(child.read(theirs + kPage / 4));
  EXPECT_EQ(try_read(mapping_.word()), 1000u) << "the other buffer's";
}

TEST_F(MappedBuffer, AClosedDeviceReachesOtherProcessesToo) {
  ASSERT_TRUE(try_read(mapping_.word()));
  const Child child;
  child.close(device_.fd());
  EXPECT_EQ(child.read(mapping_.word()), 1000u);
  device_.close();
  EXPECT_FALSE(child.read(mapping_.word()));
  EXPECT_FALSE(try_read(mapping_.word()));
}

TEST_F(MappedBuffer, GivesNoPagesToThoseWhoWouldKeepThem) {
  ASSERT_TRUE(try_read(mapping_.word()));
  const Nic nic;
  EXPECT_FALSE(pnic_test::Mr(ibv_reg_mr(nic.pd(), address(mapping_), kPage, kRemoteAccess)));
  EXPECT_EQ(errno, EFAULT);

  std::uint32_t copy = 0;
  const iovec here{&copy, 4}, there{address(mapping_), 4};
  EXPECT_EQ(::process_vm_readv(::getpid(), &here, 1, &there, 1, 0), -1);
  EXPECT_EQ(errno, EFAULT);
  std::ifstream memory("/proc/self/mem");
  memory.seekg(static_cast<std::streamoff>(reinterpret_cast<std::uintptr_t>(address(mapping_))));
  EXPECT_FALSE(memory.read(reinterpret_cast<char*>(&copy), 4)) << "as a debugger reads";
}

TEST_F(MappedBuffer, IsNotInCoreDumps) {
  std::ifstream maps("/proc/self/smaps");
  char first[32];
  std::snprintf(first, sizeof(first), "%lx-",
                static_cast<unsigned long>(reinterpret_cast<std::uintptr_t>(address(mapping_))));
  bool ours = false, seen = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.rfind(first, 0) == 0) ours = true;
    if (!ours || line.rfind("VmFlags:", 0) != 0) continue;
    for (const char* flag : {" sh", " io", " pf", " de", " dd"})
      EXPECT_NE(line.find(flag), std::string::npos) << line;
    seen = true;
    break;
  }
  EXPECT_TRUE(seen);
}

TEST_F(MappedBuffer, IsReachedByNobodyWhileItIsRevoked) {
  std::atomic<unsigned> revoked{0};  // odd: yes
  std::atomic<bool> stop{false};
  std::atomic<unsigned> violations{0}, accesses{0};
  std::thread reader([&] {
    for (std::size_t page = 0; !stop; page = (page + 1) % kPages) {
      const unsigned before = revoked;
      const bool reached = try_read(mapping_.word(page * kPage)).has_value();
      if (reached && before % 2 == 1 && revoked == before) ++violations;
      ++accesses;
    }
  });
  for (int i = 0; i < 100; ++i) {
    revoke();
    ++revoked;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ++revoked;
    restore();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(violations, 0u);
  EXPECT_GT(accesses, 100u);
}

}  // namespace
}  // namespace exporter_test
