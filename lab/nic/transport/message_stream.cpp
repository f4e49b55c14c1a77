// SPDX-License-Identifier: BSD-2-Clause
#include "message_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace peermr::nic {

using vfio_user::Header;

namespace {

// SCM_MAX_FD of the kernel: with room for that many nothing is ever truncated, and surplus
// descriptors get closed.
constexpr size_t kKernelMaxFds = 253;

// A peer that does not read its replies while it keeps sending commands is cut off here.
constexpr size_t kMaxQueuedBytes = 8u << 20;

/// No message carries sockets. One that holds the peer's own end would keep the connection open
/// when the peer is gone.
bool is_socket(const UniqueFd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

MessageStream::MessageStream(UniqueFd socket) : socket_(std::move(socket)), buffer_(4096) {}

ReceiveStatus MessageStream::read_some(size_t want) {
  alignas(cmsghdr) char control[CMSG_SPACE(kKernelMaxFds * sizeof(int))];
  iovec iov{buffer_.data() + have_, want};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  msg.msg_control = control;
  msg.msg_controllen = sizeof(control);
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket_.get(), &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK ? ReceiveStatus::kAgain : ReceiveStatus::kClosed;
  for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds_.emplace_back(fd);
    }
  }
  if (got == 0) return ReceiveStatus::kClosed;
  if (std::any_of(fds_.begin(), fds_.end(), is_socket)) return ReceiveStatus::kViolation;
  // MSG_CTRUNC: descriptors were lost (our own limit of open files, most likely), so pairs cannot
  // be trusted.
  if ((msg.msg_flags & MSG_CTRUNC) != 0 || fds_.size() > vfio_user::kMaxMsgFds)
    return ReceiveStatus::kViolation;
  have_ += static_cast<size_t>(got);
  return ReceiveStatus::kMessage;
}

ReceiveStatus MessageStream::receive(Message& message) {
  Header header{};
  for (;;) {
    size_t target = sizeof(Header);
    if (have_ >= sizeof(Header)) {
      std::memcpy(&header, buffer_.data(), sizeof(header));
      if (header.size < sizeof(Header) || header.size > vfio_user::kMaxMessageBytes)
        return ReceiveStatus::kViolation;
      target = header.size;
    }
    if (have_ == target && have_ >= sizeof(Header)) break;
    if (buffer_.size() < target) buffer_.resize(target);
    const ReceiveStatus status = read_some(target - have_);
    if (status != ReceiveStatus::kMessage) return status;
  }
  message.header = header;
  message.payload =
      std::span<const std::byte>(buffer_).subspan(sizeof(Header), header.size - sizeof(Header));
  message.fds = std::move(fds_);
  fds_.clear();
  have_ = 0;
  return ReceiveStatus::kMessage;
}

long MessageStream::send_now(std::span<const std::byte> bytes, std::span<const int> fds) {
  alignas(cmsghdr) char control[CMSG_SPACE(vfio_user::kMaxMsgFds * sizeof(int))] = {};
  iovec iov{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  if (!fds.empty()) {
    msg.msg_control = control;
    msg.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  return sent;
}

bool MessageStream::send(Header header, std::span<const std::byte> first,
                         std::span<const std::byte> second, std::span<const int> fds) {
  header.size = static_cast<uint32_t>(sizeof(Header) + first.size() + second.size());
  scratch_.resize(header.size);
  std::memcpy(scratch_.data(), &header, sizeof(header));
  if (!first.empty()) std::memcpy(scratch_.data() + sizeof(header), first.data(), first.size());
  if (!second.empty())
    std::memcpy(scratch_.data() + sizeof(header) + first.size(), second.data(), second.size());

  size_t sent = 0;
  if (queue_.empty()) {
    const long now = send_now(scratch_, fds);
    if (now < 0) return false;
    sent = static_cast<size_t>(now);
    if (sent == scratch_.size()) return true;
  }
  if (queued_bytes_ + scratch_.size() - sent > kMaxQueuedBytes) return false;
  Queued queued;
  queued.bytes.assign(scratch_.begin() + static_cast<std::ptrdiff_t>(sent), scratch_.end());
  if (sent == 0) {  // descriptors travel with the first byte
    for (const int fd : fds) {
      UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      if (!copy) return false;
      queued.fds.push_back(std::move(copy));
    }
  }
  queued_bytes_ += queued.bytes.size();
  queue_.push_back(std::move(queued));
  return true;
}

bool MessageStream::flush() {
  while (!queue_.empty()) {
    Queued& front = queue_.front();
    std::vector<int> raw;
    for (const UniqueFd& fd : front.fds) raw.push_back(fd.get());
    const long now = send_now(std::span<const std::byte>(front.bytes).subspan(front.sent), raw);
    if (now < 0) return false;
    if (now == 0) return true;
    front.fds.clear();
    front.sent += static_cast<size_t>(now);
    queued_bytes_ -= static_cast<size_t>(now);
    if (front.sent < front.bytes.size()) return true;
    queue_.pop_front();
  }
  return true;
}

}  // namespace peermr::nic
