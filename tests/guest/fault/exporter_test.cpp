// SPDX-License-Identifier: BSD-2-Clause
//
// Every allocation and user copy fails once, in all that the exporters, and a watch of their
// buffers, do for user space: the error is a clean one, nothing stays behind, and the next try
// works. Runs in a guest of the debug kernel; the device is the one of exporter/fixture.hpp,
// LAB_MEM0 is peermr_bar's.

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <peermr/dmabuf_watch.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>

#include "bar/bar_device.hpp"
#include "exporter/fixture.hpp"
#include "fault/fail_nth.hpp"

namespace exporter_test {
namespace {

const std::vector<Range> kOneRange{{0, 64 << 10}};
const std::vector<Range> kGaps{{0, kPage}, {8 * kPage, 4 * kPage}, {4 * kPage, kPage}};
constexpr std::uint64_t kGapsBytes = 6 * kPage;

class Fault : public ExporterTest {
 protected:
  fault::Injector injector_;
  Nic nic_;

  /// A sweep that ended, and saw no errors but those of a failed allocation or copy. `some`: there
  /// must have been one.
  static void expect_clean(const char* what, const fault::Report& report, bool some = true) {
    std::cout << what << ": " << report << '\n';
    EXPECT_TRUE(report.finished) << what;
    if (some) {
      EXPECT_GT(report.injected, report.tolerated) << what;
    }
    for (const auto& [error, count] : report.errors)
      EXPECT_TRUE(error == ENOMEM || error == EFAULT) << what << ": errno " << error;
  }

  void sweep_export(const char* what, const std::vector<Range>& ranges, std::uint32_t flags = 0) {
    Fd buffer;
    expect_clean(what, fault::sweep(
                           injector_,
                           [&] {
                             buffer = make(ranges, flags);
                             return buffer.error();
                           },
                           [&] { buffer.reset(); }));
    EXPECT_EQ(device_.info().buffers, 0u);
  }

  void sweep_registration(const char* what, const std::vector<Range>& ranges, std::uint64_t bytes) {
    const Fd buffer = make(ranges);
    ASSERT_TRUE(buffer.ok());
    pnic_test::Mr mr;
    expect_clean(what, fault::sweep(
                           injector_,
                           [&] {
                             mr = nic_.import(buffer.get(), bytes);
                             return mr ? 0 : errno;
                           },
                           [&] { mr.reset(); }));
    EXPECT_EQ(device_.query(buffer.get()).mappings, 0u);
  }

