// SPDX-License-Identifier: BSD-2-Clause
#include "events/subject.hpp"

#include <fcntl.h>
#include <peermr/dmabuf_watch.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "pnic/verbs.hpp"

namespace events_test {

using exporter_test::lab;
using exporter_test::lab_number;
using pnic_test::fail;
using pnic_test::require;

namespace {

constexpr std::uint32_t kPmrControl = 0xe04;  // NVMe 1.4, 3.1.19; bit 0: enable

std::string bdf_of(Kind kind) {
  switch (kind) {
    case Kind::kNvme:
      return lab("LAB_NVME");
    case Kind::kMem0:
      return lab("LAB_MEM0");
    case Kind::kIvshmem:
      return lab("LAB_IVSHMEM");
  }
  fail("no such device", 0);
}

int bar_of(Kind kind) {
  switch (kind) {
    case Kind::kNvme:
      return lab_number("LAB_PMR_BAR");
    case Kind::kMem0:
      return lab_number("LAB_MEM_BAR");
    case Kind::kIvshmem:
      return lab_number("LAB_IVSHMEM_BAR");
  }
  fail("no such device", 0);
}

std::string driver_of(const std::string& bdf) {
  return std::filesystem::read_symlink("/sys/bus/pci/devices/" + bdf + "/driver").filename();
}

// In the name of the NIC that stays, whatever the event.
int make_watch(int dmabuf) {
  unsigned domain = 0, bus = 0, device = 0, function = 0;
  const std::string nic = lab("LAB_NIC0");
  require(std::sscanf(nic.c_str(), "%x:%x:%x.%x", &domain, &bus, &device, &function) == 4, nic);
  dmabuf_watch_create args{};
  args.size = sizeof(args);
  args.flags = DMABUF_WATCH_CLOEXEC | DMABUF_WATCH_NONBLOCK;
  args.dmabuf_fd = dmabuf;
  args.pci_domain = domain;
  args.pci_bus = static_cast<std::uint8_t>(bus);
  args.pci_devfn = static_cast<std::uint8_t>(device << 3 | function);
  const Fd node(::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC));
  require(node.ok(), "open /dev/dmabuf_watch");
  const int watch = ::ioctl(node.get(), DMABUF_WATCH_CREATE, &args);
  require(watch >= 0, "watch the buffer");
  return watch;
}

std::uint32_t pattern_word(std::uint64_t offset) {
  return static_cast<std::uint32_t>(offset * 2654435761u + 12345);
}

}  // namespace

Kind kind_of(const std::string& name) {
  if (name == "nvme") return Kind::kNvme;
  if (name == "mem0") return Kind::kMem0;
  if (name == "ivshmem") return Kind::kIvshmem;
  fail(name + ": no such device", 0);
}

int shell(const std::string& command) {
  const std::string line =
      "exec bash -c 'set -uo pipefail; . /etc/lab.env; cd /src/tests/guest/lib; . ./devices.sh; "
      ". ./hotplug.sh; . ./aer.sh; . ./suspend.sh; " +
      command + "' >&2";
  const int status = std::system(line.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Subject::Subject(Kind kind)
    : kind_(kind),
      bdf_(bdf_of(kind)),
      driver_(driver_of(bdf_)),
      bar_(static_cast<std::uint32_t>(bar_of(kind))),
      device_(std::make_unique<Device>(bdf_)) {
  enable_memory();
  buffer_ = device_->export_dma_buf(bar_, {{0, kBytes}}, O_RDWR | O_CLOEXEC);
  require(buffer_.ok(), "export " + bdf_ + ": " + std::to_string(buffer_.error()));
  watch_ = Fd(make_watch(buffer_.get()));
  bar_mapping_ = device_->map_bar(bar_, kBytes);
  require(bar_mapping_.ok(), "map the BAR");
  buffer_mapping_ = Mapping(buffer_.get(), kBytes);
  require(buffer_mapping_.ok() == ours(), "map the buffer: only our exporter has that");
}

Subject::~Subject() {
  if (device_) close();
}

void Subject::enable_memory() {
  if (kind_ != Kind::kNvme) return;
  const std::uint32_t enable = 1;
  require(device_->write(0, kPmrControl, &enable, sizeof(enable)) == sizeof(enable), "PMRCTL");
}

std::uint64_t Subject::callbacks() const {
  dmabuf_watch_status status{};
  status.size = sizeof(status);
  require(::ioctl(watch_.get(), DMABUF_WATCH_STATUS, &status) == 0, "ask the watch");
  return status.total;
}

std::string Subject::state() const {
  dmabuf_watch_status status{};
  status.size = sizeof(status);
  require(::ioctl(watch_.get(), DMABUF_WATCH_STATUS, &status) == 0, "ask the watch");
  switch (status.state) {
    case DMABUF_WATCH_LIVE:
      return "live";
    case DMABUF_WATCH_REVOKED:
      return "revoked";
    case DMABUF_WATCH_HELD:
      return "held";
    case DMABUF_WATCH_DEAD:
      return "dead";
    default:
      return "-";
  }
}

std::optional<std::uint64_t> Subject::mappings() const {
  if (!ours() || !device_) return std::nullopt;
  return device_->query(buffer_.get()).mappings;
}

std::optional<bool> Subject::access_buffer() const {
  if (!buffer_mapping_.ok()) return std::nullopt;
  return exporter_test::try_read(buffer_mapping_.word(kTarget)).has_value();
}

std::optional<bool> Subject::access_bar() const {
  const std::shared_lock lock(mutex_);
  if (!bar_mapping_.ok()) return std::nullopt;
  return exporter_test::try_read(bar_mapping_.word(kTarget)).has_value();
}

const std::uint8_t* Subject::memory() const {
  if (!bar_mapping_.ok()) return nullptr;
  return const_cast<const std::uint8_t*>(
      reinterpret_cast<volatile std::uint8_t*>(bar_mapping_.word()));
}

void Subject::write_pattern() {
  for (std::uint64_t at = 0; at < kPattern; at += 4)
    *bar_mapping_.word(kTarget + at) = pattern_word(at);
}

bool Subject::pattern_kept() const {
  for (std::uint64_t at = 0; at < kPattern; at += 4)
    if (exporter_test::try_read(bar_mapping_.word(kTarget + at)) != pattern_word(at)) return false;
  return true;
}

void Subject::close() {
  {
    const std::unique_lock lock(mutex_);
    bar_mapping_.reset();
  }
  device_->close();
  device_.reset();
}

}  // namespace events_test
