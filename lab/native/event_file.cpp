// SPDX-License-Identifier: BSD-2-Clause
#include "event_file.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <vector>

#include "base/log.hpp"

namespace peermr::native {

std::unique_ptr<EventFile> EventFile::create() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return nullptr;
  auto file = std::make_unique<EventFile>();
  file->ours_.reset(fds[0]);
  file->user_fd_ = fds[1];
  file->theirs_.reset(::fcntl(fds[1], F_DUPFD_CLOEXEC, 0));
  return file;
}

bool EventFile::send(std::span<const std::byte> record) {
  const ssize_t n =
      ::send(ours_.get(), record.data(), record.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n == static_cast<ssize_t>(record.size())) return true;
  log(LogLevel::kError, "pnic native: event lost, nobody reads event file {}", user_fd_);
  return false;
}

size_t EventFile::drop(size_t record_bytes, const std::function<bool(const void*)>& matches) {
  std::vector<std::vector<std::byte>> kept;
  size_t dropped = 0;
  std::vector<std::byte> record(record_bytes);
  while (::recv(theirs_.get(), record.data(), record.size(), MSG_DONTWAIT) ==
         static_cast<ssize_t>(record_bytes)) {
    if (matches(record.data()))
      ++dropped;
    else
      kept.push_back(record);
  }
  for (const auto& other : kept) send(other);
  return dropped;
}

}  // namespace peermr::native
