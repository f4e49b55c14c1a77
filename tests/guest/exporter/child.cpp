// SPDX-License-Identifier: BSD-2-Clause
#include "exporter/child.hpp"

#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "exporter/fault.hpp"
#include "pnic/verbs.hpp"

namespace exporter_test {

using pnic_test::require;

namespace {

constexpr std::size_t kMaxFds = 2;

// One message with descriptors.
bool send_message(int socket, const void* data, std::size_t bytes, const std::vector<int>& fds) {
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  iovec part{const_cast<void*>(data), bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes);
}

bool receive_message(int socket, void* data, std::size_t bytes, std::vector<int>& fds) {
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  iovec part{data, bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(bytes)) return false;
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
    fds.resize((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(fds.data(), CMSG_DATA(header), fds.size() * sizeof(int));
  }
  return true;
}

int revoke_here(int device, int dmabuf) {
  const peermr_export_revoke data{
      .size = sizeof(data), .flags = 0, .dmabuf_fd = dmabuf, .reserved = 0};
  std::array<std::uint64_t, (sizeof(vfio_device_feature) + sizeof(data) + 7) / 8> space{};
  auto* header = reinterpret_cast<vfio_device_feature*>(space.data());
  header->argsz = sizeof(vfio_device_feature) + sizeof(data);
  header->flags = VFIO_DEVICE_FEATURE_SET | PEERMR_VFIO_FEATURE_REVOKE;
  std::memcpy(header->data, &data, sizeof(data));
  return ::ioctl(device, VFIO_DEVICE_FEATURE, header) < 0 ? -errno : 0;
}

volatile std::uint32_t* word_at(std::uint64_t address) {
  return reinterpret_cast<volatile std::uint32_t*>(address);
}

}  // namespace

Child::Child() {
  int pair[2];
  require(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
  pid_ = ::fork();
  require(pid_ >= 0, "fork");
  if (pid_ == 0) {
    ::close(pair[0]);
    serve(pair[1]);
    ::_exit(0);
  }
  ::close(pair[1]);
  socket_ = pair[0];
}

Child::~Child() {
  ::close(socket_);
  ::waitpid(pid_, nullptr, 0);
}

void Child::serve(int socket) {
  Request request;
  std::vector<int> fds;
  while (receive_message(socket, &request, sizeof(request), fds)) {
    const Answer reply = answer(request, fds);
    for (const int fd : fds) ::close(fd);
    fds.clear();
    if (!send_message(socket, &reply, sizeof(reply), {})) return;
  }
}

Child::Answer Child::answer(const Request& request, std::vector<int>& fds) {
  switch (request.what) {
    case What::kRead: {
      const auto value = try_read(word_at(request.address));
      return {value ? 0 : -EFAULT, value.value_or(0)};
    }
    case What::kWrite:
      return {try_write(word_at(request.address), request.value) ? 0 : -EFAULT, 0};
    case What::kMap: {
      void* data =
          ::mmap(nullptr, request.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds.at(0), 0);
      if (data == MAP_FAILED) return {-errno, 0};
      return {0, reinterpret_cast<std::uintptr_t>(data)};
    }
    case What::kRevoke:
      return {revoke_here(fds.at(0), fds.at(1)), 0};
    case What::kClose:
      return {::close(static_cast<int>(request.value)), 0};
  }
  return {-ENOSYS, 0};
}

Child::Answer Child::ask(const Request& request, const std::vector<int>& fds) const {
  Answer reply;
  std::vector<int> none;
  require(send_message(socket_, &request, sizeof(request), fds), "send to the other process");
  require(receive_message(socket_, &reply, sizeof(reply), none), "the other process has died");
  return reply;
}

std::optional<std::uint32_t> Child::read(const volatile std::uint32_t* at) const {
  const Answer reply = ask({What::kRead, 0, reinterpret_cast<std::uintptr_t>(at), 0});
  if (reply.result < 0) return std::nullopt;
  return static_cast<std::uint32_t>(reply.value);
}

bool Child::write(volatile std::uint32_t* at, std::uint32_t value) const {
  return ask({What::kWrite, value, reinterpret_cast<std::uintptr_t>(at), 0}).result == 0;
}

std::pair<volatile std::uint32_t*, int> Child::map(int fd, std::size_t bytes) const {
  const Answer reply = ask({What::kMap, 0, 0, bytes}, {fd});
  return {word_at(reply.value), static_cast<int>(-reply.result)};
}

int Child::revoke(int device, int dmabuf) const {
  return static_cast<int>(ask({What::kRevoke, 0, 0, 0}, {device, dmabuf}).result);
}

void Child::close(int fd) const { ask({What::kClose, static_cast<std::uint32_t>(fd), 0, 0}); }

}  // namespace exporter_test
