// SPDX-License-Identifier: BSD-2-Clause
#include "memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

#include "base/checked.hpp"

namespace peermr::native {

namespace {

// Between chunks, so that an access past the end of one meets nothing.
constexpr uint64_t kIovaGap = 1u << 20;

}  // namespace

int Memory::pin_range(std::shared_ptr<MemoryFile> file, uint64_t offset, uint64_t size_bytes,
                      bool writeable, Piece& out) {
  for (const auto& chunk : chunks_) {
    if (chunk->file->inode != file->inode || chunk->file->device != file->device ||
        chunk->writeable != writeable || offset < chunk->offset ||
        !range_in(offset - chunk->offset, size_bytes, chunk->size_bytes))
      continue;
    ++chunk->pins;
    out = {chunk, offset - chunk->offset, size_bytes};
    return 0;
  }
  auto chunk = std::make_shared<Chunk>();
  chunk->file = std::move(file);
  chunk->offset = offset;
  chunk->size_bytes = size_bytes;
  chunk->writeable = writeable;
  chunk->iova = next_iova_;
  if (const int error = client_.dma_map(chunk->iova, size_bytes, chunk->file->fd.get(), offset,
                                        writeable))
    return error;
  next_iova_ = align_down(next_iova_ + size_bytes + 2 * kIovaGap, kIovaGap);
  chunk->pins = 1;
  chunks_.push_back(chunk);
  out = {std::move(chunk), 0, size_bytes};
  return 0;
}

int Memory::cover(const Mapping& mapping, uintptr_t start, uintptr_t end, Piece& out) {
  if (mapping.special || (mapping.prot & PROT_READ) == 0) return EFAULT;
  const bool writeable = (mapping.prot & PROT_WRITE) != 0;
  Adoption& adoption = Adoption::instance();
  std::shared_ptr<MemoryFile> file;
  if (!mapping.shared) {
    if (const int error = adoption.adopt(start, end, mapping.prot, file)) return error;
    return pin_range(std::move(file), 0, end - start, writeable, out);
  }
  file = adoption.find(mapping.device, mapping.inode);
  if (file == nullptr) return EFAULT;
  return pin_range(std::move(file), mapping.offset + (start - mapping.start), end - start,
                   writeable, out);
}

int Memory::pin_mappings(uintptr_t start, uintptr_t end, bool write, Pinned& out) {
  const std::lock_guard guard(Adoption::instance().mutex());
  const std::vector<Mapping> maps = read_process_maps();
  Adoption::instance().collect(maps);
  for (const Mapping& mapping : maps) {
    if (mapping.end <= start) continue;
    if (mapping.start > start || start >= end) break;
    if (write && (mapping.prot & PROT_WRITE) == 0) return EFAULT;
    Piece piece;
    if (const int error = cover(mapping, start, std::min(mapping.end, end), piece)) return error;
    start += piece.size_bytes;
    out.push_back(std::move(piece));
  }
  return start < end ? EFAULT : 0;
}

int Memory::pin(uintptr_t address, size_t length, bool write, Pinned& out) {
  const auto last = checked_add<uintptr_t>(address, length);
  if (length == 0 || !last) return EINVAL;
  const auto end = align_up<uintptr_t>(*last, kPage);
  if (!end) return EINVAL;
  const int error = pin_mappings(align_down<uintptr_t>(address, kPage), *end, write, out);
  if (error != 0) unpin(out);
  return error;
}

int Memory::pin_file(int fd, uint64_t offset, uint64_t size_bytes, bool write, Pinned& out) {
  auto file = make_memory_file(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
  if (file == nullptr) return EBADF;
  Piece piece;
  if (const int error = pin_range(std::move(file), offset, size_bytes, write, piece)) return error;
  out.push_back(std::move(piece));
  return 0;
}

void Memory::unpin(Pinned& pinned) {
  for (const Piece& piece : pinned) {
    if (--piece.chunk->pins != 0) continue;
    // An error means that the device is gone, and its maps with it.
    client_.dma_unmap(piece.chunk->iova, piece.chunk->size_bytes);
    chunks_.remove(piece.chunk);
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
  auto file = create_memory_file(*size);
  if (file == nullptr) return nullptr;
  std::unique_ptr<DriverBuffer> buffer(new DriverBuffer(memory));
  void* const at =
      ::mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd.get(), 0);
  if (at == MAP_FAILED) return nullptr;
  buffer->data_ = static_cast<std::byte*>(at);
  buffer->size_bytes_ = *size;
  Piece piece;
  if (memory.pin_range(std::move(file), 0, *size, true, piece) != 0) return nullptr;
  buffer->pinned_.push_back(std::move(piece));
  return buffer;
}

DriverBuffer::~DriverBuffer() {
  memory_.unpin(pinned_);
  if (data_ != nullptr) ::munmap(data_, size_bytes_);
}

}  // namespace peermr::native
