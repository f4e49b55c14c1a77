// SPDX-License-Identifier: BSD-2-Clause
//
// What a watch counts, and how it says so. The exporter is mainline's vfio-pci: its callbacks for
// each event are facts of Linux that docs/kernel-uapi.md relies on.

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "watch/support.hpp"

namespace {

using namespace watch_test;
using std::chrono::milliseconds;

class WatchEvents : public testing::Test {
 protected:
  Owner owner_;
  peermr::DmaBuf buffer_ = owner_.export_memory();
  Watch watch_{buffer_.fd()};
};

TEST_F(WatchEvents, NothingHappenedIsNothingToRead) {
  EXPECT_FALSE(watch_.wait(milliseconds(0)));
  EXPECT_FALSE(watch_.read());
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(WatchEvents, ResetIsARevokeAndARestore) {
  ASSERT_TRUE(owner_.reset());
  EXPECT_EQ(watch_.take(), 2U);
  EXPECT_EQ(watch_.take(), 0U);
}

TEST_F(WatchEvents, MemoryDecodeOffAndOnAreOneEach) {
  owner_.decode(false);
  EXPECT_EQ(watch_.take(), 1U);
  owner_.decode(true);
  EXPECT_EQ(watch_.take(), 1U);
}

TEST_F(WatchEvents, MainlineSaysNothingOfAResetThroughSysfs) {
  owner_.sysfs_reset();
  EXPECT_EQ(watch_.take(), 0U);
}

TEST_F(WatchEvents, ClosingTheDeviceIsTheLastOne) {
  must(owner_.device().close());
  EXPECT_EQ(watch_.take(), 1U);
  EXPECT_EQ(watch_.take(), 0U);
  EXPECT_EQ(watch_.status().total, 1U);
}

TEST_F(WatchEvents, EventsAddUpUntilTheyAreRead) {
  for (int i = 0; i < 3; ++i) {
    owner_.decode(false);
    owner_.decode(true);
  }
  EXPECT_EQ(watch_.status().total, 6U) << "asking consumes nothing";
  const auto event = watch_.read();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->invalidates, 6U);
  owner_.decode(false);
  owner_.decode(true);
  const auto next = watch_.read();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->invalidates, 2U);
  EXPECT_EQ(next->total, 8U);
}

TEST_F(WatchEvents, TimesAreThoseOfTheFirstAndTheLast) {
  const std::uint64_t begin = now_ns();
  owner_.decode(false);
  const std::uint64_t between = now_ns();
  owner_.decode(true);
  const std::uint64_t end = now_ns();
  const auto event = watch_.read();
  ASSERT_TRUE(event);
  EXPECT_GE(event->first_ns, begin);
  EXPECT_LE(event->first_ns, between);
  EXPECT_GE(event->last_ns, between);
  EXPECT_LE(event->last_ns, end);
}

