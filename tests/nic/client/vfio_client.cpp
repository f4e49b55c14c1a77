// SPDX-License-Identifier: BSD-2-Clause
#include "vfio_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>

namespace peermr::test {

namespace {

constexpr int kReplyTimeoutMs = 10000;

}  // namespace

VfioClient::VfioClient(const std::string& path, bool negotiate_version) {
  socket_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    throw std::runtime_error("connect " + path);
  }
  if (negotiate_version && !negotiate(0, 0, default_capabilities()).ok())
    throw std::runtime_error("VERSION refused");
}

std::string VfioClient::default_capabilities() {
  return R"({"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576,"write_multiple":true}})";
}

Reply VfioClient::negotiate(uint16_t major, uint16_t minor, const std::string& json,
                            bool terminated) {
  Payload payload;
  payload.u16(major).u16(minor).raw(json.c_str(), json.size() + (terminated ? 1 : 0));
  return call(kCmdVersion, payload);
}

bool VfioClient::send_raw(std::span<const std::byte> bytes, std::span<const int> fds) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = {};
    iovec iov{const_cast<std::byte*>(bytes.data()) + sent, bytes.size() - sent};
    msghdr msg{};
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    if (!fds.empty() && sent == 0) {
      msg.msg_control = control;
      msg.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* c = CMSG_FIRSTHDR(&msg);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
    }
    const ssize_t now = ::sendmsg(socket_.get(), &msg, MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += static_cast<size_t>(now);
  }
  return true;
}

uint16_t VfioClient::post(uint16_t command, std::span<const std::byte> payload, uint32_t flags,
                          std::span<const int> fds) {
  const uint16_t id = next_id_++;
  const MessageHeader header{id, command, static_cast<uint32_t>(sizeof(header) + payload.size()),
                             flags, 0};
  Payload message;
  message.raw(&header, sizeof(header)).raw(payload.data(), payload.size());
  send_raw(message.bytes(), fds);
  return id;
}

bool VfioClient::receive(Incoming& message, int timeout_ms) {
  const auto read_all = [&](void* to, size_t size) {
    size_t have = 0;
    while (have < size) {
      pollfd ready{socket_.get(), POLLIN, 0};
      if (::poll(&ready, 1, have > 0 ? kReplyTimeoutMs : timeout_ms) <= 0) return have > 0 ? -1 : 0;
      alignas(cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))];
      iovec iov{static_cast<std::byte*>(to) + have, size - have};
      msghdr msg{};
      msg.msg_iov = &iov;
      msg.msg_iovlen = 1;
      msg.msg_control = control;
      msg.msg_controllen = sizeof(control);
      const ssize_t got = ::recvmsg(socket_.get(), &msg, MSG_CMSG_CLOEXEC);
      if (got <= 0) return -1;
      for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
          int fd = -1;
          std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
          message.fds.emplace_back(fd);
        }
      }
      have += static_cast<size_t>(got);
    }
    return 1;
  };
  message.fds.clear();
  const int head = read_all(&message.header, sizeof(message.header));
  if (head == 0) return false;
  if (head > 0 && message.header.size >= sizeof(message.header)) {
    message.payload.resize(message.header.size - sizeof(message.header));
    if (message.payload.empty() || read_all(message.payload.data(), message.payload.size()) > 0)
      return true;
  }
  message.header = {};
  message.header.flags = ~0u;  // closed
  return true;
}

void VfioClient::answer_dma(const Incoming& request) {
  uint64_t access[2] = {};
  if (request.payload.size() < sizeof(access)) throw std::runtime_error("short DMA request");
  std::memcpy(access, request.payload.data(), sizeof(access));
  const auto [address, count] = access;
  const bool inside = address >= remote.address &&
                      address - remote.address <= remote.bytes.size() &&
                      count <= remote.bytes.size() - (address - remote.address);
  MessageHeader header{request.header.id, request.header.command, sizeof(MessageHeader), kFlagReply,
                       0};
  Payload message;
  if (!inside || remote.fail) {
    header.flags |= kFlagError;
    header.error = EFAULT;
    message.raw(&header, sizeof(header));
  } else {
    std::byte* at = remote.bytes.data() + (address - remote.address);
    const bool read = request.header.command == kCmdDmaRead;
    if (!read) std::memcpy(at, request.payload.data() + sizeof(access), count);
    header.size += static_cast<uint32_t>(sizeof(access) + (read ? count : 0));
    message.raw(&header, sizeof(header)).raw(access, sizeof(access));
    if (read) message.raw(at, count);
  }
  send_raw(message.bytes());
}

