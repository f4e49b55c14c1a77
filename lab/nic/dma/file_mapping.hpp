// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr::nic {

/// A peer's file, mapped shared, and guarded against its truncation. Unmapped with its last owner.
class FileMapping {
 public:
  /// Maps [offset, offset + length) of `fd`; both are multiples of the file's page size, and the
  /// range lies in the file. Errors: what mmap(2) reports; ENOSPC when too many files are mapped.
  static Result<std::shared_ptr<FileMapping>> create(int fd, uint64_t offset, uint64_t length,
                                                     bool writable);

  ~FileMapping();
  FileMapping(const FileMapping&) = delete;
  FileMapping& operator=(const FileMapping&) = delete;

  /// Whether the mapping holds this range of the file.
  bool covers(uint64_t offset, uint64_t length) const noexcept;

  /// The address of a file offset that the mapping covers.
  std::byte* at(uint64_t offset) const noexcept { return address_ + (offset - offset_); }

  bool writable() const noexcept { return writable_; }

  /// The peer took pages away: what is here now is not its memory any more.
  bool poisoned() const noexcept;

 private:
  FileMapping(std::byte* address, uint64_t offset, uint64_t length, bool writable, int guard)
      : address_(address), offset_(offset), length_(length), writable_(writable), guard_(guard) {}

  std::byte* address_;
  uint64_t offset_;
  uint64_t length_;
  bool writable_;
  int guard_;
};

/// Maps each file once, however many ranges of it arrive and with however many descriptors: a VMM
/// with an IOMMU sends one descriptor for every page. Does not keep descriptors. Single-threaded.
class FileMappingCache {
 public:
  /// A mapping that holds [offset, offset + length) of `fd`. `writable` asks for write access.
  /// Errors: EINVAL for a descriptor that isn't a regular file of a local file system, or a range
  /// outside of the file; EACCES for writing through a read-only descriptor; what mmap(2) reports.
  Result<std::shared_ptr<FileMapping>> get(const UniqueFd& fd, uint64_t offset, uint64_t length,
                                           bool writable);

  /// True if a mapping that is in use has been poisoned.
  bool any_poisoned() const;

 private:
  using Key = std::tuple<dev_t, ino_t, bool>;  // the last: opened for writing

  std::map<Key, std::weak_ptr<FileMapping>> files_;
};

}  // namespace peermr::nic
