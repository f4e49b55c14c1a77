// SPDX-License-Identifier: BSD-2-Clause
//
// Fuzzes the ioctls of peermr_vfio and of peermr_bar, and writes to configuration space, with
// importers on the buffers and while the device's memory comes and goes.
//
//   exporter_fuzz [--seed N] [--seconds N] [--threads N]

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

#include "bar/bar_device.hpp"
#include "exporter/fixture.hpp"
#include "fuzz/exporter_calls.hpp"

namespace {

using namespace exporter_test;
using fuzz::Random;

/// As users do before they go on: memory decode on, D0, out of low power.
void put_in_order(const Device& device, std::uint64_t config, std::uint8_t pm) {
  device.feature(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, VFIO_DEVICE_FEATURE_SET, nullptr, 0);
  const std::uint8_t d0 = 0, command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  const bool powered =
      ::pwrite(device.fd(), &d0, 1, static_cast<off_t>(config + pm + PCI_PM_CTRL)) == 1;
  const bool enabled =
      ::pwrite(device.fd(), &command, 1, static_cast<off_t>(config + PCI_COMMAND)) == 1;
  // Either may be interrupted; the next one will do.
  static_cast<void>(powered && enabled);
}

/// Registers whatever is in a pool, and lets go of it.
void add_import(fuzz::Fuzzer& fuzzer, const Nic& nic, const char* pool) {
  fuzzer.add_call(
      {.name = std::string("register a ") + pool,
       .target = pool,
       .request = 0,
       .bytes = 8,
       .fields = {},
       .issue = [&nic](int fd, unsigned long, void*) { return nic.import(fd, kPage) ? 0 : -1; }});
}

}  // namespace

int main(int argc, char** argv) {
  fuzz::Fuzzer fuzzer(fuzz::parse_options(argc, argv, {.threads = 3}));
  const rlimit files{4096, 4096};
  ::setrlimit(RLIMIT_NOFILE, &files);

  const auto bar = static_cast<std::uint32_t>(lab_number("LAB_PMR_BAR"));
  const Nic nic;
  const Device device(lab("LAB_NVME"));
  const Device other(lab("LAB_IVSHMEM"));
  const BarDevice plain(lab("LAB_MEM0"));
  const std::uint64_t config = device.region_offset(VFIO_PCI_CONFIG_REGION_INDEX);
  const std::uint8_t pm = device.capability(PCI_CAP_ID_PM);
  const Fd buffer = device.export_buffer(bar, {{0, 1 << 20}});
  const Fd plain_buffer =
      plain.export_buffer(static_cast<std::uint32_t>(lab_number("LAB_MEM_BAR")), {{0, 1 << 20}});
  if (!buffer.ok() || !plain_buffer.ok() || pm == 0) {
    std::printf("FAILED: the devices are not as they should be\n");
    return 1;
  }
  fuzzer.add_fd("device", device.fd());
  fuzzer.add_fd("private device", other.fd());
  fuzzer.add_fd("group", device.group());
  fuzzer.add_fd("bar", plain.fd());
  fuzzer.add_fd("buffer", buffer.get());
  fuzzer.add_fd("bar buffer", plain_buffer.get());
  fuzz::add_vfio_calls(fuzzer, bar, config, pm);
  fuzz::add_bar_calls(fuzzer, static_cast<std::uint32_t>(lab_number("LAB_MEM_BAR")));
  for (const char* pool : {"buffer", "bar buffer"}) {
    fuzz::add_mmap_call(fuzzer, pool);
    add_import(fuzzer, nic, pool);
  }
  fuzzer.add_action("in order", 12, [&](Random&) { put_in_order(device, config, pm); });
  const bool good = fuzzer.run();
  put_in_order(device, config, pm);
  return good ? 0 : 1;
}
