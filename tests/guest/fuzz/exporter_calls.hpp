// SPDX-License-Identifier: BSD-2-Clause
//
// What there is to fuzz in the exporters. Pools: "device" (under peermr_vfio), "private device"
// (another one, which the fuzzer may make private), "group" (of the first), "bar" (a file of
// peermr_bar), "buffer" and "bar buffer" (their dma-bufs).
#pragma once

#include <cstdint>

#include "fuzz/ioctl_fuzz.hpp"

namespace fuzz {

/// Features 11 and 0xfe00 to 0xfe05, low power, reset and hot reset, writes to configuration space.
/// `bar`: of the device, with memory behind it.
void add_vfio_calls(Fuzzer& fuzzer, std::uint32_t bar, std::uint64_t config_offset,
                    std::uint8_t pm_capability);

/// All ioctls of peermr_bar, and mmap of its file.
void add_bar_calls(Fuzzer& fuzzer, std::uint32_t bar);

/// mmap of buffers, and a look through it.
void add_mmap_call(Fuzzer& fuzzer, const char* pool);

/// The fields of a structure of peermr_export.h that `offset` bytes precede, and how to fill them.
/// They refer to buffers of `pool`.
enum class Structure { kCreate, kRevoke, kRearm, kQuery, kInfo, kPrivate };
std::size_t bytes_of(Structure structure);
std::vector<Field> fields_of(Structure structure, std::size_t offset, const std::string& pool,
                             bool delegate);
void fill(Structure structure, Random& random, void* at, std::uint32_t bar);

}  // namespace fuzz