void VfioClient::release_dma() {
  for (const Incoming& request : held_) answer_dma(request);
  held_.clear();
}

void VfioClient::serve(int timeout_ms) {
  Incoming message;
  if (!receive(message, timeout_ms)) return;
  if (message.header.flags == ~0u) throw std::runtime_error("connection closed");
  if ((message.header.flags & 0xf) == kFlagReply) {
    Reply reply;
    reply.error = (message.header.flags & kFlagError) != 0
                      ? (message.header.error != 0 ? message.header.error : EIO)
                      : 0;
    reply.payload = std::move(message.payload);
    reply.fds = std::move(message.fds);
    replies_[message.header.id] = std::move(reply);
    return;
  }
  ++dma_requests;
  if (hold_dma) {
    held_.push_back(std::move(message));
  } else {
    answer_dma(message);
  }
}

Reply VfioClient::wait_for(uint16_t id) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kReplyTimeoutMs);
  while (std::chrono::steady_clock::now() < deadline) {
    if (const auto it = replies_.find(id); it != replies_.end()) {
      Reply reply = std::move(it->second);
      replies_.erase(it);
      return reply;
    }
    try {
      serve(100);
    } catch (const std::runtime_error&) {
      Reply closed;
      closed.closed = true;
      return closed;
    }
  }
  throw std::runtime_error("no reply");
}

Reply VfioClient::call(uint16_t command, std::span<const std::byte> payload,
                       std::span<const int> fds) {
  return wait_for(post(command, payload, 0, fds));
}

bool VfioClient::wait_closed() {
  for (int i = 0; i < 20; ++i) {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 100) <= 0) continue;
    char buffer[4096];
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
  }
  return false;
}

uint64_t VfioClient::read(uint32_t region, uint64_t offset, size_t size) {
  const Reply reply =
      call(kCmdRegionRead, Payload().u64(offset).u32(region).u32(static_cast<uint32_t>(size)));
  if (!reply.ok() || reply.payload.size() != 16 + size)
    throw std::runtime_error("REGION_READ failed");
  uint64_t value = 0;
  std::memcpy(&value, reply.payload.data() + 16, size);
  return value;
}

void VfioClient::write(uint32_t region, uint64_t offset, uint64_t value, size_t size) {
  const Reply reply =
      call(kCmdRegionWrite,
           Payload().u64(offset).u32(region).u32(static_cast<uint32_t>(size)).raw(&value, size));
  if (!reply.ok()) throw std::runtime_error("REGION_WRITE failed");
}

Reply VfioClient::dma_map(uint64_t iova, uint64_t size, uint64_t offset, int fd, uint32_t flags) {
  const std::span<const int> fds(&fd, fd >= 0 ? 1 : 0);
  return call(kCmdDmaMap, Payload().u32(32).u32(flags).u64(offset).u64(iova).u64(size), fds);
}

Reply VfioClient::dma_unmap(uint64_t iova, uint64_t size, uint32_t flags) {
  return call(kCmdDmaUnmap, Payload().u32(24).u32(flags).u64(iova).u64(size));
}

Reply VfioClient::set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                           std::span<const int> fds, std::span<const std::byte> data) {
  Payload payload;
  payload.u32(static_cast<uint32_t>(20 + data.size())).u32(flags).u32(index).u32(start).u32(count);
  payload.raw(data.data(), data.size());
  return call(kCmdSetIrqs, payload, fds);
}

Reply VfioClient::region_info(uint32_t index, uint32_t argsz) {
  return call(kCmdRegionInfo, Payload().u32(argsz).u32(0).u32(index).u32(0).u64(0).u64(0));
}

}  // namespace peermr::test
