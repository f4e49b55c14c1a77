// SPDX-License-Identifier: BSD-2-Clause
//
// What befalls the device, or the importer, from elsewhere.
#include <linux/vfio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "events/event.hpp"
#include "events/importer_role.hpp"
#include "events/monitor.hpp"
#include "pnic/verbs.hpp"

namespace events_test {

using namespace std::chrono_literals;
using exporter_test::lab;
using pnic_test::require;

namespace {

const std::vector<Kind> kNvme{Kind::kNvme}, kMem0{Kind::kMem0}, kIvshmem{Kind::kIvshmem};

void run(const std::string& command) {
  require(shell(command) == 0, command);
}

void sysfs_reset(Scene& scene) {
  run("echo 1 >/sys/bus/pci/devices/" + scene.subject.bdf() + "/reset");
}

// Signalled when the kernel asks the user to let go of the device: somebody takes it away.
Fd request_channel(Device& device) {
  Fd channel(::eventfd(0, EFD_CLOEXEC));
  require(channel.ok(), "eventfd");
  std::vector<std::uint32_t> space(sizeof(vfio_irq_set) / 4 + 1);
  auto* set = reinterpret_cast<vfio_irq_set*>(space.data());
  set->argsz = static_cast<std::uint32_t>(space.size() * 4);
  set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set->index = VFIO_PCI_REQ_IRQ_INDEX;
  set->count = 1;
  const int fd = channel.get();
  std::memcpy(set->data, &fd, sizeof(fd));
  require(::ioctl(device.fd(), VFIO_DEVICE_SET_IRQS, set) == 0, "request channel");
  return channel;
}

// A driver's remove() waits for the user, who is us: it goes on beside us.
std::thread& waiting() {
  static std::thread thread;
  return thread;
}

// Until the kernel has got as far as asking us. Ours has revoked then, mainline has not.
void ask(Scene& scene, const std::function<void()>& take) {
  const Fd channel = request_channel(scene.subject.device());
  waiting() = std::thread(take);
  pollfd asked{.fd = channel.get(), .events = POLLIN, .revents = 0};
  require(::poll(&asked, 1, 60000) == 1, "be asked to let go");
}

void unplug(Scene& scene) {
  ask(scene, [] { monitor_call("device_del", R"({"id": "lab-ivshmem"})"); });
}

void close_and_wait(Scene& scene) {
  scene.subject.close();
  if (waiting().joinable()) waiting().join();
}

void inject(Scene& scene, const char* severity) {
  const std::string bdf = scene.subject.bdf();
  run("before=$(dmesg | grep -c \"AER: device recovery\") || true; inject_error " + bdf + " " +
      severity +
      "; over() { (($(dmesg | grep -c \"AER: device recovery\") > before)); }; wait_until 20 over "
      "&& stop_injecting");
}

void suspend(Scene&) {
  run("suspend_devices freeze");
  run("back() { [[ -e /sys/class/infiniband/pnic0 && -e /sys/class/infiniband/pnic1 ]]; }; "
      "wait_until 20 back");
}

void wait_for_nic() {
  run("back() { [[ -e /sys/bus/pci/devices/" + lab("LAB_NIC1") +
      "/infiniband ]]; }; wait_until 20 back");
}

void reset_importer(Scene&) {
  run("echo 1 >/sys/bus/pci/devices/" + lab("LAB_NIC1") + "/reset");
  wait_for_nic();
}

void rebind_nic(Subject&) {
  run("bind " + lab("LAB_NIC1") + " pnic");
  wait_for_nic();
}

// After all that is done to importers, a revoke still comes to its end.
void reset_after(Scene& scene) {
  require(scene.subject.device().reset() == 0, "reset");
}

}  // namespace

const std::vector<Event>& all_events() {
  static const std::vector<Event> events = [] {
    std::vector<Event> all = changes();
    const std::vector<Event> others = {
        {"sysfs reset", {Kind::kNvme, Kind::kMem0}, sysfs_reset},
        {"close", kNvme, [](Scene& s) { s.subject.close(); }},
        {"unbind, close", kNvme,
         [](Scene& s) {
           const std::string bdf = s.subject.bdf();
           ask(s,
               [bdf] { run("echo " + bdf + " >/sys/bus/pci/devices/" + bdf + "/driver/unbind"); });
         },
         close_and_wait,
         [](Subject& s) {
           run("echo " + s.bdf() + " >/sys/bus/pci/drivers/" + s.driver() + "/bind");
         }},
        {"unplug, close", kIvshmem, unplug, close_and_wait,
         [](Subject& s) {
           run("wait_until 20 gone " + s.bdf() + " && plug_ivshmem " + s.driver());
         },
         false, true},
        {"AER nonfatal", kMem0, [](Scene& s) { inject(s, "nonfatal"); }},
        {"AER fatal, decode on", kMem0, [](Scene& s) { inject(s, "fatal"); },
         [](Scene& s) { require(s.subject.device().set_decode(true) == 0, "decode"); }, nullptr,
         false, true},
        {"suspend", kNvme, suspend, nullptr, nullptr, true, true, true},
        {"importer: FLR, then reset", kNvme, reset_importer, reset_after, nullptr, true},
        {"importer: unbind, then reset", kNvme, [](Scene&) { run("unbind " + lab("LAB_NIC1")); },
         reset_after, rebind_nic, true},
        {"importer: killed, then reset", kNvme, [](Scene& s) { kill_importer(s.subject); },
         reset_after},
    };
    all.insert(all.end(), others.begin(), others.end());
    return all;
  }();
  return events;
}

}  // namespace events_test
