// SPDX-License-Identifier: BSD-2-Clause
#include "client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace peermr::native {

using namespace nic::vfio_user;

namespace {

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

constexpr std::string_view kCapabilities =
    R"({"capabilities":{"max_msg_fds":8,"max_data_xfer_size":1048576}})";

}  // namespace

Result<std::unique_ptr<Client>> Client::connect(const std::string& path,
                                                std::chrono::milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return errno_error(ENAMETOOLONG, "connect to pnicd", path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno_error(errno, "create a socket for", path);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return errno_error(errno, "connect to pnicd", path);
  std::unique_ptr<Client> client(new Client(std::move(socket)));
  client->timeout_ = timeout;
  if (const int error = client->negotiate())
    return errno_error(error, "negotiate with pnicd", path);
  return client;
}

int Client::negotiate() {
  const VersionFixed version{kVersionMajor, kVersionMinor};
  Reply reply;
  // The terminating NUL belongs to the data.
  const auto json = std::as_bytes(std::span(kCapabilities.data(), kCapabilities.size() + 1));
  if (const int error = request(Command::kVersion, bytes_of(version), json, {}, reply))
    return error;
  VersionFixed theirs{};
  if (reply.payload.size() < sizeof(theirs)) return EPROTO;
  std::memcpy(&theirs, reply.payload.data(), sizeof(theirs));
  return theirs.major == kVersionMajor ? 0 : EPROTONOSUPPORT;
}

int Client::send(const Header& header, std::span<const std::byte> first,
                 std::span<const std::byte> second, std::span<const int> fds) {
  std::vector<std::byte> message(sizeof(header));
  std::memcpy(message.data(), &header, sizeof(header));
  message.insert(message.end(), first.begin(), first.end());
  message.insert(message.end(), second.begin(), second.end());

  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMsgFds)] = {};
  size_t sent = 0;
  while (sent < message.size()) {
    iovec part{message.data() + sent, message.size() - sent};
    msghdr msg{};
    msg.msg_iov = &part;
    msg.msg_iovlen = 1;
    if (sent == 0 && !fds.empty()) {
      msg.msg_control = control;
      msg.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* cmsg = CMSG_FIRSTHDR(&msg);
      cmsg->cmsg_level = SOL_SOCKET;
      cmsg->cmsg_type = SCM_RIGHTS;
      cmsg->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(cmsg), fds.data(), fds.size_bytes());
    }
    const ssize_t n = ::sendmsg(socket_.get(), &msg, MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR) return ENOTCONN;
    if (n > 0) sent += static_cast<size_t>(n);
  }
  return 0;
}

int Client::receive_bytes(std::span<std::byte> out, UniqueFd& fd) {
  while (!out.empty()) {
    pollfd wait{socket_.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(timeout_.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return ETIMEDOUT;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMsgFds)];
    iovec part{out.data(), out.size()};
    msghdr msg{};
    msg.msg_iov = &part;
    msg.msg_iovlen = 1;
    msg.msg_control = control;
    msg.msg_controllen = sizeof(control);
    const ssize_t n = ::recvmsg(socket_.get(), &msg, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ENOTCONN;
    for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
        int value = -1;
        std::memcpy(&value, CMSG_DATA(c) + at, sizeof(value));
        fd.reset(value);
      }
    }
    out = out.subspan(static_cast<size_t>(n));
  }
  return 0;
}

int Client::receive(Header& header, Reply& reply) {
  reply.fd.reset();
  if (const int error = receive_bytes(std::as_writable_bytes(std::span(&header, 1)), reply.fd))
    return error;
  if (header.size < sizeof(header) || header.size > kMaxMessageBytes) return EPROTO;
  reply.payload.resize(header.size - sizeof(header));
  return receive_bytes(reply.payload, reply.fd);
}

// All memory is handed over with a descriptor: there is nothing to read or write on behalf of the
// device.
int Client::refuse(const Header& header) {
  const Header answer{header.id, header.command, sizeof(Header), kFlagTypeReply | kFlagError,
                      EFAULT};
  return send(answer, {}, {}, {});
}

