// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "peermr/unique_fd.hpp"
#include "process_maps.hpp"

namespace peermr::native {

/// A file that holds memory.
struct MemoryFile {
  UniqueFd fd;
  dev_t device = 0;
  ino_t inode = 0;
};

/// Null with errno when the descriptor is bad.
std::shared_ptr<MemoryFile> make_memory_file(UniqueFd fd);

/// An anonymous file of zeros; null when there is no memory or no descriptor left.
std::shared_ptr<MemoryFile> create_memory_file(uint64_t size_bytes);

/// The process's private memory that has been put into files. It stays there until it is unmapped,
/// whichever device it was done for, so there is one of these for the process.
class Adoption {
 public:
  static Adoption& instance();

  /// Held by whoever looks at the process's mappings to act on them, from looking to acting.
  std::mutex& mutex() noexcept { return mutex_; }

  /// Copies the private pages [start, end) to a file and maps that, shared, in their place. 0 or an
  /// errno value.
  int adopt(uintptr_t start, uintptr_t end, int prot, std::shared_ptr<MemoryFile>& out);

  /// The file of a shared mapping: one of ours, or one that the process has open. Null if neither.
  std::shared_ptr<MemoryFile> find(dev_t device, ino_t inode);

  /// Forgets files that nobody uses and that aren't mapped any more.
  void collect(const std::vector<Mapping>& maps);

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<MemoryFile>> files_;
};

}  // namespace peermr::native
