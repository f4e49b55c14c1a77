// SPDX-License-Identifier: BSD-2-Clause
//
// What is written into a slot: anybody who finds it can tell who wrote it, and that it is whole.
#pragma once

#include <array>
#include <cstdint>

namespace soak {

inline constexpr std::size_t kRecordBytes = 512;

/// Bytes of a buffer that a stream uses.
inline constexpr std::uint32_t kSlots = 64;
inline constexpr std::uint64_t kStreamBytes = kSlots * kRecordBytes;

/// Of the writer who uses keys that it should have forgotten.
inline constexpr std::uint32_t kIntruder = ~0u;

struct Record {
  std::array<std::uint64_t, kRecordBytes / sizeof(std::uint64_t)> words;
};

void fill(Record& record, std::uint32_t stream, std::uint32_t slot, std::uint64_t sequence);

/// Whether it is just what fill() makes of these.
bool is(const Record& record, std::uint32_t stream, std::uint32_t slot, std::uint64_t sequence);

/// Whether any part of it is the intruder's.
bool has_intruder(const Record& record);

}  // namespace soak
