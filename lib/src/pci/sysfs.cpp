// SPDX-License-Identifier: BSD-2-Clause
#include "pci/sysfs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <string_view>

#include "base/text.hpp"
#include "peermr/unique_fd.hpp"

namespace peermr {

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open", path);
  std::string text(limit, '\0');
  std::size_t size = 0;
  while (size < limit) {
    const ssize_t count = ::read(fd.get(), text.data() + size, limit - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno, "read", path);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return text;
}

Result<std::string> read_attribute(const std::string& path) {
  return read_file(path).transform([](std::string text) { return std::string(trim(text)); });
}

std::optional<std::string> link_name(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof(target));
  if (size <= 0) return std::nullopt;
  const std::string_view text(target, static_cast<std::size_t>(size));
  const std::size_t slash = text.rfind('/');
  return std::string(slash == std::string_view::npos ? text : text.substr(slash + 1));
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  struct CloseDir {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
  };
  const std::unique_ptr<DIR, CloseDir> directory(::opendir(path.c_str()));
  if (!directory) return errno_error(errno, "open directory", path);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace peermr
