// SPDX-License-Identifier: BSD-2-Clause
//
// The structures of peermr_export.h, for the fuzzer.
#include <fcntl.h>
#include <peermr/peermr_export.h>

#include <cstddef>
#include <cstring>

#include "fuzz/exporter_calls.hpp"

namespace fuzz {
namespace {

#define FIELD(type, member) offsetof(type, member), sizeof(type::member)

std::vector<Field> create_fields(bool delegate) {
  using Create = peermr_export_create;
  std::vector<std::uint64_t> flags = {0, 1, 2, 3, 4, 7, 16};
  if (delegate) flags.insert(flags.end(), {8, 9});
  return {{FIELD(Create, flags), Kind::kValue, flags},
          {FIELD(Create, bar), Kind::kValue, {0, 1, 2, 3, 4, 5, 6, 7}},
          {FIELD(Create, open_flags),
           Kind::kValue,
           {O_RDONLY, O_WRONLY, O_RDWR, 3, O_CLOEXEC, O_NONBLOCK | O_RDWR, O_APPEND}},
          {FIELD(Create, nr_ranges), Kind::kValue, {0, 1, 2, 4, 5, 4096, 4097}},
          {FIELD(Create, reserved)},
          {FIELD(Create, ranges), Kind::kPointer}};
}

std::vector<Field> buffer_fields(Structure structure, const std::string& pool) {
  using Revoke = peermr_export_revoke;
  using Rearm = peermr_export_rearm;
  using Query = peermr_export_query;
  std::vector<Field> fields = {{FIELD(Revoke, flags), Kind::kValue, {0, 1, 2, 3, 4, 5, 8}},
                               {FIELD(Revoke, dmabuf_fd), Kind::kFd, {}, pool}};
  static_assert(offsetof(Rearm, dmabuf_fd) == offsetof(Revoke, dmabuf_fd));
  static_assert(offsetof(Query, dmabuf_fd) == offsetof(Revoke, dmabuf_fd));
  if (structure != Structure::kQuery) fields.push_back({FIELD(Revoke, reserved)});
  if (structure == Structure::kRearm)
    fields.push_back({FIELD(Rearm, revokes), Kind::kValue, {0, 1, 2, 3}});
  return fields;
}

}  // namespace

std::size_t bytes_of(Structure structure) {
  switch (structure) {
    case Structure::kCreate:
      return sizeof(peermr_export_create);
    case Structure::kRevoke:
      return sizeof(peermr_export_revoke);
    case Structure::kRearm:
      return sizeof(peermr_export_rearm);
    case Structure::kQuery:
      return sizeof(peermr_export_query);
    case Structure::kInfo:
      return sizeof(peermr_export_info);
    case Structure::kPrivate:
      break;
  }
  return sizeof(peermr_export_private);
}

std::vector<Field> fields_of(Structure structure, std::size_t offset, const std::string& pool,
                             bool delegate) {
  std::vector<Field> fields;
  if (structure == Structure::kCreate)
    fields = create_fields(delegate);
  else if (structure == Structure::kInfo || structure == Structure::kPrivate)
    fields = {{FIELD(peermr_export_info, flags), Kind::kValue, {0, 1, 2}}};
  else
    fields = buffer_fields(structure, pool);
  const std::size_t bytes = bytes_of(structure);
  // A plain value here: what Kind::kSize means is the whole that this is a part of.
  fields.push_back(
      {0, 4, Kind::kValue, {0, 3, 4, 8, bytes - 8, bytes - 1, bytes, bytes + 1, 4096}});
  for (Field& field : fields) field.offset += offset;
  return fields;
}

void fill(Structure structure, Random& random, void* at, std::uint32_t bar) {
  const auto size = static_cast<std::uint32_t>(bytes_of(structure));
  std::memcpy(at, &size, sizeof(size));
  if (structure == Structure::kRearm) static_cast<peermr_export_rearm*>(at)->revokes = random() % 3;
  if (structure != Structure::kCreate) return;

  thread_local peermr_export_range ranges[4];
  peermr_export_create create{};
  create.size = size;
  create.flags = static_cast<std::uint32_t>(random() % 4);
  create.bar = bar;
  create.open_flags = static_cast<std::uint32_t>((random() % 4 ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  create.nr_ranges = static_cast<std::uint32_t>(1 + random() % 4);
  create.ranges = reinterpret_cast<std::uintptr_t>(ranges);
  for (auto& range : ranges)
    range = {.offset = random() % 512 * 4096, .length = (1 + random() % 512) * 4096};
  if (random() % 8 == 0) ranges[random() % 4].length = random();
  if (random() % 8 == 0) ranges[random() % 4].offset = random() & ~0xfffull;
  std::memcpy(at, &create, sizeof(create));
}

}  // namespace fuzz
