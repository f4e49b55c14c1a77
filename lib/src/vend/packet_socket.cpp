// SPDX-License-Identifier: BSD-2-Clause
#include "vend/packet_socket.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace peermr::vend {
namespace {

constexpr int kBacklog = 64;
// Room for some hundred packets: whoever has not read so many is not going to.
constexpr int kSendBufferBytes = 128 << 10;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return make_error(std::errc::invalid_argument, "use socket", "\"\"");
  if (path.size() >= sizeof(address.sun_path)) {
    return make_error(std::errc::filename_too_long, "use socket", path,
                      "a socket's path has at most 107 bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> make_socket(const std::string& path, int flags = SOCK_NONBLOCK) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
  if (!fd) return errno_error(errno, "make a socket for", path);
  return fd;
}

int connect_to(int fd, const sockaddr_un& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? 0
                                                                                          : errno;
}

// Whoever ended without cleaning up left a socket that nobody listens on.
Result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return errno_error(errno, "look at", path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return errno_error(EEXIST, "make socket", path, "it is something else, and is left alone");
  }
  auto fd = make_socket(path);
  if (!fd) return std::move(fd).error();
  const int error_number = connect_to(fd->get(), address);
  if (error_number != ECONNREFUSED && error_number != ENOENT) {
    return make_error(std::errc::address_in_use, "make socket", path, "somebody listens there");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return errno_error(errno, "remove the old socket", path);
  }
  return {};
}

// The group first: a mode that lets a group in must not let in the wrong one.
Result<void> open_to_others(const PacketListener::Options& options) {
  if (options.group && ::lchown(options.path.c_str(), static_cast<uid_t>(-1), *options.group)) {
    return errno_error(errno, "change the group of", options.path);
  }
  if (::chmod(options.path.c_str(), options.mode & 0777) != 0) {
    return errno_error(errno, "change the mode of", options.path);
  }
  return {};
}

}  // namespace

Result<PacketListener> PacketListener::create(const Options& options) {
  const auto address = address_of(options.path);
  if (!address) return address.error();
  if (auto removed = remove_stale(options.path, *address); !removed) {
    return std::move(removed).error();
  }
  auto fd = make_socket(options.path);
  if (!fd) return std::move(fd).error();
  // The file takes its mode from the socket, so that it is never open to more than it should be.
  if (::fchmod(fd->get(), 0600) != 0 ||
      ::bind(fd->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return errno_error(errno, "make socket", options.path);
  }
  PacketListener listener(*std::move(fd), options.path);
  struct stat info {};
  if (::lstat(options.path.c_str(), &info) == 0) {
    listener.device_ = info.st_dev;
    listener.inode_ = info.st_ino;
  }
  if (auto opened = open_to_others(options); !opened) return std::move(opened).error();
  if (::listen(listener.fd(), kBacklog) != 0) return errno_error(errno, "listen on", options.path);
  return listener;
}

PacketListener::~PacketListener() {
  struct stat info {};
  if (!fd_ || ::lstat(path_.c_str(), &info) != 0) return;
  if (info.st_dev == device_ && info.st_ino == inode_) ::unlink(path_.c_str());
}

Result<std::optional<Peer>> PacketListener::accept() const {
  UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return std::optional<Peer>();
    return errno_error(errno, "accept a connection on", path_);
  }
  ucred credentials{};
  socklen_t length = sizeof(credentials);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return errno_error(errno, "ask who connected to", path_);
  }
  // A machine that allows less has less: nothing depends on the exact size.
  static_cast<void>(
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes)));
  return std::optional<Peer>(
      Peer{.fd = std::move(fd), .pid = credentials.pid, .uid = credentials.uid});
}

Result<UniqueFd> connect_packets(const std::string& path, std::chrono::milliseconds limit) {
  const auto address = address_of(path);
  if (!address) return address.error();
  auto fd = make_socket(path, 0);
  if (!fd) return fd;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timeval time{.tv_sec = seconds.count(),
                     .tv_usec = std::chrono::microseconds(limit - seconds).count()};
  if (::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)) != 0) {
    return errno_error(errno, "make a socket for", path);
  }
  const int error_number = connect_to(fd->get(), *address);
  if (error_number == 0) return fd;
  std::string remedy;
  if (error_number == ENOENT || error_number == ECONNREFUSED) {
    remedy = "is peermr vend running there?";
  }
  if (error_number == EACCES) remedy = "the vendor's --socket-mode and --socket-group say who may";
  if (error_number == EPROTOTYPE) remedy = "it is a socket of another kind, not a vendor's";
  if (error_number == EAGAIN) remedy = "the vendor does not take connections";
  return errno_error(error_number, "connect to", path, remedy);
}

int send_packet(int fd, std::span<const std::byte> packet, int descriptor) {
  iovec part{const_cast<std::byte*>(packet.data()), packet.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(descriptor));
  }
  while (::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

Received receive_packet(int fd, std::span<std::byte> room, UniqueFd* descriptor) {
  iovec part{room.data(), room.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // Where there is no room for descriptors, the kernel closes what was sent.
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (descriptor != nullptr) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  ssize_t got = 0;
  do {
    got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return {.error_number = errno};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(header) + i * sizeof(int), sizeof(value));
      *descriptor = UniqueFd(value);  // and closes the one before
    }
  }
  return {.bytes = static_cast<std::size_t>(got),
          .overlong = (message.msg_flags & MSG_TRUNC) != 0,
          .descriptors = (message.msg_flags & MSG_CTRUNC) != 0};
}

}  // namespace peermr::vend