int Client::request(Command command, std::span<const std::byte> first,
                    std::span<const std::byte> second, std::span<const int> fds, Reply& reply) {
  const std::lock_guard lock(mutex_);
  if (broken_) return ENOTCONN;
  const Header header{next_id_++, static_cast<uint16_t>(command),
                      static_cast<uint32_t>(sizeof(Header) + first.size() + second.size()),
                      kFlagTypeCommand, 0};
  int error = send(header, first, second, fds);
  while (error == 0) {
    Header answer{};
    error = receive(answer, reply);
    if (error != 0) break;
    if ((answer.flags & kFlagTypeMask) == kFlagTypeCommand) {
      error = refuse(answer);
      continue;
    }
    if (answer.id != header.id || answer.command != header.command) {
      error = EPROTO;
      break;
    }
    if ((answer.flags & kFlagError) == 0) return 0;
    return answer.error != 0 ? static_cast<int>(answer.error) : EIO;
  }
  broken_ = true;
  return error;
}

int Client::region_write(uint32_t region, uint64_t offset, std::span<const std::byte> data,
                         bool wait) {
  const RegionAccess access{offset, region, static_cast<uint32_t>(data.size())};
  if (wait) {
    Reply reply;
    return request(Command::kRegionWrite, bytes_of(access), data, {}, reply);
  }
  const std::lock_guard lock(mutex_);
  if (broken_) return ENOTCONN;
  const Header header{next_id_++, static_cast<uint16_t>(Command::kRegionWrite),
                      static_cast<uint32_t>(sizeof(Header) + sizeof(access) + data.size()),
                      kFlagTypeCommand | kFlagNoReply, 0};
  const int error = send(header, bytes_of(access), data, {});
  broken_ = error != 0;
  return error;
}

int Client::region_write32(uint32_t region, uint64_t offset, uint32_t value) {
  return region_write(region, offset, bytes_of(value), true);
}

int Client::region_write16(uint32_t region, uint64_t offset, uint16_t value) {
  return region_write(region, offset, bytes_of(value), true);
}

int Client::region_post32(uint32_t region, uint64_t offset, uint32_t value) {
  return region_write(region, offset, bytes_of(value), false);
}

int Client::region_read32(uint32_t region, uint64_t offset, uint32_t& value) {
  const RegionAccess access{offset, region, sizeof(value)};
  Reply reply;
  if (const int error = request(Command::kRegionRead, bytes_of(access), {}, {}, reply))
    return error;
  if (reply.payload.size() != sizeof(access) + sizeof(value)) return EPROTO;
  std::memcpy(&value, reply.payload.data() + sizeof(access), sizeof(value));
  return 0;
}

int Client::region_fd(uint32_t region, UniqueFd& fd, uint64_t& size_bytes) {
  RegionInfo info{};
  info.argsz = 4096;
  info.index = region;
  Reply reply;
  if (const int error = request(Command::kDeviceGetRegionInfo, bytes_of(info), {}, {}, reply))
    return error;
  if (reply.payload.size() < sizeof(info) || !reply.fd) return EPROTO;
  std::memcpy(&info, reply.payload.data(), sizeof(info));
  if ((info.flags & kRegionFlagMmap) == 0 || info.offset != 0) return EPROTO;
  fd = std::move(reply.fd);
  size_bytes = info.size;
  return 0;
}

int Client::set_msix(std::span<const int> eventfds) {
  const IrqSet set{sizeof(IrqSet), kIrqDataEventfd | kIrqActionTrigger, kMsixIrqIndex, 0,
                   static_cast<uint32_t>(eventfds.size())};
  Reply reply;
  return request(Command::kDeviceSetIrqs, bytes_of(set), {}, eventfds, reply);
}

int Client::dma_map(uint64_t iova, uint64_t size_bytes, int fd, uint64_t offset, bool writeable) {
  const DmaMap map{sizeof(DmaMap), kDmaReadable | (writeable ? kDmaWriteable : 0), offset, iova,
                   size_bytes};
  Reply reply;
  return request(Command::kDmaMap, bytes_of(map), {}, std::span(&fd, 1), reply);
}

int Client::dma_unmap(uint64_t iova, uint64_t size_bytes) {
  const DmaUnmap unmap{sizeof(DmaUnmap), 0, iova, size_bytes};
  Reply reply;
  return request(Command::kDmaUnmap, bytes_of(unmap), {}, {}, reply);
}

}  // namespace peermr::native
