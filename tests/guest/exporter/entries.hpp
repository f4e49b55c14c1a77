// SPDX-License-Identifier: BSD-2-Clause
//
// Page-table entries as the kernel leaves them, seen by a probe at its function for huge entries.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace exporter_test {

/// A page-table entry for 2 MiB, of x86-64.
struct HugeEntry {
  std::uint64_t address;
  std::uint64_t value;

  bool present() const { return value & 1; }
  bool huge() const { return value & 1 << 7; }
  std::uint64_t physical() const { return value & 0x000f'ffff'ffe0'0000; }
  /// Index into the page attribute table: PAT, PCD, PWT.
  unsigned attribute() const {
    return static_cast<unsigned>((value >> 12 & 1) << 2 | (value >> 3 & 3));
  }
};

/// Linux' page attribute table.
constexpr unsigned kAttributeCombining = 1, kAttributeUncachedMinus = 2;

/// From now on, all huge entries that are made of memory without pages.
class HugeEntries {
 public:
  HugeEntries();
  ~HugeEntries();
  HugeEntries(const HugeEntries&) = delete;
  HugeEntries& operator=(const HugeEntries&) = delete;

  /// Whether this kernel has probes of that kind.
  static bool offered();
  /// Whether the probe is in place.
  bool possible() const { return possible_; }
  /// Those since the last call, read right after they were made.
  std::vector<HugeEntry> take() const;

 private:
  bool possible_ = false;
};

}  // namespace exporter_test
