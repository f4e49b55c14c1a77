// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "fuzz/ioctl_fuzz.hpp"

namespace fuzz {

/// A number that code tends to get wrong: around powers of two and page sizes, signs, all ones.
std::uint64_t boundary_value(Random& random);

/// Puts the low bytes of `value` into a field.
void store(void* structure, const Field& field, std::uint64_t value);

/// A page that an inaccessible one follows: a structure at its end cannot be read past. Each thread
/// has its own.
class GuardedPage {
 public:
  GuardedPage();
  ~GuardedPage();
  GuardedPage(const GuardedPage&) = delete;
  GuardedPage& operator=(const GuardedPage&) = delete;

  static constexpr std::size_t kBytes = 4096;

  /// Room for so many zero bytes right before the inaccessible page.
  void* end(std::size_t bytes);
  /// Addresses that the kernel must refuse, or find unreadable or unwritable.
  void* bad_address(Random& random) const;

 private:
  void* pages_;
  void* read_only_;
};

}  // namespace fuzz