TEST_F(WatchEvents, ShortReadIsRefusedAndLosesNothing) {
  owner_.decode(false);
  dmabuf_watch_event event{};
  EXPECT_EQ(::read(watch_.fd(), &event, sizeof(event) - 1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::read(watch_.fd(), &event, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(watch_.take(), 1U);
}

TEST_F(WatchEvents, ReadToABadAddressLosesNothing) {
  owner_.decode(false);
  EXPECT_EQ(::read(watch_.fd(), reinterpret_cast<void*>(8), sizeof(dmabuf_watch_event)), -1);
  EXPECT_EQ(errno, EFAULT);
  owner_.decode(true);
  const auto event = watch_.read();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->invalidates, 2U);
  EXPECT_LT(event->first_ns, event->last_ns);
}

TEST_F(WatchEvents, LongerReadIsOneEvent) {
  owner_.decode(false);
  dmabuf_watch_event events[3] = {};
  EXPECT_EQ(::read(watch_.fd(), events, sizeof(events)),
            static_cast<ssize_t>(sizeof(dmabuf_watch_event)));
  EXPECT_EQ(events[0].invalidates, 1U);
}

TEST_F(WatchEvents, PollWakesUp) {
  std::thread thread([&] {
    std::this_thread::sleep_for(milliseconds(100));
    owner_.decode(false);
  });
  EXPECT_TRUE(watch_.wait(milliseconds(10'000)));
  thread.join();
  EXPECT_EQ(watch_.take(), 1U);
  EXPECT_FALSE(watch_.wait(milliseconds(0)));
}

TEST_F(WatchEvents, EdgeTriggeredEpollSeesEachEvent) {
  const peermr::UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  ASSERT_EQ(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, watch_.fd(), &event), 0);
  EXPECT_EQ(::epoll_wait(epoll.get(), &event, 1, 0), 0);
  for (const bool enabled : {false, true}) {
    owner_.decode(enabled);
    ASSERT_EQ(::epoll_wait(epoll.get(), &event, 1, 10'000), 1);
    EXPECT_EQ(event.events, static_cast<std::uint32_t>(EPOLLIN));
    EXPECT_EQ(::epoll_wait(epoll.get(), &event, 1, 0), 0) << "only once for an event";
  }
  EXPECT_EQ(watch_.take(), 2U);
}

TEST_F(WatchEvents, BlockingReadWaits) {
  const Watch blocking(buffer_.fd(), DMABUF_WATCH_CLOEXEC);
  std::thread thread([&] {
    std::this_thread::sleep_for(milliseconds(100));
    owner_.decode(false);
  });
  EXPECT_EQ(blocking.take(), 1U);
  thread.join();
}

TEST_F(WatchEvents, SignalEndsABlockingRead) {
  const Watch blocking(buffer_.fd(), 0);
  const Interrupts interrupts;
  EXPECT_FALSE(blocking.read());
  EXPECT_EQ(errno, EINTR);
}

TEST_F(WatchEvents, TwoWatchesOfABufferCountAlike) {
  const Watch second(buffer_.fd());
  owner_.decode(false);
  owner_.decode(true);
  EXPECT_EQ(watch_.take(), 2U);
  EXPECT_EQ(second.take(), 2U);
}

TEST_F(WatchEvents, WatchCountsFromItsBeginning) {
  ASSERT_TRUE(owner_.reset());
  const Watch second(buffer_.fd());
  EXPECT_EQ(second.status().total, 0U);
  EXPECT_EQ(second.take(), 0U);
}

TEST_F(WatchEvents, WatchOutlivesTheBuffersDescriptor) {
  std::optional<peermr::DmaBuf> other = owner_.export_memory();
  const Watch watch(other->fd());
  other.reset();
  owner_.decode(false);
  owner_.decode(true);
  EXPECT_EQ(watch.take(), 2U);
  must(owner_.device().close());
  EXPECT_EQ(watch.take(), 1U);
}

TEST_F(WatchEvents, ManyReadersShareWhatThereIs) {
  constexpr int kToggles = 40;
  std::atomic<std::uint64_t> sum = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        watch_.wait(milliseconds(50));
        sum += watch_.take();
      }
    });
  }
  for (int i = 0; i < kToggles; ++i) owner_.decode(i % 2 != 0);
  done = true;
  for (auto& reader : readers) reader.join();
  sum += watch_.take();
  EXPECT_EQ(sum, static_cast<std::uint64_t>(kToggles));
}

TEST_F(WatchEvents, AThousandWatchesCountAlike) {
  rlimit files{4096, 4096};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  std::vector<Watch> watches;
  for (int i = 0; i < 1000; ++i) watches.emplace_back(buffer_.fd());
  ASSERT_TRUE(owner_.reset());
  for (const auto& watch : watches) ASSERT_EQ(watch.take(), 2U);
}

TEST_F(WatchEvents, KilledWatcherLeavesNothingBehind) {
  const PerUser limit(8);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(in_child([&] {
                for (int n = 0; n < 7; ++n) {
                  if (create_watch(create_args(buffer_.fd())) < 0) return 1;
                }
                ::raise(SIGKILL);
                return 2;
              }),
              -1);
  }
  owner_.decode(false);
  EXPECT_EQ(watch_.take(), 1U);
}

TEST_F(WatchEvents, FdinfoSaysWhatIsWatched) {
  owner_.decode(false);
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(watch_.fd()));
  std::stringstream text;
  text << file.rdbuf();
  for (const std::string& line :
       {"dmabuf-size:\t" + std::to_string(Owner::kBytes), std::string("exporter:\tvfio_pci"),
        "pci:\t" + lab("LAB_NIC0"), std::string("invalidates:\t1\n"), std::string("pending:\t1\n"),
        std::string("state:\tunknown\n")})
    EXPECT_NE(text.str().find(line), std::string::npos) << line << " is not in:\n" << text.str();
}

TEST_F(WatchEvents, WatchIsReadOnlyAndHasNoPosition) {
  EXPECT_EQ(::write(watch_.fd(), "x", 1), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(::lseek(watch_.fd(), 0, SEEK_SET), -1);
  EXPECT_EQ(errno, ESPIPE);
}

TEST(OtherExporters, UdmabufCanBeWatched) {
  const peermr::UniqueFd buffer = make_udmabuf();
  const Watch watch(buffer.get());
  EXPECT_EQ(watch.take(), 0U);
  EXPECT_EQ(watch.status().state, static_cast<std::uint32_t>(DMABUF_WATCH_UNKNOWN));
  EXPECT_EQ(watch.status().revokes, 0U);
  EXPECT_EQ(watch.probe(0), 0);
}

}  // namespace
