// SPDX-License-Identifier: BSD-2-Clause
//
// The PCI device in whose name a watch attaches may lose its driver, or be gone, at any time. The
// script that runs this brings LAB_IVSHMEM back.

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <fstream>
#include <thread>

#include "watch/support.hpp"

namespace {

using namespace watch_test;

void write_sysfs(const std::string& path, const std::string& text) {
  std::ofstream file("/sys/bus/pci/" + path);
  if (!(file << text << std::flush)) give_up("cannot write to /sys/bus/pci/" + path);
}

class WatchDevice : public testing::Test {
 protected:
  Watch watch_as(const peermr::Bdf& device) {
    dmabuf_watch_create args = create_args(buffer_.fd());
    args.pci_domain = device.domain();
    args.pci_bus = device.bus();
    args.pci_devfn = static_cast<std::uint8_t>(device.device() << 3 | device.function());
    return Watch{peermr::UniqueFd(create_watch(args))};
  }

  void expect_it_counts(const Watch& watch) {
    owner_.decode(false);
    owner_.decode(true);
    EXPECT_EQ(watch.take(), 2U);
  }

  static void unbind() {
    write_sysfs("devices/" + lab("LAB_NIC1") + "/driver/unbind", lab("LAB_NIC1"));
  }
  static void bind() { write_sysfs("drivers_probe", lab("LAB_NIC1")); }

  Owner owner_;
  peermr::DmaBuf buffer_ = owner_.export_memory();
};

TEST_F(WatchDevice, MayLoseItsDriverAndGetItBack) {
  const Watch watch = watch_as(lab_bdf("LAB_NIC1"));
  EXPECT_EQ(watch.probe(0), 0);
  unbind();
  EXPECT_EQ(watch.probe(0), ENXIO);
  expect_it_counts(watch);
  EXPECT_GE(watch_as(lab_bdf("LAB_NIC1")).fd(), 0) << "a watch needs no driver";
  bind();
  EXPECT_EQ(watch.probe(10'000), 0);
  expect_it_counts(watch);
}

TEST_F(WatchDevice, MayLoseItsDriverInTheMiddleOfAProbe) {
  const Watch watch = watch_as(lab_bdf("LAB_NIC1"));
  std::atomic<bool> done = false;
  std::atomic<int> mapped = 0;
  std::thread prober([&] {
    while (!done) {
      const int error = watch.probe(0);
      EXPECT_TRUE(error == 0 || error == ENXIO || error == EBUSY) << error;
      if (error == 0) ++mapped;
    }
  });
  for (int i = 0; i < 5; ++i) {
    unbind();
    bind();
    // It is locked nearly all the time that this takes: let it be mapped before the next round.
    const auto limit = Clock::now() + std::chrono::seconds(10);
    for (const int before = mapped; mapped == before && Clock::now() < limit;)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  done = true;
  prober.join();
  EXPECT_GE(mapped, 5);
}

TEST_F(WatchDevice, MayBeUnplugged) {
  const peermr::Bdf device = lab_bdf("LAB_IVSHMEM");
  const Watch watch = watch_as(device);
  ASSERT_GE(watch.fd(), 0);
  write_sysfs("devices/" + lab("LAB_IVSHMEM") + "/remove", "1");
  EXPECT_EQ(watch.probe(100), ENXIO);
  expect_it_counts(watch);
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(watch.fd()));
  const std::string text((std::istreambuf_iterator<char>(info)), {});
  EXPECT_NE(text.find("pci:\t" + lab("LAB_IVSHMEM")), std::string::npos) << text;
  EXPECT_LT(watch_as(device).fd(), 0);
  EXPECT_EQ(errno, ENODEV);
}

}  // namespace
