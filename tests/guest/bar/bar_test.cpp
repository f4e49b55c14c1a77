// SPDX-License-Identifier: BSD-2-Clause
//
// The exporter without VFIO: what /dev/peermr_bar does, and does not let anybody do.
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>

#include "bar/bar_device.hpp"
#include "exporter/fixture.hpp"
#include "test_importer.h"

namespace exporter_test {
namespace {

constexpr std::uint32_t kLive = PEERMR_EXPORT_LIVE, kHeld = PEERMR_EXPORT_HELD,
                        kDead = PEERMR_EXPORT_DEAD;
constexpr std::size_t kBytes = 64 << 10;

class Bar : public testing::Test {
 protected:
  const std::string bdf_ = lab("LAB_IVSHMEM");
  const std::uint32_t bar_ = static_cast<std::uint32_t>(lab_number("LAB_IVSHMEM_BAR"));
  BarDevice device_{bdf_};

  Fd make(std::uint32_t flags = 0) const {
    return device_.export_buffer(bar_, {{0, kBytes}}, flags);
  }
  peermr_export_query query(const Fd& buffer) const {
    peermr_export_query answer{};
    EXPECT_EQ(device_.query(buffer.get(), answer), 0);
    return answer;
  }
  std::string sysfs(const std::string& file) const {
    return "/sys/bus/pci/devices/" + bdf_ + "/" + file;
  }
  bool bus_master() const {
    const int fd = ::open(sysfs("config").c_str(), O_RDONLY | O_CLOEXEC);
    std::uint16_t command = 0xffff;
    EXPECT_EQ(::pread(fd, &command, sizeof(command), PCI_COMMAND), 2);
    ::close(fd);
    return (command & PCI_COMMAND_MASTER) != 0;
  }
};

TEST_F(Bar, HasOneUserAtATimeWhoIsRoot) {
  EXPECT_LT(::open(BarDevice::path(bdf_).c_str(), O_RDWR | O_CLOEXEC), 0);
  EXPECT_EQ(errno, EBUSY);
  struct stat status {};
  ASSERT_EQ(::stat(BarDevice::path(bdf_).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
  EXPECT_EQ(status.st_uid, 0u);
  device_.close();
  EXPECT_GE(BarDevice(bdf_).fd(), 0);
}

// The misc core holds a lock of all its devices while one is opened.
TEST_F(Bar, OpeningDoesNotWaitForARevokeThatWaits) {
  const Fd buffer = make();
  Fd importer(::open("/dev/peermr_test_importer", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(importer.ok());
  const std::string nic = lab("LAB_NIC0");
  test_importer_attach attach{};
  attach.size = sizeof(attach);
  attach.dmabuf_fd = buffer.get();
  attach.pci_bus = static_cast<std::uint8_t>(std::stoul(nic.substr(5, 2), nullptr, 16));
  attach.pci_devfn = static_cast<std::uint8_t>(std::stoul(nic.substr(8, 2), nullptr, 16) << 3);
  attach.unmap = TEST_IMPORTER_UNMAP_NEVER;
  ASSERT_EQ(::ioctl(importer.get(), TEST_IMPORTER_ATTACH, &attach), 0) << errno;
  test_importer_id id{.size = sizeof(id), .id = attach.id};
  ASSERT_EQ(::ioctl(importer.get(), TEST_IMPORTER_MAP, &id), 0) << errno;

  auto revoke = std::async(std::launch::async, [&] { return device_.revoke(buffer.get()); });
  ASSERT_EQ(revoke.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  auto open = std::async(std::launch::async, [&] {
    const int fd = ::open(BarDevice::path(bdf_).c_str(), O_RDWR | O_CLOEXEC);
    return fd < 0 ? errno : 0;
  });
  EXPECT_EQ(open.wait_for(std::chrono::seconds(3)), std::future_status::ready);
  importer.reset();
  EXPECT_EQ(open.get(), EBUSY);
  EXPECT_EQ(revoke.get(), 0);
}

TEST_F(Bar, KeepsBusMasteringOffOverResetsToo) {
  EXPECT_FALSE(bus_master());
  const int status = device_.reset();
  EXPECT_TRUE(status == 0 || status == -ENOTTY) << status;
  EXPECT_FALSE(bus_master());
}

TEST_F(Bar, SaysWhatIsThere) {
  peermr_bar_region region{};
  ASSERT_EQ(device_.region(bar_, region), 0);
  EXPECT_EQ(region.bytes, 64u << 20);
  ASSERT_EQ(device_.region(5, region), 0);
  EXPECT_EQ(region.bytes, 0u);
  EXPECT_EQ(device_.region(6, region), -EINVAL);
  region = {};
  EXPECT_EQ(device_.call(PEERMR_BAR_REGION, &region), -EINVAL);
  EXPECT_EQ(device_.call(PEERMR_BAR_REGION, nullptr), -EFAULT);
  EXPECT_EQ(device_.call(_IO(PEERMR_BAR_IOC_TYPE, 99)), -ENOTTY);
}

TEST_F(Bar, MapsMemoryBarsWithinTheirBounds) {
  peermr_bar_region region{};
  ASSERT_EQ(device_.region(bar_, region), 0);
  const Mapping all = device_.map(bar_, region.bytes);
  ASSERT_TRUE(all.ok()) << all.error();
  *all.word(region.bytes - 4) = 0x600df00d;
  const Mapping end = device_.map(bar_, kPage, region.bytes - kPage);
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(*end.word(kPage - 4), 0x600df00du);

  EXPECT_EQ(device_.map(bar_, 2 * kPage, region.bytes - kPage).error(), EINVAL);
  EXPECT_EQ(device_.map(bar_, kPage, region.bytes).error(), EINVAL);
  EXPECT_EQ(device_.map(5, kPage).error(), EINVAL);
  EXPECT_EQ(Mapping(device_.fd(), kPage, off_t{9} << 40).error(), EINVAL);
  EXPECT_EQ(Mapping(device_.fd(), kPage, 0, Mapping::kReadWrite, MAP_PRIVATE).error(), EINVAL);
}

TEST_F(Bar, ABufferShowsTheSameMemoryAsTheBar) {
  const Fd buffer = device_.export_buffer(bar_, {{kPage, kPage}, {16 * kPage, kPage}});
  ASSERT_TRUE(buffer.ok()) << buffer.error();
  const Mapping through_bar = device_.map(bar_, 32 * kPage);
  const Mapping through_buffer(buffer.get(), 2 * kPage);
  ASSERT_TRUE(through_bar.ok());
  ASSERT_TRUE(through_buffer.ok()) << through_buffer.error();
  *through_bar.word(kPage) = 0x1111;
  *through_bar.word(16 * kPage) = 0x2222;
  EXPECT_EQ(*through_buffer.word(0), 0x1111u);
  EXPECT_EQ(*through_buffer.word(kPage), 0x2222u);
}

TEST_F(Bar, ANicImportsAndLosesAtRevoke) {
  const Nic nic;
  const Fd buffer = make();
  const auto mr = nic.import(buffer.get(), kBytes);
  ASSERT_TRUE(mr) << errno;
  EXPECT_EQ(query(buffer).mappings, 1u);
  EXPECT_EQ(device_.revoke(buffer.get()), 0);
  EXPECT_EQ(query(buffer).mappings, 0u);
  EXPECT_EQ(query(buffer).state, kDead);
  EXPECT_EQ(device_.revoke(buffer.get()), -EBADFD);
  EXPECT_FALSE(nic.import(buffer.get(), kBytes));
  EXPECT_EQ(errno, ENODEV);
}

class BarReset : public Bar {
 protected:
  // The memory device has a reset of its own and keeps its memory over it.
  const std::string memory_ = lab("LAB_MEM0");
  const std::uint32_t memory_bar_ = static_cast<std::uint32_t>(lab_number("LAB_MEM_BAR"));
  BarDevice resettable_{memory_};
};

TEST_F(BarReset, RevokesAndRestoresWithOneCallbackEach) {
  const Nic nic;
  const Fd buffer = resettable_.export_buffer(memory_bar_, {{0, kBytes}});
  ASSERT_TRUE(buffer.ok());
  const auto mr = nic.import(buffer.get(), kBytes);
  ASSERT_TRUE(mr);
  const Mapping mapping(buffer.get(), kBytes);
  *mapping.word() = 0xabcd;
  ASSERT_EQ(resettable_.reset(), 0);
  peermr_export_query after{};
  ASSERT_EQ(resettable_.query(buffer.get(), after), 0);
  EXPECT_EQ(after.state, kLive);
  EXPECT_EQ(after.invalidates, 2u);
  EXPECT_EQ(try_read(mapping.word()), 0xabcdu) << "the mapping did not come back";
}

TEST_F(BarReset, ThroughSysfsToo) {
  const Fd buffer =
      resettable_.export_buffer(memory_bar_, {{0, kBytes}}, PEERMR_EXPORT_MANUAL_REARM);
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_EQ(try_read(mapping.word()).has_value(), true);
  std::ofstream("/sys/bus/pci/devices/" + memory_ + "/reset") << "1";
  peermr_export_query after{};
  ASSERT_EQ(resettable_.query(buffer.get(), after), 0);
  EXPECT_EQ(after.revokes, 1u);
  EXPECT_EQ(after.state, kHeld);
  EXPECT_EQ(try_read(mapping.word()), std::nullopt);
  EXPECT_EQ(resettable_.rearm(buffer.get(), 0), -ESTALE);
  EXPECT_EQ(resettable_.rearm(buffer.get(), 1), 0);
  EXPECT_TRUE(try_read(mapping.word()).has_value());
}

// A thread that goes on touching the BAR's mapping sees memory or SIGBUS, and nothing hangs.
TEST_F(BarReset, WhileAMappingIsInUse) {
  const Mapping mapping = resettable_.map(memory_bar_, kBytes);
  ASSERT_TRUE(mapping.ok());
  std::atomic<bool> stop{false};
  std::atomic<unsigned> seen{0};
  std::thread user([&] {
    while (!stop) seen += try_read(mapping.word()).has_value();
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(resettable_.reset(), 0);
  stop = true;
  user.join();
  EXPECT_GT(seen, 0u);
}

TEST_F(Bar, ClosingKillsItsBuffers) {
  const Nic nic;
  const Fd buffer = make();
  const auto mr = nic.import(buffer.get(), kBytes);
  ASSERT_TRUE(mr);
  const Mapping mapping(buffer.get(), kBytes);
  ASSERT_TRUE(try_read(mapping.word()).has_value());
  device_.close();
  EXPECT_EQ(try_read(mapping.word()), std::nullopt);
  EXPECT_FALSE(nic.import(buffer.get(), kBytes));

  const BarDevice again(bdf_);
  const Fd other = again.export_buffer(bar_, {{0, kBytes}});
  EXPECT_TRUE(other.ok()) << "the range cannot be exported again";
  EXPECT_EQ(again.revoke(buffer.get()), -EBADFD) << "an older user's buffer";
}

TEST_F(Bar, UnbindingWhileItIsOpenTakesEverything) {
  const Fd buffer = make();
  const Mapping mapping(buffer.get(), kBytes);
  const Mapping bar = device_.map(bar_, kBytes);
  ASSERT_TRUE(try_read(mapping.word()).has_value());
  ASSERT_TRUE(try_read(bar.word()).has_value());

  std::ofstream("/sys/bus/pci/drivers/peermr_bar/unbind") << bdf_;
  EXPECT_EQ(try_read(mapping.word()), std::nullopt);
  EXPECT_EQ(try_read(bar.word()), std::nullopt);
  EXPECT_EQ(device_.reset(), -ENODEV);
  peermr_export_query answer{};
  EXPECT_EQ(device_.query(buffer.get(), answer), -ENODEV);
  EXPECT_EQ(device_.export_buffer(bar_, {{0, kBytes}}).error(), ENODEV);
  EXPECT_EQ(device_.map(bar_, kBytes).ok(), false);

  std::ofstream("/sys/bus/pci/drivers/peermr_bar/bind") << bdf_;
  const BarDevice again(bdf_);
  EXPECT_TRUE(again.export_buffer(bar_, {{0, kBytes}}).ok());
  EXPECT_EQ(device_.reset(), -ENODEV) << "the older file is the new device's";
}

TEST_F(Bar, AKilledUserLeavesNothing) {
  device_.close();
  for (int i = 0; i < 10; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const Nic nic;
      const BarDevice device(bdf_);
      const Fd buffer = device.export_buffer(bar_, {{0, kBytes}});
      const Mapping mapping(buffer.get(), kBytes);
      const auto mr = nic.import(buffer.get(), kBytes);
      try_write(mapping.word(), 1);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_GE(BarDevice(bdf_).fd(), 0);
  }
}

}  // namespace
}  // namespace exporter_test
