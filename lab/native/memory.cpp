// SPDX-License-Identifier: BSD-2-Clause
#include "memory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "base/checked.hpp"

namespace peermr::native {

namespace {

// Between chunks, so that an access past the end of one meets nothing.
constexpr uint64_t kIovaGap = 1u << 20;

UniqueFd memory_file(uint64_t size_bytes) {
  UniqueFd fd(::memfd_create("pnic-native", MFD_CLOEXEC));
  if (fd && ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) fd.reset();
  return fd;
}

int copy_to_file(uintptr_t start, size_t length, int fd) {
  size_t done = 0;
  while (done < length) {
    // The kernel reads the memory: a page without a backing gives EFAULT instead of a signal.
    const ssize_t n = ::pwrite(fd, reinterpret_cast<const void*>(start + done), length - done,
                               static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0 ? EIO : errno;
    done += static_cast<size_t>(n);
  }
  return 0;
}

// Puts the file's pages, with the memory's present content, in the place of the memory.
int replace_by_file(uintptr_t start, size_t length, int prot, int fd) {
  if (const int error = copy_to_file(start, length, fd)) return error;
  void* const at = reinterpret_cast<void*>(start);
  return ::mmap(at, length, prot, MAP_SHARED | MAP_FIXED, fd, 0) == at ? 0 : errno;
}

// A caller may register a buffer of its stack, whose pages hold the frames of this very call: what
// is written to them between copy and map would be lost. So a thread with a stack of its own does
// it, while this one sleeps.
int replace_by_file_aside(uintptr_t start, size_t length, int prot, int fd) {
  int error = 0;
  try {
    std::thread([&] { error = replace_by_file(start, length, prot, fd); }).join();
  } catch (const std::system_error& e) {
    error = e.code().value();
  }
  return error;
}

// The descriptor of a shared mapping's file, if the process still has one.
UniqueFd find_open_file(dev_t device, ino_t inode) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc/self/fd"), &::closedir);
  if (!dir) return UniqueFd();
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const int fd = std::atoi(entry->d_name);
    struct stat st {};
    if (::fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == device && st.st_ino == inode)
      return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  }
  return UniqueFd();
}

}  // namespace

std::shared_ptr<Chunk> Memory::add(UniqueFd fd, uint64_t offset, uint64_t size_bytes) {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return nullptr;
  auto chunk = std::make_shared<Chunk>();
  chunk->fd = std::move(fd);
  chunk->device = st.st_dev;
  chunk->inode = st.st_ino;
  chunk->offset = offset;
  chunk->size_bytes = size_bytes;
  chunk->iova = next_iova_;
  next_iova_ = align_down(next_iova_ + size_bytes + 2 * kIovaGap, kIovaGap);
  return chunk;
}

// Forgets adopted memory that is neither pinned nor mapped any more.
void Memory::collect(const std::vector<Mapping>& maps) {
  std::erase_if(adopted_, [&maps](const std::shared_ptr<Chunk>& chunk) {
    return chunk->pins == 0 && std::none_of(maps.begin(), maps.end(), [&chunk](const Mapping& m) {
             return m.inode == chunk->inode && m.device == chunk->device;
           });
  });
}

int Memory::adopt(const Mapping& mapping, uintptr_t start, uintptr_t end, Piece& out) {
  const size_t length = end - start;
  UniqueFd fd = memory_file(length);
  if (!fd) return ENOMEM;
  auto chunk = add(std::move(fd), 0, length);
  if (chunk == nullptr) return ENOMEM;
  if (const int error = replace_by_file_aside(start, length, mapping.prot, chunk->fd.get()))
    return error;
  adopted_.push_back(chunk);
  out = {std::move(chunk), 0, length};
  return 0;
}

