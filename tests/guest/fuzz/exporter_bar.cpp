// SPDX-License-Identifier: BSD-2-Clause
//
// peermr_bar's calls, and mmap of buffers.
#include <fcntl.h>
#include <peermr/peermr_bar.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "exporter/fault.hpp"
#include "fuzz/exporter_calls.hpp"

namespace fuzz {
namespace {

#define FIELD(type, member) offsetof(type, member), sizeof(type::member)

void add_structure(Fuzzer& fuzzer, const char* name, unsigned long request, Structure structure,
                   unsigned weight, std::uint32_t bar) {
  fuzzer.add_call({.name = name,
                   .target = "bar",
                   .request = request,
                   .bytes = bytes_of(structure),
                   .fields = fields_of(structure, 0, "bar buffer", false),
                   .fill = [=](Random& random, void* data) { fill(structure, random, data, bar); },
                   .makes = structure == Structure::kCreate ? "bar buffer" : "",
                   .weight = weight});
}

/// Maps, looks, and lets go. Returns 0 or -1 with errno.
int look_through(int fd, std::size_t bytes, off_t offset) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  if (data == MAP_FAILED) return -1;
  exporter_test::try_read(static_cast<volatile std::uint32_t*>(data));
  exporter_test::try_write(static_cast<volatile std::uint32_t*>(data) + (bytes - 1) / 4, 1);
  ::munmap(data, bytes);
  return 0;
}

}  // namespace

void add_mmap_call(Fuzzer& fuzzer, const char* pool) {
  static thread_local std::size_t bytes;
  static thread_local off_t offset;
  fuzzer.add_call(
      {.name = std::string("mmap of a ") + pool,
       .target = pool,
       .request = 0,
       .bytes = 8,
       .fields = {},
       .fill =
           [](Random& random, void*) {
             bytes = 4096 * (1 + random() % 16);
             offset = static_cast<off_t>(random() % 3 == 0 ? 4096 * (random() % 1024) : 0);
             if (random() % 16 == 0)
               offset = static_cast<off_t>((random() << random() % 40) & ~0xfffull);
           },
       .issue = [](int fd, unsigned long, void*) { return look_through(fd, bytes, offset); }});
}

void add_bar_calls(Fuzzer& fuzzer, std::uint32_t bar) {
  add_structure(fuzzer, "bar: export", PEERMR_BAR_EXPORT, Structure::kCreate, 12, bar);
  add_structure(fuzzer, "bar: revoke", PEERMR_BAR_REVOKE, Structure::kRevoke, 3, bar);
  add_structure(fuzzer, "bar: re-arm", PEERMR_BAR_REARM, Structure::kRearm, 6, bar);
  add_structure(fuzzer, "bar: query", PEERMR_BAR_QUERY, Structure::kQuery, 6, bar);
  add_structure(fuzzer, "bar: info", PEERMR_BAR_INFO, Structure::kInfo, 3, bar);
  fuzzer.add_call({.name = "bar: reset",
                   .target = "bar",
                   .request = PEERMR_BAR_RESET,
                   .bytes = 8,
                   .fields = {},
                   .weight = 1});
  using Region = peermr_bar_region;
  fuzzer.add_call({.name = "bar: region",
                   .target = "bar",
                   .request = PEERMR_BAR_REGION,
                   .bytes = sizeof(Region),
                   .fields = {{FIELD(Region, size), Kind::kSize},
                              {FIELD(Region, bar), Kind::kValue, {0, 1, 2, 3, 4, 5, 6}}},
                   .fill =
                       [](Random& random, void* data) {
                         static_cast<Region*>(data)->bar = static_cast<std::uint32_t>(random() % 6);
                       },
                   .weight = 3});
  // Every number, with any size in it.
  fuzzer.add_call({.name = "bar: any",
                   .target = "bar",
                   .request = 0,
                   .bytes = 96,
                   .fields = {{0, 4}, {4, 4}, {8, 4, Kind::kFd, {}, "bar buffer"}, {16, 8}},
                   .issue =
                       [](int fd, unsigned long, void* data) {
                         static std::atomic<unsigned> calls = 0;
                         const unsigned n = ++calls;
                         const int result =
                             ::ioctl(fd, _IOC(n % 4, PEERMR_BAR_IOC_TYPE, n / 4 % 9, n % 99), data);
                         if (result > 2) ::close(result);
                         return 0;
                       },
                   .weight = 3});
  add_mmap_call(fuzzer, "bar");
}

}  // namespace fuzz
