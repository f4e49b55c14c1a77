// SPDX-License-Identifier: BSD-2-Clause
//
// Accesses that may end in SIGBUS.
#pragma once

#include <cstdint>
#include <optional>

namespace exporter_test {

/// The word at `at`, or nothing when reading it gives SIGBUS. Thread-safe: a fault is its thread's.
std::optional<std::uint32_t> try_read(const volatile std::uint32_t* at);

/// Whether writing it worked.
bool try_write(volatile std::uint32_t* at, std::uint32_t value);

}  // namespace exporter_test
