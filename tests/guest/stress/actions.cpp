// SPDX-License-Identifier: BSD-2-Clause
#include "stress/actions.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <peermr/dmabuf_watch.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "exporter/fault.hpp"

namespace stress {
namespace {

using exporter_test::lab;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kUsedBytes = 8 << 20;  // of the BAR: buffers shall overlap
constexpr std::size_t kMostHeld = 6;

template <typename T>
void keep(Random& random, std::vector<T>& held, T one) {
  if (held.size() < kMostHeld)
    held.push_back(std::move(one));
  else
    held[random() % held.size()] = std::move(one);
}

int export_buffer(Worker& worker) {
  Random& random = worker.random;
  static constexpr std::uint32_t kFlags[] = {0, 0, 0, PEERMR_EXPORT_NO_MMAP,
                                             PEERMR_EXPORT_MANUAL_REARM};
  const std::uint32_t flags = kFlags[random() % std::size(kFlags)];
  std::vector<exporter_test::Range> ranges(1 + random() % 3);
  std::uint64_t bytes = 0;
  for (auto& range : ranges) {
    range.length = kPage * (1 + random() % 64);
    range.offset = kPage * (random() % ((kUsedBytes - range.length) / kPage));
    if (random() % 8 == 0) range = {.offset = 0, .length = 4 << 20};  // huge pages
    bytes += range.length;
  }
  Fd fd = worker.world.device->export_buffer(worker.world.bar, ranges, flags);
  if (!fd.ok()) return -fd.error();
  worker.world.put(random, std::make_shared<Buffer>(
                               Buffer{std::move(fd), bytes, (flags & PEERMR_EXPORT_NO_MMAP) == 0}));
  return 0;
}

int close_buffer(Worker& worker) {
  worker.world.put(worker.random, nullptr);
  return 0;
}

int map_buffer(Worker& worker) {
  const auto buffer = worker.world.any(worker.random);
  if (!buffer || !buffer->can_mmap) return -ENOENT;
  const std::uint64_t offset = kPage * (worker.random() % (buffer->bytes / kPage));
  Mapping mapping(buffer->fd.get(), buffer->bytes - offset, static_cast<off_t>(offset));
  if (!mapping.ok()) return -mapping.error();
  keep(worker.random, worker.mappings, std::move(mapping));
  return 0;
}

int map_bar(Worker& worker) {
  Mapping mapping = worker.world.device->map_bar(worker.world.bar, kUsedBytes);
  if (!mapping.ok()) return -mapping.error();
  keep(worker.random, worker.bar_mappings, std::move(mapping));
  return 0;
}

int touch(Worker& worker) {
  const bool bar = worker.random() % 4 == 0;
  const auto& mappings = bar ? worker.bar_mappings : worker.mappings;
  if (mappings.empty()) return -ENOENT;
  const Mapping& mapping = mappings[worker.random() % mappings.size()];
  for (int i = 0; i < 16; ++i) {
    volatile std::uint32_t* word = mapping.word(worker.random() % mapping.bytes() & ~3ull);
    const bool alive = i % 2 == 0 ? exporter_test::try_read(word).has_value()
                                  : exporter_test::try_write(word, 0x5a5a5a5a);
    if (!alive) return -EFAULT;
  }
  return 0;
}

int register_buffer(Worker& worker) {
  const auto buffer = worker.world.any(worker.random);
  if (!buffer) return -ENOENT;
  return worker.rdma.import(buffer->fd.get(), buffer->bytes, worker.random());
}

int transfer(Worker& worker) {
  return worker.rdma.transfer(worker.random(), worker.random() % 4 != 0);
}

int deregister(Worker& worker) {
  worker.rdma.forget(worker.random());
  return 0;
}

int revoke(Worker& worker) {
  const auto buffer = worker.world.any(worker.random);
  return buffer ? worker.world.device->revoke(buffer->fd.get()) : -ENOENT;
}

int query(Worker& worker) {
  const auto buffer = worker.world.any(worker.random);
  if (!buffer) return -ENOENT;
  const peermr_export_query data = worker.world.device->query(buffer->fd.get());
  if (data.state == ~0u) return -ENODEV;
  if (data.bytes != buffer->bytes || data.revokes < data.restores) {
    std::printf("FAILED: query: %llu bytes instead of %llu, %llu revokes, %llu restores\n",
                static_cast<unsigned long long>(data.bytes),
                static_cast<unsigned long long>(buffer->bytes),
                static_cast<unsigned long long>(data.revokes),
                static_cast<unsigned long long>(data.restores));
    std::fflush(stdout);
    std::_Exit(1);
  }
  return 0;
}

int rearm(Worker& worker) {
  const auto buffer = worker.world.any(worker.random);
  if (!buffer) return -ENOENT;
  const std::uint64_t revokes = worker.world.device->query(buffer->fd.get()).revokes;
  static constexpr std::uint32_t kFlags[] = {0, 0, PEERMR_REARM_MANUAL, PEERMR_REARM_AUTOMATIC,
                                             PEERMR_REARM_MANUAL | PEERMR_REARM_MODE_ONLY};
  return worker.world.device->rearm(buffer->fd.get(), revokes,
                                    kFlags[worker.random() % std::size(kFlags)]);
}

int reset(Worker& worker) {
  return worker.world.device->reset();
}

int sysfs_reset(Worker& worker) {
  const Fd file(
      ::open(("/sys/bus/pci/devices/" + worker.world.device->bdf() + "/reset").c_str(), O_WRONLY));
  return file.ok() && ::write(file.get(), "1", 1) == 1 ? 0 : -errno;
}

int pause_decode(Worker& worker) {
  const int result = worker.world.device->set_decode(false);
  if (worker.random() % 2 == 0) ::usleep(static_cast<useconds_t>(worker.random() % 2000));
  const int again = worker.world.device->set_decode(true);
  return result != 0 ? result : again;
}

int set_power(const exporter_test::Device& device, std::uint8_t state) {
  const std::uint8_t at = device.capability(PCI_CAP_ID_PM);
  if (at == 0) return -ENODEV;
  const ssize_t done = device.write(VFIO_PCI_CONFIG_REGION_INDEX, at + PCI_PM_CTRL, &state, 1);
  return done < 0 ? static_cast<int>(done) : 0;
}

int sleep_d3(Worker& worker) {
  const int result = set_power(*worker.world.device, 3);
  const int again = set_power(*worker.world.device, 0);
  return result != 0 ? result : again;
}

int watch(Worker& worker) {
  const auto buffer = worker.world.any(worker.random);
  if (!buffer) return -ENOENT;
  static const Fd device(::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC));
  dmabuf_watch_create create{};
  create.size = sizeof(create);
  create.flags = DMABUF_WATCH_CLOEXEC | DMABUF_WATCH_NONBLOCK;
  create.dmabuf_fd = buffer->fd.get();
  const std::string nic = lab("LAB_NIC0");
  create.pci_domain = static_cast<std::uint32_t>(std::stoul(nic.substr(0, 4), nullptr, 16));
  create.pci_bus = static_cast<std::uint8_t>(std::stoul(nic.substr(5, 2), nullptr, 16));
  create.pci_devfn =
      static_cast<std::uint8_t>(std::stoul(nic.substr(8, 2), nullptr, 16) << 3 | (nic[11] - '0'));
  Fd made(::ioctl(device.get(), DMABUF_WATCH_CREATE, &create));
  if (!made.ok()) return -errno;
  keep(worker.random, worker.watches, std::move(made));
  return 0;
}

int look_at_watch(Worker& worker) {
  if (worker.watches.empty()) return -ENOENT;
  const Fd& chosen = worker.watches[worker.random() % worker.watches.size()];
  dmabuf_watch_event event{};
  if (worker.random() % 3 == 0) return ::read(chosen.get(), &event, sizeof(event)) < 0 ? -errno : 0;
  if (worker.random() % 2 == 0) {
    dmabuf_watch_probe probe{};
    probe.size = sizeof(probe);
    probe.timeout_ms = 2;
    return ::ioctl(chosen.get(), DMABUF_WATCH_PROBE, &probe) < 0 ? -errno : -probe.error;
  }
  dmabuf_watch_status status{};
  status.size = sizeof(status);
  return ::ioctl(chosen.get(), DMABUF_WATCH_STATUS, &status) < 0 ? -errno : 0;
}

int forget(Worker& worker) {
  worker.forget_some();
  return 0;
}

}  // namespace

