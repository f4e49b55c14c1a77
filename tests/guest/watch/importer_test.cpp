// SPDX-License-Identifier: BSD-2-Clause
//
// An exporter waits for importers, whatever their manners. Mainline's vfio-pci here; that the test
// importer does what it says is what other tests build on.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <future>
#include <thread>

#include "watch/importer.hpp"
#include "watch/support.hpp"

namespace {

using namespace watch_test;
using std::chrono::milliseconds;

constexpr auto kLong = std::chrono::seconds(15);

test_importer_attach manners(std::uint32_t unmap, std::uint32_t unmap_ms = 0) {
  test_importer_attach how{};
  how.unmap = unmap;
  how.unmap_ms = unmap_ms;
  return how;
}

test_importer_attach fencing(std::uint32_t fence, std::uint32_t fence_ms = 0) {
  test_importer_attach how{};
  how.fence = fence;
  how.fence_ms = fence_ms;
  return how;
}

class TestImporter : public testing::Test {
 protected:
  std::uint32_t attach(const test_importer_attach& how = {}) {
    const auto id = session_.attach(buffer_.fd(), nic_, how);
    if (!id) give_up("TEST_IMPORTER_ATTACH");
    return *id;
  }

  std::uint32_t mapped(const test_importer_attach& how = {}) {
    const std::uint32_t id = attach(how);
    if (session_.map(id) != 0) give_up("TEST_IMPORTER_MAP");
    return id;
  }

  /// Memory decode off, in another thread: a revoke without a reset's own time.
  std::future<void> revoke() {
    return std::async(std::launch::async, [this] { owner_.decode(false); });
  }

  Clock::duration time_to_revoke() {
    const auto begin = Clock::now();
    owner_.decode(false);
    return Clock::now() - begin;
  }

