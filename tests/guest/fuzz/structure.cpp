// SPDX-License-Identifier: BSD-2-Clause
#include "fuzz/structure.hpp"

#include <sys/mman.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fuzz {

std::uint64_t boundary_value(Random& random) {
  switch (random() % 6) {
    case 0:
      return random() % 16;
    case 1:
      return ~std::uint64_t{0} - random() % 16;
    case 2: {
      const std::uint64_t power = std::uint64_t{1} << random() % 64;
      return power + random() % 3 - 1;
    }
    case 3:
      return 4096 * (random() % 1024);
    case 4:
      return 0 - 4096 * (random() % 1024);
    default:
      return random();
  }
}

void store(void* structure, const Field& field, std::uint64_t value) {
  // Little endian, as everything that these modules run on.
  std::memcpy(static_cast<char*>(structure) + field.offset, &value, field.bytes);
}

GuardedPage::GuardedPage() {
  pages_ = ::mmap(nullptr, 2 * kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  read_only_ = ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages_ == MAP_FAILED || read_only_ == MAP_FAILED ||
      ::mprotect(static_cast<char*>(pages_) + kBytes, kBytes, PROT_NONE) != 0) {
    std::perror("mmap");
    std::_Exit(1);
  }
}

GuardedPage::~GuardedPage() {
  ::munmap(pages_, 2 * kBytes);
  ::munmap(read_only_, kBytes);
}

void* GuardedPage::end(std::size_t bytes) {
  void* start = static_cast<char*>(pages_) + kBytes - bytes;
  std::memset(start, 0, bytes);
  return start;
}

void* GuardedPage::bad_address(Random& random) const {
  char* end = static_cast<char*>(pages_) + kBytes;
  const std::array<void*, 7> addresses = {
      nullptr,
      reinterpret_cast<void*>(std::uintptr_t{8}),
      end,                                                     // not accessible
      end - 4,                                                 // the size, and no more
      read_only_,                                              // answers cannot be written
      reinterpret_cast<void*>(std::uintptr_t{1} << 63),        // not canonical
      reinterpret_cast<void*>(~std::uintptr_t{0} - 0x7ffffff), // the kernel's half
  };
  return addresses[random() % addresses.size()];
}

}  // namespace fuzz