std::shared_ptr<Buffer> World::any(Random& random) {
  const std::lock_guard lock(mutex_);
  return slots_[random() % kSlots];
}

void World::put(Random& random, std::shared_ptr<Buffer> buffer) {
  const std::lock_guard lock(mutex_);
  std::swap(slots_[random() % kSlots], buffer);
}

Worker::Worker(World& shared, std::uint64_t seed)
    : random(seed), world(shared), rdma(lab(seed % 2 == 0 ? "LAB_NIC0" : "LAB_NIC1")) {}

void Worker::forget_some() {
  std::erase_if(mappings, [this](const Mapping&) { return random() % 2 == 0; });
  std::erase_if(watches, [this](const Fd&) { return random() % 2 == 0; });
}

void put_in_order(const exporter_test::Device& device) {
  set_power(device, 0);
  device.set_decode(true);
}

const std::vector<Action>& actions() {
  static const std::vector<Action> all = {
      {"export", 16, true, export_buffer},
      {"close", 4, false, close_buffer},
      {"mmap", 10, true, map_buffer},
      {"mmap of the BAR", 2, true, map_bar},
      {"touch", 20, false, touch},
      {"register", 16, false, register_buffer},
      {"transfer", 40, false, transfer},
      {"deregister", 4, false, deregister},
      {"revoke", 1, true, revoke},
      {"query", 6, true, query},
      {"re-arm", 8, true, rearm},
      {"reset", 2, true, reset},
      {"reset by sysfs", 1, false, sysfs_reset},
      {"decode off, on", 3, true, pause_decode},
      {"D3hot, D0", 1, true, sleep_d3},
      {"watch", 6, true, watch},
      {"look at a watch", 10, true, look_at_watch},
      {"forget", 2, false, forget},
  };
  return all;
}

}  // namespace stress
