// SPDX-License-Identifier: BSD-2-Clause
//
// Changes that the owner of the device makes through VFIO.
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "events/event.hpp"
#include "pnic/verbs.hpp"

namespace events_test {

using namespace std::chrono_literals;
using exporter_test::lab;
using pnic_test::require;

namespace {

const std::vector<Kind> kNvme{Kind::kNvme}, kMem0{Kind::kMem0};

void write_config(Device& device, std::uint64_t offset, std::uint16_t value, unsigned bytes = 2) {
  require(device.write(VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, bytes) ==
              static_cast<ssize_t>(bytes),
          "write configuration space");
}

std::uint16_t read_config(Device& device, std::uint64_t offset) {
  std::uint16_t value = 0;
  require(device.read(VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, 2) == 2,
          "read configuration space");
  return value;
}

void toggle(Device& device, std::uint16_t bit) {
  const std::uint16_t command = read_config(device, PCI_COMMAND);
  for (int i = 0; i < 20; ++i)
    write_config(device, PCI_COMMAND, static_cast<std::uint16_t>(i % 2 ? command : command ^ bit));
}

void set_power(Device& device, std::uint16_t state) {
  const std::uint8_t pm = device.capability(PCI_CAP_ID_PM);
  require(pm != 0, "a PM capability");
  const std::uint16_t control = read_config(device, pm + PCI_PM_CTRL);
  write_config(device, pm + PCI_PM_CTRL,
               static_cast<std::uint16_t>((control & ~PCI_PM_CTRL_STATE_MASK) | state));
}

void flr_by_devctl(Device& device) {
  const std::uint8_t exp = device.capability(PCI_CAP_ID_EXP);
  require(exp != 0, "a PCI Express capability");
  const std::uint16_t control = read_config(device, exp + PCI_EXP_DEVCTL);
  write_config(device, exp + PCI_EXP_DEVCTL,
               static_cast<std::uint16_t>(control | PCI_EXP_DEVCTL_BCR_FLR));
}

void flr_by_af(Device& device) {
  const std::uint8_t af = device.capability(PCI_CAP_ID_AF);
  require(af != 0, "an AF capability");
  write_config(device, af + PCI_AF_CTRL, PCI_AF_CTRL_FLR, 1);
}

// Through `device`; every device that it reaches is in the same group.
void hot_reset(int device, int group) {
  std::vector<std::uint32_t> space(sizeof(vfio_pci_hot_reset) / 4 + 1);
  auto* reset = reinterpret_cast<vfio_pci_hot_reset*>(space.data());
  reset->argsz = static_cast<std::uint32_t>(space.size() * 4);
  reset->count = 1;
  reset->group_fds[0] = group;
  require(::ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, reset) == 0, "hot reset");
}

void hot_reset_of_neighbour(Device& device) {
  const Fd neighbour(::ioctl(device.group(), VFIO_GROUP_GET_DEVICE_FD, lab("LAB_MEM1").c_str()));
  require(neighbour.ok(), "open the neighbour");
  hot_reset(neighbour.get(), device.group());
}

void low_power(Device& device, std::uint32_t feature) {
  if (feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP) {
    const Fd woken(::eventfd(0, EFD_CLOEXEC));
    vfio_device_low_power_entry_with_wakeup entry{.wakeup_eventfd = woken.get(), .reserved = 0};
    require(device.feature(feature, VFIO_DEVICE_FEATURE_SET, &entry, sizeof(entry)) == 0,
            "low power with wake-up");
  } else {
    require(device.feature(feature, VFIO_DEVICE_FEATURE_SET, nullptr, 0) == 0, "low power");
  }
}

std::string power_status(const Subject& subject) {
  std::ifstream file("/sys/bus/pci/devices/" + subject.bdf() + "/power/runtime_status");
  std::string status;
  file >> status;
  return status;
}

void wait_for_power(const Subject& subject, const std::string& wanted) {
  for (int i = 0; i < 500 && power_status(subject) != wanted; ++i)
    std::this_thread::sleep_for(10ms);
  require(power_status(subject) == wanted, subject.bdf() + " is " + power_status(subject));
}

void fall_asleep(Subject& subject, std::uint32_t feature) {
  low_power(subject.device(), feature);
  wait_for_power(subject, "suspended");
}

// By an access, without an exit.
void wake(Subject& subject) {
  static_cast<void>(read_config(subject.device(), PCI_VENDOR_ID));
  wait_for_power(subject, "active");
}

template <typename Action>
std::function<void(Scene&)> on_device(Action action) {
  return [action](Scene& scene) { action(scene.subject.device()); };
}

}  // namespace

std::vector<Event> changes() {
  return {
      {"memory decode off, on", kNvme, on_device([](Device& d) { d.set_decode(false); }),
       on_device([](Device& d) { d.set_decode(true); })},
      {"INTx disable toggled", kNvme,
       on_device([](Device& d) { toggle(d, PCI_COMMAND_INTX_DISABLE); })},
      {"bus master toggled", kNvme, on_device([](Device& d) { toggle(d, PCI_COMMAND_MASTER); })},
      {"D3hot, D0", kNvme, on_device([](Device& d) { set_power(d, 3); }),
       on_device([](Device& d) { set_power(d, 0); })},
      {"FLR by DevCtl", kNvme, on_device(flr_by_devctl)},
      {"FLR by AF", kMem0, on_device(flr_by_af)},
      {"VFIO_DEVICE_RESET", {Kind::kNvme, Kind::kMem0}, on_device([](Device& d) {
         require(d.reset() == 0, "reset");
       })},
      {"hot reset", kMem0, on_device([](Device& d) { hot_reset(d.fd(), d.group()); })},
      {"hot reset by a neighbour", kMem0, on_device(hot_reset_of_neighbour)},
      {"low power entry, exit", kNvme,
       [](Scene& s) { fall_asleep(s.subject, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY); },
       on_device([](Device& d) { low_power(d, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT); })},
      {"low power entry, wake-up", kNvme,
       [](Scene& s) { fall_asleep(s.subject, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP); },
       [](Scene& s) { wake(s.subject); }},
  };
}

}  // namespace events_test
