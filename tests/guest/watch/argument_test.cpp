// SPDX-License-Identifier: BSD-2-Clause
//
// What the ioctls of dmabuf_watch refuse: each field, each descriptor, each user.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "watch/support.hpp"

namespace {

using namespace watch_test;

/// errno of an ioctl, 0 if it succeeded. A descriptor that it returns is closed.
int outcome(int fd, unsigned long request, const void* arg) {
  const int result = ::ioctl(fd, request, arg);
  if (result > 0) ::close(result);
  return result < 0 ? errno : 0;
}

class WatchArguments : public testing::Test {
 protected:
  int create(const dmabuf_watch_create& args) {
    return outcome(device_.get(), DMABUF_WATCH_CREATE, &args);
  }

  peermr::UniqueFd device_{::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC)};
  peermr::UniqueFd buffer_ = make_udmabuf();
  const dmabuf_watch_create good_ = create_args(buffer_.get());
};

TEST_F(WatchArguments, GoodOnesAreGood) {
  EXPECT_EQ(create(good_), 0);
}

TEST_F(WatchArguments, SmallerStructureIsRefused) {
  for (const unsigned size : {0U, 4U, static_cast<unsigned>(sizeof(good_)) - 1}) {
    auto args = good_;
    args.size = size;
    EXPECT_EQ(create(args), EINVAL) << size;
  }
}

TEST_F(WatchArguments, LargerStructureMustBeZeroBeyondOurs) {
  std::array<char, 8192> larger{};
  auto args = good_;
  const auto with_size = [&](std::uint32_t size) {
    args.size = size;
    std::memcpy(larger.data(), &args, sizeof(args));
    return outcome(device_.get(), DMABUF_WATCH_CREATE, larger.data());
  };
  EXPECT_EQ(with_size(sizeof(args) + 8), 0);
  EXPECT_EQ(with_size(4096), 0);
  EXPECT_EQ(with_size(4097), E2BIG);
  EXPECT_EQ(with_size(0xffffffff), E2BIG);
  larger[sizeof(args) + 7] = 1;
  EXPECT_EQ(with_size(sizeof(args) + 8), E2BIG);
  EXPECT_EQ(with_size(sizeof(args) + 7), 0);
}

TEST_F(WatchArguments, LargerStructureChangesTheNumbersSizeOnly) {
  const unsigned long request =
      _IOC(_IOC_WRITE, DMABUF_WATCH_IOC_TYPE, 0, sizeof(dmabuf_watch_create) + 8);
  std::array<char, sizeof(dmabuf_watch_create) + 8> larger{};
  auto args = good_;
  args.size = larger.size();
  std::memcpy(larger.data(), &args, sizeof(args));
  EXPECT_EQ(outcome(device_.get(), request, larger.data()), 0);
}

TEST_F(WatchArguments, UnknownFlagsAreRefused) {
  for (unsigned bit = 2; bit < 32; ++bit) {
    auto args = good_;
    args.flags = 1U << bit;
    EXPECT_EQ(create(args), EINVAL) << bit;
  }
}

TEST_F(WatchArguments, ReservedMustBeZero) {
  auto args = good_;
  args.reserved = 1;
  EXPECT_EQ(create(args), EINVAL);
}

TEST_F(WatchArguments, BufferMustBeADmaBuf) {
  const peermr::UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Watch watch(buffer_.get());
  auto args = good_;
  for (const int fd : {-1, -100, 1'000'000}) {
    args.dmabuf_fd = fd;
    EXPECT_EQ(create(args), EBADF) << fd;
  }
  for (const int fd : {null.get(), watch.fd(), device_.get()}) {
    args.dmabuf_fd = fd;
    EXPECT_EQ(create(args), EINVAL) << fd;
  }
}

TEST_F(WatchArguments, PciDeviceMustExist) {
  auto args = good_;
  args.pci_bus = 0xfe;
  EXPECT_EQ(create(args), ENODEV);
  args = good_;
  args.pci_devfn ^= 0x80;
  EXPECT_EQ(create(args), ENODEV);
  for (const std::uint32_t domain : {1U, 0x10000U, 0x7fffffffU, 0x80000000U, 0xffffffffU}) {
    args = good_;
    args.pci_domain = domain;
    EXPECT_EQ(create(args), ENODEV) << domain;
  }
}

TEST_F(WatchArguments, BadAddressIsEfault) {
  const Watch watch(buffer_.get());
  for (const std::uintptr_t address : {std::uintptr_t{0}, ~std::uintptr_t{7}}) {
    const void* arg = reinterpret_cast<const void*>(address);
    EXPECT_EQ(outcome(device_.get(), DMABUF_WATCH_CREATE, arg), EFAULT);
    EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_STATUS, arg), EFAULT);
    EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_PROBE, arg), EFAULT);
  }
}