  const peermr::Bdf nic_ = lab_bdf("LAB_NIC0");
  Owner owner_;
  peermr::DmaBuf buffer_ = owner_.export_memory();
  ImporterSession session_;
};

TEST_F(TestImporter, MapsTheWholeBuffer) {
  const auto id = mapped();
  std::uint64_t bytes = 0;
  const auto segments = session_.segments(id);
  ASSERT_FALSE(segments.empty());
  for (const auto& segment : segments) {
    EXPECT_NE(segment.address, 0U);
    bytes += segment.length;
  }
  EXPECT_EQ(bytes, Owner::kBytes);
  EXPECT_EQ(session_.query(id).segments, segments.size());
  EXPECT_EQ(session_.map(id), EALREADY);
  EXPECT_EQ(session_.unmap(id), 0);
  EXPECT_EQ(session_.unmap(id), 0);
  EXPECT_TRUE(session_.segments(id).empty());
  EXPECT_EQ(errno, ENODATA);
  EXPECT_EQ(session_.query(id).unmapped, 1U);
}

TEST_F(TestImporter, UnmapsAtOnceAndMapsAgainAfterTheRestore) {
  const auto id = mapped();
  ASSERT_TRUE(owner_.reset());
  const auto query = session_.query(id);
  EXPECT_EQ(query.callbacks, 2U);
  EXPECT_EQ(query.invalidated, 1U);
  EXPECT_EQ(query.unmapped, 1U);
  EXPECT_LT(query.first_ns, query.last_ns);
  EXPECT_EQ(session_.map(id), 0);
}

TEST_F(TestImporter, RevokedBufferCannotBeMapped) {
  const auto id = attach();
  owner_.decode(false);
  EXPECT_EQ(session_.map(id), ENODEV);
  EXPECT_EQ(session_.query(id).mapped, 0U);
}

TEST_F(TestImporter, LateUnmapDelaysARevoke) {
  const auto id = mapped(manners(TEST_IMPORTER_UNMAP_LATE, 400));
  EXPECT_GE(time_to_revoke(), milliseconds(400));
  // The unmap lets the revoke go on, and is counted after it.
  const auto end = Clock::now() + kLong;
  while (session_.query(id).unmapped == 0 && Clock::now() < end) std::this_thread::yield();
  EXPECT_EQ(session_.query(id).unmapped, 1U);
}

TEST_F(TestImporter, LateUnmapDelaysAReset) {
  mapped(manners(TEST_IMPORTER_UNMAP_LATE, 400));
  const auto begin = Clock::now();
  ASSERT_TRUE(owner_.reset());
  EXPECT_GE(Clock::now() - begin, milliseconds(400));
}

TEST_F(TestImporter, NeverUnmappingHoldsAResetUntilTheImporterIsGone) {
  const auto id = mapped(manners(TEST_IMPORTER_UNMAP_NEVER));
  auto reset = std::async(std::launch::async, [this] { return owner_.reset(); });
  EXPECT_EQ(reset.wait_for(milliseconds(1500)), std::future_status::timeout);

  // Meanwhile: everything that has nothing to do with that device.
  EXPECT_EQ(session_.query(id).invalidated, 1U);
  const peermr::UniqueFd other = make_udmabuf();
  const Watch watch(other.get());
  EXPECT_EQ(watch.probe(0), 0);
  auto ivshmem = must(peermr::vfio::Device::open(lab_bdf("LAB_IVSHMEM")));
  must(ivshmem.set_memory_enabled(false));
  must(ivshmem.set_memory_enabled(true));

  session_.close();
  ASSERT_EQ(reset.wait_for(kLong), std::future_status::ready);
  EXPECT_TRUE(reset.get());
}

TEST_F(TestImporter, UnmapOnCommandLetsARevokeGoOn) {
  const auto id = mapped(manners(TEST_IMPORTER_UNMAP_NEVER));
  auto revoke_done = revoke();
  EXPECT_EQ(revoke_done.wait_for(milliseconds(300)), std::future_status::timeout);
  EXPECT_EQ(session_.unmap(id), 0);
  EXPECT_EQ(revoke_done.wait_for(kLong), std::future_status::ready);
}

TEST_F(TestImporter, DetachLetsARevokeGoOn) {
  const auto id = mapped(manners(TEST_IMPORTER_UNMAP_NEVER));
  auto revoke_done = revoke();
  EXPECT_EQ(revoke_done.wait_for(milliseconds(300)), std::future_status::timeout);
  EXPECT_EQ(session_.detach(id), 0);
  EXPECT_EQ(revoke_done.wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(session_.detach(id), ENOENT);
}

TEST_F(TestImporter, KilledImporterLetsARevokeGoOn) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ImporterSession session;
    const auto id = session.attach(buffer_.fd(), nic_, manners(TEST_IMPORTER_UNMAP_NEVER));
    const char letter = id && session.map(*id) == 0 ? 'y' : 'n';
    if (::write(ready[1], &letter, 1) == 1) ::pause();
    std::_Exit(1);
  }
  char letter = 0;
  ASSERT_EQ(::read(ready[0], &letter, 1), 1);
  ASSERT_EQ(letter, 'y');
  auto revoke_done = revoke();
  EXPECT_EQ(revoke_done.wait_for(milliseconds(300)), std::future_status::timeout);
  ::kill(pid, SIGKILL);
  EXPECT_EQ(revoke_done.wait_for(kLong), std::future_status::ready);
  ::waitpid(pid, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(TestImporter, LateFenceDelaysARevoke) {
  const auto id = mapped(fencing(TEST_IMPORTER_FENCE_LATE, 400));
  EXPECT_GE(time_to_revoke(), milliseconds(400));
  EXPECT_EQ(session_.query(id).fences, 1U);
  EXPECT_EQ(session_.query(id).fence_pending, 0U);
}

TEST_F(TestImporter, FenceOnCommandHoldsARevoke) {
  const auto id = mapped(fencing(TEST_IMPORTER_FENCE_NEVER));
  auto revoke_done = revoke();
  EXPECT_EQ(revoke_done.wait_for(milliseconds(300)), std::future_status::timeout);
  EXPECT_EQ(session_.query(id).fence_pending, 1U) << "and asking does not wait";
  EXPECT_EQ(session_.signal(id), 0);
  EXPECT_EQ(revoke_done.wait_for(kLong), std::future_status::ready);
}

TEST_F(TestImporter, CloseSignalsFencesAndUnmaps) {
  auto how = fencing(TEST_IMPORTER_FENCE_NEVER);
  how.unmap = TEST_IMPORTER_UNMAP_NEVER;
  mapped(how);
  mapped(how);
  auto revoke_done = revoke();
  EXPECT_EQ(revoke_done.wait_for(milliseconds(300)), std::future_status::timeout);
  session_.close();
  EXPECT_EQ(revoke_done.wait_for(kLong), std::future_status::ready);
}

TEST_F(TestImporter, PinnedOneIsInvalidatedToo) {
  test_importer_attach how{};
  how.flags = TEST_IMPORTER_PINNED;
  const auto id = mapped(how);
  owner_.decode(false);
  EXPECT_EQ(session_.query(id).unmapped, 1U);
}

TEST_F(TestImporter, ExporterRefusesImportersItCannotRevoke) {
  for (const std::uint32_t flags : {TEST_IMPORTER_NO_PEER2PEER, TEST_IMPORTER_NO_CALLBACK,
                                    TEST_IMPORTER_NO_PEER2PEER | TEST_IMPORTER_NO_CALLBACK}) {
    test_importer_attach how{};
    how.flags = flags;
    EXPECT_FALSE(session_.attach(buffer_.fd(), nic_, how));
    EXPECT_EQ(errno, EOPNOTSUPP) << flags;
  }
}

TEST_F(TestImporter, ManyAttachmentsOfManyBuffers) {
  constexpr unsigned kBuffers = 256;
  rlimit files{4096, 4096};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  std::vector<peermr::DmaBuf> buffers;
  std::vector<std::uint32_t> ids;
  for (unsigned i = 0; i < kBuffers; ++i) {
    buffers.push_back(owner_.export_part(i, kBuffers));
    const auto id = session_.attach(buffers.back().fd(), nic_);
    ASSERT_TRUE(id);
    ASSERT_EQ(session_.map(*id), 0);
    ids.push_back(*id);
  }
  owner_.decode(false);
  for (const auto id : ids) ASSERT_EQ(session_.query(id).unmapped, 1U);
}

TEST_F(TestImporter, BadArgumentsAreRefused) {
  const auto errno_of = [&](auto change) {
    test_importer_attach how{};
    change(how);
    return session_.attach(buffer_.fd(), nic_, how) ? 0 : errno;
  };
  EXPECT_EQ(errno_of([](auto& how) { how.flags = 8; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.reserved = 1; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.id = 1; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.unmap = 3; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.unmap_ms = TEST_IMPORTER_MAX_MS + 1; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.fence = 3; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.fence_ms = TEST_IMPORTER_MAX_MS + 1; }), EINVAL);
  EXPECT_EQ(errno_of([](auto& how) { how.direction = 3; }), EINVAL);
  EXPECT_FALSE(session_.attach(-1, nic_));
  EXPECT_EQ(errno, EBADF);
  EXPECT_FALSE(session_.attach(buffer_.fd(), peermr::Bdf(0, 0xfe, 0, 0)));
  EXPECT_EQ(errno, ENODEV);
  EXPECT_EQ(session_.map(12345), ENOENT);
}

}  // namespace
