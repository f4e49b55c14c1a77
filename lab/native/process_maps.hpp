// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace peermr::native {

/// A line of /proc/self/maps.
struct Mapping {
  uintptr_t start = 0;
  uintptr_t end = 0;
  int prot = 0;  // PROT_*
  bool shared = false;
  bool special = false;  // of the kernel's own making: [vdso] and the like
  uint64_t offset = 0;   // in the file
  dev_t device = 0;
  ino_t inode = 0;  // 0: no file
};

/// The calling process's mappings, lowest first. Empty when /proc can't be read.
std::vector<Mapping> read_process_maps();

}  // namespace peermr::native