  /// `take` and `give` of the device's memory, with a buffer of several ranges registered and
  /// mapped.
  template <typename Take, typename Give>
  void sweep_revoke(const char* what, Take take, Give give) {
    const Fd buffer = make(kGaps);
    const pnic_test::Mr mr = nic_.import(buffer.get(), kGapsBytes);
    ASSERT_TRUE(mr) << errno;
    const Mapping mapping(buffer.get(), kGapsBytes);
    expect_clean(what,
                 fault::sweep(
                     injector_,
                     [&] {
                       const bool touched = try_read(mapping.word()).has_value();
                       const int result = touched ? -take() : EIO;
                       return result;
                     },
                     [&] { EXPECT_EQ(give(), 0); }),
                 false);
    EXPECT_EQ(state(buffer), static_cast<std::uint32_t>(PEERMR_EXPORT_LIVE)) << what;
    EXPECT_TRUE(try_read(mapping.word()).has_value()) << what;
  }
};

TEST_F(Fault, ExportFailsCleanly) {
  sweep_export("export of one range", kOneRange);
  sweep_export("export of several ranges", kGaps, PEERMR_EXPORT_MANUAL_REARM);
  sweep_export("export of 4096 ranges", std::vector<Range>(PEERMR_EXPORT_MAX_RANGES, {0, kPage}));
}

TEST_F(Fault, Feature11FailsCleanly) {
  Fd buffer;
  expect_clean("feature 11", fault::sweep(
                                 injector_,
                                 [&] {
                                   buffer = device_.export_dma_buf(bar_, kGaps, O_RDWR | O_CLOEXEC);
                                   return buffer.error();
                                 },
                                 [&] { buffer.reset(); }));
}

TEST_F(Fault, RegistrationFailsCleanly) {
  sweep_registration("register one range", kOneRange, 64 << 10);
  sweep_registration("register several ranges", kGaps, kGapsBytes);
}

TEST_F(Fault, MmapFailsCleanly) {
  const Fd buffer = make(kGaps);
  Mapping mapping;
  expect_clean("mmap and touch", fault::sweep(
                                     injector_,
                                     [&] {
                                       mapping = Mapping(buffer.get(), kGapsBytes);
                                       if (!mapping.ok()) return mapping.error();
                                       return try_read(mapping.word(kPage)) ? 0 : EFAULT;
                                     },
                                     [&] { mapping.reset(); }));
}

TEST_F(Fault, RevokeForGoodFailsCleanly) {
  Fd buffer;
  pnic_test::Mr mr;
  const auto again = [&] {
    mr.reset();
    buffer = make(kGaps);
    mr = nic_.import(buffer.get(), kGapsBytes);
    ASSERT_TRUE(mr) << errno;
  };
  again();
  expect_clean("revoke for good", fault::sweep(
                                      injector_, [&] { return -device_.revoke(buffer.get()); },
                                      [&] {
                                        const auto query = device_.query(buffer.get());
                                        EXPECT_EQ(query.state,
                                                  static_cast<std::uint32_t>(PEERMR_EXPORT_DEAD));
                                        EXPECT_EQ(query.mappings, 0u);
                                        again();
                                      }));
}

// Neither the exporter's invalidate nor the importer's fence can fail, whatever they allocate.
TEST_F(Fault, RevokeOfTheDeviceGoesThroughOrDoesNothing) {
  // Nothing but the write itself may fail.
  const auto command =
      static_cast<off_t>(device_.region_offset(VFIO_PCI_CONFIG_REGION_INDEX) + PCI_COMMAND);
  const std::uint8_t on = device_.config_byte(PCI_COMMAND) | PCI_COMMAND_MEMORY;
  const std::uint8_t off = on & ~PCI_COMMAND_MEMORY;
  const auto write = [&](const std::uint8_t& value) {
    return ::pwrite(device_.fd(), &value, 1, command) == 1 ? 0 : -errno;
  };
  sweep_revoke("decode off", [&] { return write(off); }, [&] { return write(on); });
  ASSERT_EQ(device_.reset(), 0);
  sweep_revoke("reset", [&] { return device_.reset(); }, [] { return 0; });
}

TEST_F(Fault, ReArmingFailsCleanly) {
  const Fd buffer = make(kGaps, PEERMR_EXPORT_MANUAL_REARM);
  const pnic_test::Mr mr = nic_.import(buffer.get(), kGapsBytes);
  const auto hold = [&] {
    ASSERT_EQ(device_.set_decode(false), 0);
    ASSERT_EQ(device_.set_decode(true), 0);
    ASSERT_EQ(state(buffer), static_cast<std::uint32_t>(PEERMR_EXPORT_HELD));
  };
  hold();
  std::uint64_t count = revokes(buffer);
  expect_clean("re-arm", fault::sweep(
                             injector_, [&] { return -device_.rearm(buffer.get(), count); },
                             [&] {
                               EXPECT_EQ(state(buffer),
                                         static_cast<std::uint32_t>(PEERMR_EXPORT_LIVE));
                               hold();
                               count = revokes(buffer);
                             }));
}

TEST_F(Fault, QueriesFailCleanly) {
  const Fd buffer = make(kGaps);
  const auto feature = [&](std::uint32_t number, auto data) {
    data.size = sizeof(data);
    return -device_.feature(number, VFIO_DEVICE_FEATURE_GET, &data, sizeof(data));
  };
  const auto nothing = [] {};
  peermr_export_query query{};
  query.dmabuf_fd = buffer.get();
  expect_clean("query",
               fault::sweep(
                   injector_, [&] { return feature(PEERMR_VFIO_FEATURE_QUERY, query); }, nothing));
  expect_clean("info", fault::sweep(
                           injector_,
                           [&] { return feature(PEERMR_VFIO_FEATURE_INFO, peermr_export_info{}); },
                           nothing));
}

TEST_F(Fault, WatchingFailsCleanly) {
  const Fd buffer = make(kGaps);
  const Fd device(::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(device.ok());
  const std::string nic = lab("LAB_NIC0");
  dmabuf_watch_create create{};
  create.size = sizeof(create);
  create.flags = DMABUF_WATCH_CLOEXEC | DMABUF_WATCH_NONBLOCK;
  create.dmabuf_fd = buffer.get();
  create.pci_bus = static_cast<std::uint8_t>(std::stoul(nic.substr(5, 2), nullptr, 16));
  create.pci_devfn = static_cast<std::uint8_t>(std::stoul(nic.substr(8, 2), nullptr, 16) << 3);
  const auto make_watch = [&] {
    const int fd = ::ioctl(device.get(), DMABUF_WATCH_CREATE, &create);
    return Fd(fd < 0 ? -errno : fd);
  };
  Fd watch;
  expect_clean("watch", fault::sweep(
                            injector_,
                            [&] {
                              watch = make_watch();
                              return watch.error();
                            },
                            [&] { watch.reset(); }));
  watch = make_watch();
  ASSERT_TRUE(watch.ok()) << watch.error();
  expect_clean("probe", fault::sweep(
                            injector_,
                            [&] {
                              dmabuf_watch_probe probe{};
                              probe.size = sizeof(probe);
                              if (::ioctl(watch.get(), DMABUF_WATCH_PROBE, &probe) != 0)
                                return errno;
                              return probe.error;
                            },
                            [] {}));
  EXPECT_EQ(device_.query(buffer.get()).mappings, 0u);
}

TEST_F(Fault, OpeningPeermrBarFailsCleanly) {
  const std::string path = BarDevice::path(lab("LAB_MEM0"));
  Fd file;
  const auto open_file = [&] {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    file = Fd(fd < 0 ? -errno : fd);
    return file.error();
  };
  expect_clean("open peermr_bar", fault::sweep(injector_, open_file, [&] { file.reset(); }));
  file.reset();

  const BarDevice device(lab("LAB_MEM0"));
  const auto bar = static_cast<std::uint32_t>(lab_number("LAB_MEM_BAR"));
  Fd buffer;
  expect_clean("export of peermr_bar", fault::sweep(
                                           injector_,
                                           [&] {
                                             buffer = device.export_buffer(bar, kGaps);
                                             return buffer.error();
                                           },
                                           [&] { buffer.reset(); }));
}

}  // namespace
}  // namespace exporter_test
