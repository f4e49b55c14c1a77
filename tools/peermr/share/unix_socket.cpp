// SPDX-License-Identifier: BSD-2-Clause
#include "share/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace peermr::tool {
namespace {

constexpr int kBacklog = 16;
constexpr std::size_t kMaxDescriptors = 8;  // that a peer may send with one message

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return make_error(std::errc::invalid_argument, "use socket", "\"\"");
  if (path.size() >= sizeof address.sun_path) {
    return make_error(std::errc::filename_too_long, "use socket", path,
                      "a socket's path has at most 107 bytes");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> make_socket(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(errno, "make a socket for", path);
  return fd;
}

int connect_to(int fd, const sockaddr_un& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0
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
    return make_error(std::errc::address_in_use, "make socket", path,
                      error_number == 0 ? "somebody listens there: another peermr export?"
                                        : "it is not clear whether somebody listens there");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return errno_error(errno, "remove the old socket", path);
  }
  return {};
}

}  // namespace

Result<ListeningSocket> ListeningSocket::create(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  if (auto removed = remove_stale(path, *address); !removed) return std::move(removed).error();
  auto fd = make_socket(path);
  if (!fd) return std::move(fd).error();
  // The file takes its mode from the socket, so that it is never open to others.
  if (::fchmod(fd->get(), 0600) != 0 ||
      ::bind(fd->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return errno_error(errno, "make socket", path);
  }
  ListeningSocket socket(*std::move(fd), path);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    socket.device_ = info.st_dev;
    socket.inode_ = info.st_ino;
  }
  if (::listen(socket.fd(), kBacklog) != 0) return errno_error(errno, "listen on", path);
  return socket;
}

ListeningSocket::~ListeningSocket() {
  struct stat info {};
  if (!fd_ || ::lstat(path_.c_str(), &info) != 0) return;
  if (info.st_dev == device_ && info.st_ino == inode_) ::unlink(path_.c_str());
}

Result<UniqueFd> connect_unix(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return address.error();
  auto fd = make_socket(path);
  if (!fd) return fd;
  const int error_number = connect_to(fd->get(), *address);
  if (error_number == 0) return fd;
  std::string remedy;
  if (error_number == ENOENT || error_number == ECONNREFUSED) {
    remedy = "is peermr export running there?";
  }
  if (error_number == EACCES) remedy = "only the user who exports may";
  return errno_error(error_number, "connect to", path, remedy);
}

ssize_t send_some(int fd, std::string_view data, int descriptor) {
  iovec part{const_cast<char*>(data.data()), data.size()};
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
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

ssize_t receive_some(int fd, void* data, std::size_t bytes, UniqueFd& descriptor) {
  iovec part{data, bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return -errno;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int value = -1;
      std::memcpy(&value, CMSG_DATA(header) + i * sizeof(int), sizeof value);
      UniqueFd owned(value);
      if (!descriptor) descriptor = std::move(owned);
    }
  }
  return got;
}

}  // namespace peermr::tool
