// SPDX-License-Identifier: BSD-2-Clause
#include "base/file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "peermr/unique_fd.hpp"

namespace peermr::tool {
namespace {

constexpr std::size_t kMaxFileBytes = 64u << 20;

Result<void> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error(errno, "write", path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open", path);
  std::string content;
  std::array<char, 16384> chunk;
  while (true) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "read", path);
    if (got == 0) return content;
    content.append(chunk.data(), static_cast<std::size_t>(got));
    if (content.size() > kMaxFileBytes) return errno_error(EFBIG, "read", path);
  }
}

std::string read_line_or_empty(const std::string& path) {
  auto content = read_file(path);
  if (!content) return {};
  content->erase(content->find_last_not_of(" \t\r\n") + 1);
  return *std::move(content);
}

Result<void> write_file(const std::string& path, std::string_view content) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return errno_error(errno, "create", path);
  if (auto written = write_all(fd.get(), content, path); !written) return written;
  if (::close(fd.release()) != 0) return errno_error(errno, "write", path);
  return {};
}

Result<void> write_control(const std::string& path, std::string_view content, bool append) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | (append ? O_APPEND : 0)));
  if (!fd) return errno_error(errno, "open", path);
  const ssize_t written = ::write(fd.get(), content.data(), content.size());
  if (written < 0) return errno_error(errno, "write", path, content);
  return {};
}

}  // namespace peermr::tool
