// SPDX-License-Identifier: BSD-2-Clause
#include "irq_vectors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <string_view>

namespace peermr::nic {

using namespace vfio_user;

namespace {

/// Writing to anything else (a full pipe, a socket) could block the engine; only an eventfd is
/// taken, non-blocking.
bool make_safe_eventfd(int fd) {
  char link[64];
  char target[64] = {};
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, target, sizeof(target) - 1);
  if (length <= 0 ||
      std::string_view(target, static_cast<size_t>(length)) != "anon_inode:[eventfd]")
    return false;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return false;
  return (flags & O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

}  // namespace

int IrqVectors::set(const IrqSet& request, std::span<const std::byte> data,
                    std::vector<UniqueFd>& fds) {
  const uint32_t data_kind = request.flags & kIrqDataMask;
  const uint32_t action = request.flags & kIrqActions;
  if ((request.flags & ~(kIrqDataMask | kIrqActions)) != 0) return EINVAL;
  if (std::popcount(data_kind) != 1 || std::popcount(action) != 1) return EINVAL;
  if (data_kind != kIrqDataEventfd && !fds.empty()) return EINVAL;
  if (request.start > count() || request.count > count() - request.start) return EINVAL;

  if (data_kind == kIrqDataNone && request.count == 0) {
    if (action != kIrqActionTrigger || request.start != 0) return EINVAL;
    for (Vector& vector : vectors_) vector.eventfd.reset();
    return 0;
  }
  if (request.count == 0) return EINVAL;
  if (data_kind == kIrqDataEventfd) return set_eventfds(request, fds);
  if (data_kind == kIrqDataBool && data.size() < request.count) return EINVAL;

  for (uint32_t i = 0; i < request.count; ++i) {
    if (data_kind == kIrqDataBool && data[i] == std::byte{0}) continue;
    Vector& vector = vectors_[request.start + i];
    if (action == kIrqActionTrigger) {
      raise(request.start + i);
    } else {
      vector.masked = action == kIrqActionMask;
      deliver_pending(vector);
    }
  }
  return 0;
}

int IrqVectors::set_eventfds(const IrqSet& request, std::vector<UniqueFd>& fds) {
  // Eventfds that would report masking to the client are of no use to a device without INTx.
  if ((request.flags & kIrqActionTrigger) == 0) return EINVAL;
  if (!fds.empty() && fds.size() != request.count) return EINVAL;
  for (const UniqueFd& fd : fds) {
    if (!make_safe_eventfd(fd.get())) return EINVAL;
  }
  for (uint32_t i = 0; i < request.count; ++i) {
    Vector& vector = vectors_[request.start + i];
    if (fds.empty()) {
      vector.eventfd.reset();
      continue;
    }
    vector.eventfd = std::move(fds[i]);
    deliver_pending(vector);
  }
  return 0;
}

void IrqVectors::deliver_pending(Vector& vector) noexcept {
  if (!vector.pending || vector.masked || !vector.eventfd) return;
  const uint64_t one = 1;
  // EAGAIN: the counter is full, so the client has an interrupt to see already.
  const ssize_t written = ::write(vector.eventfd.get(), &one, sizeof(one));
  static_cast<void>(written);
  vector.pending = false;
}

void IrqVectors::raise(uint32_t vector) noexcept {
  if (vector >= count()) return;
  vectors_[vector].pending = true;
  deliver_pending(vectors_[vector]);
}

uint64_t IrqVectors::pending_word(uint32_t word) const noexcept {
  uint64_t bits = 0;
  for (uint32_t i = 0; i < 64; ++i) {
    const uint64_t index = uint64_t{word} * 64 + i;
    if (index < vectors_.size() && vectors_[index].pending) bits |= uint64_t{1} << i;
  }
  return bits;
}

void IrqVectors::clear_pending() noexcept {
  for (Vector& vector : vectors_) vector.pending = false;
}

void IrqVectors::clear() noexcept {
  for (Vector& vector : vectors_) {
    vector.eventfd.reset();
    vector.masked = false;
    vector.pending = false;
  }
}

}  // namespace peermr::nic