int Memory::borrow(const Mapping& mapping, uintptr_t start, uintptr_t end, Piece& out) {
  const uint64_t offset = mapping.offset + (start - mapping.start);
  for (const auto& chunk : adopted_) {
    if (chunk->inode == mapping.inode && chunk->device == mapping.device &&
        range_in<uint64_t>(offset, end - start, chunk->size_bytes)) {
      out = {chunk, offset, end - start};
      return 0;
    }
  }
  UniqueFd fd = find_open_file(mapping.device, mapping.inode);
  if (!fd) return EFAULT;
  auto chunk = add(std::move(fd), offset, end - start);
  if (chunk == nullptr) return EFAULT;
  chunk->writeable = (mapping.prot & PROT_WRITE) != 0;
  out = {std::move(chunk), 0, end - start};
  return 0;
}

int Memory::cover(const Mapping& mapping, uintptr_t start, uintptr_t end, Piece& out) {
  if (mapping.special || (mapping.prot & PROT_READ) == 0) return EFAULT;
  return mapping.shared ? borrow(mapping, start, end, out) : adopt(mapping, start, end, out);
}

int Memory::pin_piece(const Piece& piece) {
  Chunk& chunk = *piece.chunk;
  if (chunk.pins == 0) {
    if (const int error = client_.dma_map(chunk.iova, chunk.size_bytes, chunk.fd.get(),
                                          chunk.offset, chunk.writeable))
      return error;
  }
  ++chunk.pins;
  return 0;
}

int Memory::pin(uintptr_t address, size_t length, bool write, Pinned& out) {
  const auto last = checked_add<uintptr_t>(address, length);
  if (length == 0 || !last) return EINVAL;
  const auto end = align_up<uintptr_t>(*last, kPage);
  if (!end) return EINVAL;
  uintptr_t at = align_down<uintptr_t>(address, kPage);
  const std::vector<Mapping> maps = read_process_maps();
  collect(maps);

  int error = 0;
  for (const Mapping& mapping : maps) {
    if (mapping.end <= at) continue;
    if (mapping.start > at || at >= *end) break;
    if (write && (mapping.prot & PROT_WRITE) == 0) {
      error = EFAULT;
      break;
    }
    Piece piece;
    error = cover(mapping, at, std::min(mapping.end, *end), piece);
    if (error == 0) error = pin_piece(piece);
    if (error != 0) break;
    at += piece.size_bytes;
    out.push_back(std::move(piece));
  }
  if (error == 0 && at < *end) error = EFAULT;
  if (error != 0) unpin(out);
  return error;
}

int Memory::pin_file(int fd, uint64_t offset, uint64_t size_bytes, bool write, Pinned& out) {
  auto chunk = add(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)), offset, size_bytes);
  if (chunk == nullptr) return EBADF;
  chunk->writeable = write;
  Piece piece{std::move(chunk), 0, size_bytes};
  if (const int error = pin_piece(piece)) return error;
  out.push_back(std::move(piece));
  return 0;
}

void Memory::unpin(Pinned& pinned) {
  for (const Piece& piece : pinned) {
    // An error means that the device is gone, and its maps with it.
    if (--piece.chunk->pins == 0) client_.dma_unmap(piece.chunk->iova, piece.chunk->size_bytes);
  }
  pinned.clear();
}

std::vector<uint64_t> Memory::page_addresses(const Pinned& pinned) {
  std::vector<uint64_t> pages;
  for (const Piece& piece : pinned) {
    for (uint64_t at = 0; at < piece.size_bytes; at += kPage)
      pages.push_back(piece.chunk->iova + piece.offset + at);
  }
  return pages;
}

std::unique_ptr<DriverBuffer> DriverBuffer::create(Memory& memory, size_t bytes) {
  const auto size = align_up(bytes, kPage);
  if (!size || *size == 0) return nullptr;
  const UniqueFd fd = memory_file(*size);
  if (!fd) return nullptr;
  std::unique_ptr<DriverBuffer> buffer(new DriverBuffer(memory));
  void* const at = ::mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return nullptr;
  buffer->data_ = static_cast<std::byte*>(at);
  buffer->size_bytes_ = *size;
  if (memory.pin_file(fd.get(), 0, *size, true, buffer->pinned_) != 0) return nullptr;
  return buffer;
}

DriverBuffer::~DriverBuffer() {
  memory_.unpin(pinned_);
  if (data_ != nullptr) ::munmap(data_, size_bytes_);
}

}  // namespace peermr::native
