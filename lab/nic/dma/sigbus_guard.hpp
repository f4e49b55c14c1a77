// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>

namespace peermr::nic {

/// Survives a peer that truncates a file which this process has mapped: touching the missing pages
/// raises SIGBUS. The guard's handler then puts zeroed private memory in place of the whole mapping
/// and marks it poisoned, so that the interrupted copy goes on, harmlessly, and the owner can drop
/// the peer afterwards.
///
/// A fixed table of mappings, read by the signal handler: registering and removing happen on one
/// thread, the one that touches the mappings. A SIGBUS anywhere else ends the process as it always
/// did.
class SigbusGuard {
 public:
  /// Installs the handler, once for the process.
  static void install();

  /// Watches [address, address + length), page-aligned. Returns a slot, or -1 if the table is full.
  static int watch(void* address, size_t length, bool writable) noexcept;

  /// Stops watching; -1 is ignored.
  static void unwatch(int slot) noexcept;

  /// Whether the mapping has been replaced.
  static bool poisoned(int slot) noexcept;

  /// Counts the mappings ever replaced: cheap to compare, to know when to look at poisoned().
  static unsigned poison_count() noexcept;
};

}  // namespace peermr::nic
