// SPDX-License-Identifier: BSD-2-Clause
//
// peermr_vfio's calls.
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <peermr/peermr_export.h>
#include <peermr/peermr_vfio.h>
#include <peermr/vfio_dmabuf.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "fuzz/exporter_calls.hpp"

namespace fuzz {
namespace {

#define FIELD(type, member) offsetof(type, member), sizeof(type::member)

constexpr std::size_t kHeader = sizeof(vfio_device_feature);

/// As the ioctl, but that a success without a descriptor is not taken for one.
int returning_fd(int fd, unsigned long request, void* arg) {
  const int result = ::ioctl(fd, request, arg);
  if (result != 0) return result;
  errno = 0;
  return -1;
}

std::vector<Field> header_fields(std::uint32_t flags) {
  return {{FIELD(vfio_device_feature, argsz), Kind::kSize},
          {FIELD(vfio_device_feature, flags),
           Kind::kValue,
           {flags, flags ^ VFIO_DEVICE_FEATURE_GET, flags ^ VFIO_DEVICE_FEATURE_SET,
            flags | VFIO_DEVICE_FEATURE_PROBE, flags | VFIO_DEVICE_FEATURE_MASK,
            flags & ~VFIO_DEVICE_FEATURE_MASK}}};
}

void set_header(void* data, std::uint32_t flags) {
  static_cast<vfio_device_feature*>(data)->flags = flags;
}

void add_feature(Fuzzer& fuzzer, const char* name, const char* target, std::uint32_t flags,
                 Structure structure, unsigned weight, std::uint32_t bar) {
  const bool makes = structure == Structure::kCreate;
  Call call{.name = name,
            .target = target,
            .request = VFIO_DEVICE_FEATURE,
            .bytes = kHeader + bytes_of(structure),
            .fields = header_fields(flags),
            .fill =
                [=](Random& random, void* data) {
                  set_header(data, flags);
                  fill(structure, random, static_cast<std::uint8_t*>(data) + kHeader, bar);
                },
            .makes = makes ? "buffer" : "",
            .weight = weight};
  if (makes) call.issue = returning_fd;
  for (Field& field : fields_of(structure, kHeader, "buffer", true))
    call.fields.push_back(std::move(field));
  fuzzer.add_call(std::move(call));
}

void add_mainline_export(Fuzzer& fuzzer, std::uint32_t bar) {
  struct Request {
    std::uint32_t argsz, flags, region, open_flags, zero, nr_ranges;
    peermr_export_range ranges[3];
  };
  const std::uint32_t flags = VFIO_DEVICE_FEATURE_GET | PEERMR_VFIO_FEATURE_DMA_BUF;
  Call call{.name = "feature 11",
            .target = "device",
            .request = VFIO_DEVICE_FEATURE,
            .bytes = sizeof(Request),
            .fields = header_fields(flags),
            .fill =
                [=](Random& random, void* data) {
                  auto& request = *static_cast<Request*>(data);
                  request.flags = flags;
                  request.region = bar;
                  request.open_flags = O_RDWR | O_CLOEXEC;
                  request.nr_ranges = static_cast<std::uint32_t>(1 + random() % 3);
                  for (auto& range : request.ranges)
                    range = {.offset = random() % 64 * 4096, .length = (1 + random() % 64) * 4096};
                },
            .makes = "buffer",
            .issue = returning_fd};
  call.fields.insert(call.fields.end(),
                     {{FIELD(Request, region), Kind::kValue, {0, 1, 4, 5, 6, 7, 8, 9}},
                      {FIELD(Request, open_flags), Kind::kValue, {0, 1, 2, 3}},
                      {FIELD(Request, zero), Kind::kValue, {1}},
                      {FIELD(Request, nr_ranges), Kind::kValue, {0, 1, 4, 5, 4096, 4097}},
                      {FIELD(Request, ranges[0].offset)},
                      {FIELD(Request, ranges[0].length)},
                      {FIELD(Request, ranges[1].offset)},
                      {FIELD(Request, ranges[2].length)}});
  fuzzer.add_call(std::move(call));
}

void add_resets(Fuzzer& fuzzer) {
  fuzzer.add_call({.name = "reset",
                   .target = "device",
                   .request = VFIO_DEVICE_RESET,
                   .bytes = 8,
                   .fields = {},
                   .weight = 1});
  struct HotReset {
    std::uint32_t argsz, flags, count;
    std::int32_t groups[2];
  };
  fuzzer.add_call({.name = "hot reset",
                   .target = "device",
                   .request = VFIO_DEVICE_PCI_HOT_RESET,
                   .bytes = sizeof(HotReset),
                   .fields = {{FIELD(HotReset, argsz), Kind::kSize},
                              {FIELD(HotReset, flags), Kind::kValue, {0, 1}},
                              {FIELD(HotReset, count), Kind::kValue, {0, 1, 2, 3, 1000}},
                              {FIELD(HotReset, groups[0]), Kind::kFd, {}, "group"},
                              {FIELD(HotReset, groups[1]), Kind::kFd, {}, "group"}},
                   .fill = [](Random&, void* data) { static_cast<HotReset*>(data)->count = 1; },
                   .weight = 2});
  const std::uint32_t exit = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
  const std::uint32_t entry = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
  fuzzer.add_call({.name = "low power",
                   .target = "device",
                   .request = VFIO_DEVICE_FEATURE,
                   .bytes = kHeader,
                   .fields = header_fields(entry),
                   .fill = [=](Random& random,
                               void* data) { set_header(data, random() % 4 == 0 ? entry : exit); },
                   .weight = 3});
}

void add_config_writes(Fuzzer& fuzzer, std::uint64_t config, std::uint8_t pm) {
  // What is written may be at a bad address; where to is decided here.
  static thread_local std::uint64_t position;
  static thread_local std::size_t count;
  const std::uint64_t control = pm + PCI_PM_CTRL;
  fuzzer.add_call({.name = "write config",
                   .target = "device",
                   .request = 0,
                   .bytes = 8,
                   .fields = {{0, 1}, {1, 1}, {0, 4}},
                   .fill =
                       [=](Random& random, void* data) {
                         const bool power = random() % 2 == 0;
                         auto* bytes = static_cast<std::uint8_t*>(data);
                         *bytes =
                             static_cast<std::uint8_t>(power ? random() % 4 : 4 + random() % 4);
                         position = power ? control : PCI_COMMAND;
                         count = 1;
                         if (random() % 3 != 0) return;
                         // Around these bytes: neighbours, several at once, across them.
                         position += random() % 5;
                         position -= std::min<std::uint64_t>(position, 2);
                         count = random() % 9;
                       },
                   .issue =
                       [=](int fd, unsigned long, void* data) {
                         return static_cast<int>(
                             ::pwrite(fd, data, count, static_cast<off_t>(config + position)));
                       },
                   .weight = 8});
}

}  // namespace

void add_vfio_calls(Fuzzer& fuzzer, std::uint32_t bar, std::uint64_t config, std::uint8_t pm) {
  const std::uint32_t get = VFIO_DEVICE_FEATURE_GET, set = VFIO_DEVICE_FEATURE_SET;
  add_mainline_export(fuzzer, bar);
  add_feature(fuzzer, "export", "device", get | PEERMR_VFIO_FEATURE_EXPORT, Structure::kCreate, 20,
              bar);
  add_feature(fuzzer, "revoke", "device", set | PEERMR_VFIO_FEATURE_REVOKE, Structure::kRevoke, 4,
              bar);
  add_feature(fuzzer, "re-arm", "device", set | PEERMR_VFIO_FEATURE_REARM, Structure::kRearm, 10,
              bar);
  add_feature(fuzzer, "query", "device", get | PEERMR_VFIO_FEATURE_QUERY, Structure::kQuery, 10,
              bar);
  add_feature(fuzzer, "info", "device", get | PEERMR_VFIO_FEATURE_INFO, Structure::kInfo, 5, bar);
  add_feature(fuzzer, "private", "private device", set | PEERMR_VFIO_FEATURE_PRIVATE,
              Structure::kPrivate, 4, bar);
  add_resets(fuzzer);
  add_config_writes(fuzzer, config, pm);
}

}  // namespace fuzz
