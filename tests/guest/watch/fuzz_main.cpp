// SPDX-License-Identifier: BSD-2-Clause
//
// Fuzzes /dev/dmabuf_watch and the test importer, on buffers of mainline's vfio-pci and of host
// memory, while the device's memory comes and goes.
//
//   watch_fuzz [--seed N] [--seconds N] [--threads N]

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <mutex>

#include "fuzz/ioctl_fuzz.hpp"
#include "test_importer.h"
#include "watch/support.hpp"

namespace {

using namespace watch_test;
using fuzz::Call;
using fuzz::Field;
using fuzz::Kind;
using fuzz::Random;

#define FIELD(type, member) offsetof(type, member), sizeof(type::member)

std::vector<std::uint64_t> buses() {
  return {lab_bdf("LAB_NIC0").bus(), lab_bdf("LAB_NVME").bus(), lab_bdf("LAB_IVSHMEM").bus(), 0};
}

template <typename Structure>
void name_nic(Structure& args) {
  const peermr::Bdf nic = lab_bdf("LAB_NIC0");
  args.pci_domain = nic.domain();
  args.pci_bus = nic.bus();
  args.pci_devfn = static_cast<std::uint8_t>(nic.device() << 3 | nic.function());
}

void add_watch_calls(fuzz::Fuzzer& fuzzer) {
  using Create = dmabuf_watch_create;
  fuzzer.add_call({
      .name = "create",
      .target = "watch device",
      .request = DMABUF_WATCH_CREATE,
      .bytes = sizeof(Create),
      .fields = {{FIELD(Create, size), Kind::kSize},
                 {FIELD(Create, flags), Kind::kValue, {0, 1, 2, 3, 4}},
                 {FIELD(Create, dmabuf_fd), Kind::kFd, {}, "buffer"},
                 {FIELD(Create, pci_domain), Kind::kValue, {0}},
                 {FIELD(Create, pci_bus), Kind::kValue, buses()},
                 {FIELD(Create, pci_devfn), Kind::kValue, {0, 8, 0xf8}},
                 {FIELD(Create, reserved)}},
      .fill = [](Random& random, void* data) {
        auto& args = *static_cast<Create*>(data);
        // Readers must not block each other's threads for long, but may.
        args.flags = random() % 8 == 0 ? 0 : DMABUF_WATCH_NONBLOCK;
        name_nic(args);
      },
      .makes = "watch",
      .weight = 20,
  });
  using Status = dmabuf_watch_status;
  fuzzer.add_call({.name = "status",
                   .target = "watch",
                   .request = DMABUF_WATCH_STATUS,
                   .bytes = sizeof(Status),
                   .fields = {{FIELD(Status, size), Kind::kSize},
                              {FIELD(Status, flags)},
                              {FIELD(Status, reserved)}}});
  using Probe = dmabuf_watch_probe;
  fuzzer.add_call({.name = "probe",
                   .target = "watch",
                   .request = DMABUF_WATCH_PROBE,
                   .bytes = sizeof(Probe),
                   .fields = {{FIELD(Probe, size), Kind::kSize},
                              {FIELD(Probe, flags)},
                              {FIELD(Probe, timeout_ms), Kind::kValue, {0, 1, 50, 10000, 10001}}},
                   .weight = 20});
  fuzzer.add_call({.name = "read",
                   .target = "watch",
                   .request = 0,
                   .bytes = sizeof(dmabuf_watch_event),
                   .fields = {{0, 8}},
                   .issue = [](int fd, unsigned long, void* data) {
                     return static_cast<int>(::read(fd, data, sizeof(dmabuf_watch_event)));
                   }});
  fuzzer.add_call({.name = "poll",
                   .target = "watch",
                   .request = 0,
                   .bytes = 8,
                   .fields = {},
                   .issue = [](int fd, unsigned long, void*) {
                     pollfd poll{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
                     return ::poll(&poll, 1, 5);
                   }});
  // Every number, on either kind of file, with any size in it.
  for (const char* target : {"watch", "watch device"}) {
    fuzzer.add_call({.name = std::string("any on ") + target,
                     .target = target,
                     .request = 0,
                     .bytes = 64,
                     .fields = {{0, 4}, {4, 4}, {8, 8}, {16, 8}},
                     .issue = [](int fd, unsigned long, void* data) {
                       static std::atomic<unsigned> count = 0;
                       const unsigned n = ++count;
                       const int result =
                           ::ioctl(fd, _IOC(n % 4, DMABUF_WATCH_IOC_TYPE, n / 4 % 6, n % 71), data);
                       if (result > 2) ::close(result);
                       return 0;
                     },
                     .weight = 3});
  }
}

void add_importer_calls(fuzz::Fuzzer& fuzzer) {
  using Attach = test_importer_attach;
  fuzzer.add_call({
      .name = "attach",
      .target = "importer",
      .request = TEST_IMPORTER_ATTACH,
      .bytes = sizeof(Attach),
      .fields = {{FIELD(Attach, size), Kind::kSize},
                 {FIELD(Attach, flags), Kind::kValue, {0, 1, 2, 4, 7, 8}},
                 {FIELD(Attach, dmabuf_fd), Kind::kFd, {}, "buffer"},
                 {FIELD(Attach, pci_domain)},
                 {FIELD(Attach, pci_bus), Kind::kValue, buses()},
                 {FIELD(Attach, pci_devfn), Kind::kValue, {0, 8, 0xf8}},
                 {FIELD(Attach, reserved)},
                 {FIELD(Attach, direction), Kind::kValue, {0, 1, 2, 3}},
                 {FIELD(Attach, id)}},
      .fill = [](Random& random, void* data) {
        auto& args = *static_cast<Attach*>(data);
        name_nic(args);
        // Never "never", not even by chance: nobody would be sure to end it.
        args.unmap = static_cast<std::uint32_t>(random() % 2);
        args.unmap_ms = static_cast<std::uint32_t>(random() % 30);
        args.fence = static_cast<std::uint32_t>(random() % 2);
        args.fence_ms = static_cast<std::uint32_t>(random() % 30);
        args.direction = static_cast<std::uint32_t>(random() % 3);
      },
      .weight = 30,
  });
  using Id = test_importer_id;
  const auto id = [](Random& random, void* data) {
    static_cast<Id*>(data)->id = static_cast<std::uint32_t>(1 + random() % 6);
  };
  const struct {
    const char* name;
    unsigned long request;
    unsigned weight;
  } calls[] = {{"map", TEST_IMPORTER_MAP, 20},
               {"unmap", TEST_IMPORTER_UNMAP, 10},
               {"signal", TEST_IMPORTER_SIGNAL, 5},
               {"detach", TEST_IMPORTER_DETACH, 8}};
  for (const auto& call : calls)
    fuzzer.add_call({.name = call.name,
                     .target = "importer",
                     .request = call.request,
                     .bytes = sizeof(Id),
                     .fields = {{FIELD(Id, size), Kind::kSize}, {FIELD(Id, id)}},
                     .fill = id,
                     .weight = call.weight});
  using Query = test_importer_query;
  fuzzer.add_call({.name = "query",
                   .target = "importer",
                   .request = TEST_IMPORTER_QUERY,
                   .bytes = sizeof(Query),
                   .fields = {{FIELD(Query, size), Kind::kSize}, {FIELD(Query, id)}},
                   .fill = [](Random& random, void* data) {
                     static_cast<Query*>(data)->id = static_cast<std::uint32_t>(1 + random() % 6);
                   }});
  using Segments = test_importer_segments;
  fuzzer.add_call({
      .name = "segments",
      .target = "importer",
      .request = TEST_IMPORTER_SEGMENTS,
      .bytes = sizeof(Segments),
      .fields = {{FIELD(Segments, size), Kind::kSize},
                 {FIELD(Segments, id)},
                 {FIELD(Segments, room), Kind::kValue, {0, 1, 2, 65536, 65537}},
                 {FIELD(Segments, count)},
                 {FIELD(Segments, segments), Kind::kPointer}},
      .fill = [](Random& random, void* data) {
        thread_local test_importer_segment room[TEST_IMPORTER_MAX_SEGMENTS];
        auto& args = *static_cast<Segments*>(data);
        args.id = static_cast<std::uint32_t>(1 + random() % 6);
        args.room = 64;
        args.segments = reinterpret_cast<std::uintptr_t>(room);
      },
  });
  // A session comes and goes with all that it has.
  fuzzer.add_call({.name = "open importer",
                   .target = "watch device",
                   .request = 0,
                   .bytes = 8,
                   .fields = {},
                   .makes = "importer",
                   .issue = [](int, unsigned long, void*) {
                     return ::open("/dev/peermr_test_importer", O_RDWR | O_CLOEXEC);
                   },
                   .weight = 1});
}

void add_buffers(fuzz::Fuzzer& fuzzer, Owner& owner) {
  const auto buffer = [](std::string name, auto make, unsigned weight) {
    return Call{.name = std::move(name),
                .target = "watch device",
                .request = 0,
                .bytes = 8,
                .fields = {},
                .makes = "buffer",
                .issue = [make](int, unsigned long, void*) { return make(); },
                .weight = weight};
  };
  fuzzer.add_call(buffer("udmabuf", [] { return make_udmabuf().release(); }, 4));
  fuzzer.add_call(buffer(
      "export", [&owner] { return ::fcntl(owner.export_part(3, 16).fd(), F_DUPFD_CLOEXEC, 3); }, 8));
}

}  // namespace

int main(int argc, char** argv) {
  fuzz::Fuzzer fuzzer(fuzz::parse_options(argc, argv));
  const rlimit files{4096, 4096};
  ::setrlimit(RLIMIT_NOFILE, &files);

  Owner owner;
  const peermr::DmaBuf memory = owner.export_memory();
  const peermr::UniqueFd host = make_udmabuf();
  const peermr::UniqueFd watch_device(::open("/dev/dmabuf_watch", O_RDWR | O_CLOEXEC));
  const peermr::UniqueFd importer(::open("/dev/peermr_test_importer", O_RDWR | O_CLOEXEC));
  if (!watch_device || !importer) give_up("the modules are not there");
  fuzzer.add_fd("buffer", memory.fd());
  fuzzer.add_fd("buffer", host.get());
  fuzzer.add_fd("watch device", watch_device.get());
  fuzzer.add_fd("importer", importer.get());
  add_watch_calls(fuzzer);
  add_importer_calls(fuzzer);
  add_buffers(fuzzer, owner);
  std::mutex one_at_a_time;
  fuzzer.add_action("decode", 3, [&](Random& random) {
    const std::lock_guard lock(one_at_a_time);
    owner.decode(random() % 3 != 0);
  });
  fuzzer.add_action("reset", 1, [&](Random&) {
    const std::lock_guard lock(one_at_a_time);
    owner.reset();
  });
  return fuzzer.run() ? 0 : 1;
}
