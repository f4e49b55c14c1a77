// SPDX-License-Identifier: BSD-2-Clause
#include "file_mapping.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "base/checked.hpp"
#include "sigbus_guard.hpp"

namespace peermr::nic {

namespace {

constexpr std::string_view kOperation = "map client memory";

// Larger files are mapped range by range: a sparse file may pretend to be of any size.
constexpr uint64_t kWholeFileLimitBytes = uint64_t{1} << 40;

// So many entries may be of files that nobody maps any more.
constexpr size_t kForgottenFiles = 64;

Error refused(int error, std::string_view why) {
  return errno_error(error, kOperation, {}, why);
}

struct FileFacts {
  struct stat status {};
  bool writable = false;
  uint64_t page_bytes = 0;
};

Result<FileFacts> examine(int fd) {
  FileFacts facts;
  if (::fstat(fd, &facts.status) != 0) return errno_error(errno, kOperation);
  if (!S_ISREG(facts.status.st_mode))
    return refused(EINVAL, "the descriptor is not a regular file");
  struct statfs fs {};
  if (::fstatfs(fd, &fs) != 0) return errno_error(errno, kOperation);
  // A page fault in a file that another process serves can take for ever.
  if (fs.f_type == FUSE_SUPER_MAGIC || fs.f_type == NFS_SUPER_MAGIC) {
    return refused(EINVAL, "the file is not on a local file system");
  }
  facts.page_bytes = fs.f_type == HUGETLBFS_MAGIC ? static_cast<uint64_t>(fs.f_bsize) : 4096;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) != 0) return refused(EINVAL, "the descriptor cannot be mapped");
  const int mode = flags & O_ACCMODE;
  if (mode == O_WRONLY) return refused(EACCES, "the descriptor is write-only");
  facts.writable = mode == O_RDWR;
  return facts;
}

}  // namespace

Result<std::shared_ptr<FileMapping>> FileMapping::create(int fd, uint64_t offset, uint64_t length,
                                                         bool writable) {
  const int protection = PROT_READ | (writable ? PROT_WRITE : 0);
  void* address = ::mmap(nullptr, length, protection, MAP_SHARED | MAP_NORESERVE, fd,
                         static_cast<off_t>(offset));
  if (address == MAP_FAILED) return errno_error(errno, kOperation, {}, "mmap");
  const int guard = SigbusGuard::watch(address, length, writable);
  if (guard < 0) {
    ::munmap(address, length);
    return refused(ENOSPC, "too many files");
  }
  return std::shared_ptr<FileMapping>(
      new FileMapping(static_cast<std::byte*>(address), offset, length, writable, guard));
}

FileMapping::~FileMapping() {
  SigbusGuard::unwatch(guard_);
  ::munmap(address_, length_);
}

bool FileMapping::covers(uint64_t offset, uint64_t length) const noexcept {
  return offset >= offset_ && range_in<uint64_t>(offset - offset_, length, length_);
}

bool FileMapping::poisoned() const noexcept {
  return SigbusGuard::poisoned(guard_);
}

Result<std::shared_ptr<FileMapping>> FileMappingCache::get(const UniqueFd& fd, uint64_t offset,
                                                           uint64_t length, bool writable) {
  auto facts = examine(fd.get());
  if (!facts) return std::move(facts).error();
  if (writable && !facts->writable) return refused(EACCES, "the descriptor is read-only");
  const auto file_bytes = static_cast<uint64_t>(facts->status.st_size);
  if (length == 0 || !range_in(offset, length, file_bytes))
    return refused(EINVAL, "the range ends past the file");

  if (files_.size() >= kForgottenFiles)
    std::erase_if(files_, [](const auto& file) { return file.second.expired(); });
  std::weak_ptr<FileMapping>& cached =
      files_[{facts->status.st_dev, facts->status.st_ino, facts->writable}];
  if (auto mapping = cached.lock();
      mapping && mapping->covers(offset, length) && !mapping->poisoned())
    return mapping;

  // All of the file, for the ranges to come; if it has grown since, the older mapping stays with
  // its ranges.
  uint64_t begin = 0;
  uint64_t bytes = align_down(file_bytes, facts->page_bytes);
  if (file_bytes > kWholeFileLimitBytes || !range_in(offset, length, bytes)) {
    begin = align_down(offset, facts->page_bytes);
    const auto rounded = align_up(offset - begin + length, facts->page_bytes);
    if (!rounded) return refused(EINVAL, "the range wraps around");
    bytes = *rounded;
  }
  auto mapping = FileMapping::create(fd.get(), begin, bytes, facts->writable);
  if (mapping) cached = *mapping;
  return mapping;
}

bool FileMappingCache::any_poisoned() const {
  for (const auto& [key, file] : files_) {
    const auto mapping = file.lock();
    if (mapping && mapping->poisoned()) return true;
  }
  return false;
}

}  // namespace peermr::nic