TEST_F(WatchArguments, UnknownIoctlsAreEnotty) {
  const Watch watch(buffer_.get());
  EXPECT_EQ(outcome(device_.get(), DMABUF_WATCH_STATUS, &good_), ENOTTY);
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_CREATE, &good_), ENOTTY);
  EXPECT_EQ(outcome(watch.fd(), _IO(DMABUF_WATCH_IOC_TYPE, 3), nullptr), ENOTTY);
}

TEST_F(WatchArguments, StatusAndProbeCheckTheirFields) {
  const Watch watch(buffer_.get());
  dmabuf_watch_status status{};
  status.size = sizeof(status) - 8;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_STATUS, &status), EINVAL);
  status.size = sizeof(status);
  status.flags = 1;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_STATUS, &status), EINVAL);
  status.flags = 0;
  status.reserved = 1;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_STATUS, &status), EINVAL);

  dmabuf_watch_probe probe{};
  probe.size = sizeof(probe) - 8;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_PROBE, &probe), EINVAL);
  probe.size = sizeof(probe);
  probe.flags = 1;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_PROBE, &probe), EINVAL);
  probe.flags = 0;
  probe.timeout_ms = 10'001;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_PROBE, &probe), EINVAL);
  probe.timeout_ms = 10'000;
  EXPECT_EQ(outcome(watch.fd(), DMABUF_WATCH_PROBE, &probe), 0);
}

TEST_F(WatchArguments, FlagsAreThoseOfTheDescriptor) {
  const Watch plain(buffer_.get(), 0);
  const Watch both(buffer_.get(), DMABUF_WATCH_CLOEXEC | DMABUF_WATCH_NONBLOCK);
  EXPECT_EQ(::fcntl(plain.fd(), F_GETFD), 0);
  EXPECT_EQ(::fcntl(plain.fd(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(both.fd(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(both.fd(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

TEST_F(WatchArguments, RevokedBufferOfMainlineIsRefused) {
  Owner owner;
  const peermr::DmaBuf buffer = owner.export_memory();
  owner.decode(false);
  EXPECT_EQ(create(create_args(buffer.fd())), ENODEV);
  owner.decode(true);
  EXPECT_EQ(create(create_args(buffer.fd())), 0);
}

TEST_F(WatchArguments, NoDescriptorLeftIsEmfileAndChargesNobody) {
  const PerUser limit(2);
  EXPECT_EQ(in_child([&] {
              rlimit files{};
              ::getrlimit(RLIMIT_NOFILE, &files);
              const rlimit few{0, files.rlim_max};
              if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 1;
              for (int i = 0; i < 5; ++i) {
                if (create(good_) != EMFILE) return 2;
              }
              if (::setrlimit(RLIMIT_NOFILE, &files) != 0) return 3;
              return create(good_);
            }),
            0);
}

TEST_F(WatchArguments, AnybodyMayWatchButNotProbe) {
  EXPECT_EQ(as_nobody([&] {
              const peermr::UniqueFd device(::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC));
              if (!device) return 1;
              const Watch watch{
                  peermr::UniqueFd(::ioctl(device.get(), DMABUF_WATCH_CREATE, &good_))};
              if (watch.fd() < 0) return 2;
              if (watch.status().total != 0) return 3;
              dmabuf_watch_probe answer{};
              return watch.probe(0, answer) == EPERM ? 0 : 4;
            }),
            0);
}

TEST_F(WatchArguments, EveryUserHasAQuotaThatClosingFrees) {
  const PerUser limit(4);
  const auto body = [&] {
    std::vector<Watch> watches;
    for (int i = 0; i < 4; ++i) watches.emplace_back(buffer_.get());
    if (create(good_) != EDQUOT) return 1;
    const peermr::UniqueFd copy(::dup(watches.back().fd()));
    watches.pop_back();
    if (create(good_) != EDQUOT) return 2; // a descriptor of it is left
    watches.pop_back();
    for (int i = 0; i < 10; ++i) {
      if (create(good_) != 0) return 3;
    }
    return 0;
  };
  EXPECT_EQ(as_nobody(body), 0);
  EXPECT_EQ(as_nobody(body), 0) << "the first has left something behind";
  const Watch other(buffer_.get()); // another user: not concerned
}

TEST_F(WatchArguments, FailedAttemptsChargeNobody) {
  const PerUser limit(1);
  Owner owner;
  const peermr::DmaBuf buffer = owner.export_memory();
  owner.decode(false);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(create(create_args(buffer.fd())), ENODEV);
  EXPECT_EQ(create(good_), 0);
}

TEST_F(WatchArguments, WatchSentToAnotherUserStaysItsMakers) {
  const PerUser limit(1);
  const Watch watch(buffer_.get());
  EXPECT_EQ(as_nobody([&] { return create(good_); }), 0);
  EXPECT_EQ(create(good_), EDQUOT);
}

}  // namespace
