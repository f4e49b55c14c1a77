// SPDX-License-Identifier: BSD-2-Clause
//
// DMABUF_WATCH_PROBE: can the buffer be mapped, now or soon?

#include <gtest/gtest.h>

#include <cerrno>
#include <future>
#include <thread>

#include "watch/support.hpp"

namespace {

using namespace watch_test;
using std::chrono::milliseconds;

class WatchProbe : public testing::Test {
 protected:
  Owner owner_;
  peermr::DmaBuf buffer_ = owner_.export_memory();
  Watch watch_{buffer_.fd()};
};

TEST_F(WatchProbe, LiveBufferCanBeMapped) {
  EXPECT_EQ(watch_.probe(0), 0);
  EXPECT_EQ(watch_.take(), 0U) << "asking is no event";
}

TEST_F(WatchProbe, LeavesNoMappingForARevokeToWaitFor) {
  EXPECT_EQ(watch_.probe(0), 0);
  owner_.decode(false);
  EXPECT_EQ(watch_.take(), 1U);
}

TEST_F(WatchProbe, RevokedBufferIsEnodev) {
  owner_.decode(false);
  dmabuf_watch_probe answer{};
  ASSERT_EQ(watch_.probe(0, answer), 0);
  EXPECT_EQ(answer.error, ENODEV);
  EXPECT_EQ(answer.total, 1U);
}

TEST_F(WatchProbe, ClosedDeviceIsEnodev) {
  must(owner_.device().close());
  EXPECT_EQ(watch_.probe(100), ENODEV);
}

TEST_F(WatchProbe, TriesForAsLongAsItIsTold) {
  owner_.decode(false);
  const auto begin = Clock::now();
  EXPECT_EQ(watch_.probe(300), ENODEV);
  const auto took = Clock::now() - begin;
  EXPECT_GE(took, milliseconds(300));
  EXPECT_LT(took, milliseconds(3000));
}

TEST_F(WatchProbe, NoticesARestoreLongBeforeItsTimeIsOver) {
  owner_.decode(false);
  std::thread thread([&] {
    std::this_thread::sleep_for(milliseconds(200));
    owner_.decode(true);
  });
  const auto begin = Clock::now();
  EXPECT_EQ(watch_.probe(10'000), 0);
  EXPECT_LT(Clock::now() - begin, milliseconds(5000));
  thread.join();
}

// Mainline calls back before it allows mapping again, so whoever acts on the callback may be too
// early.
TEST_F(WatchProbe, SucceedsAfterEachOfAHundredResets) {
  for (int i = 0; i < 100; ++i) {
    auto reset = std::async(std::launch::async, [this] { return owner_.reset(); });
    ASSERT_TRUE(watch_.wait(milliseconds(10'000)));
    ASSERT_EQ(watch_.probe(10'000), 0) << "in the middle of reset " << i;
    ASSERT_TRUE(reset.get());
    ASSERT_EQ(watch_.probe(0), 0) << "after reset " << i;
    ASSERT_EQ(watch_.take(), 2U);
  }
}

TEST_F(WatchProbe, SignalEndsIt) {
  owner_.decode(false);
  const Interrupts interrupts;
  dmabuf_watch_probe answer{};
  const auto begin = Clock::now();
  EXPECT_EQ(watch_.probe(10'000, answer), EINTR);
  EXPECT_LT(Clock::now() - begin, milliseconds(5000));
}

// Nothing can be mapped for a device whose DMA belongs to a user, or to nobody.
TEST_F(WatchProbe, DeviceWithoutADriverOfTheKernelIsEnxio) {
  const peermr::Bdf nvme = lab_bdf("LAB_NVME");
  dmabuf_watch_create args = create_args(buffer_.fd());
  args.pci_domain = nvme.domain();
  args.pci_bus = nvme.bus();
  args.pci_devfn = static_cast<std::uint8_t>(nvme.device() << 3 | nvme.function());
  const Watch watch{peermr::UniqueFd(create_watch(args))};
  ASSERT_GE(watch.fd(), 0);
  EXPECT_EQ(watch.probe(0), ENXIO);
  owner_.decode(false);
  EXPECT_EQ(watch.take(), 1U) << "it counts all the same";
}

}  // namespace
