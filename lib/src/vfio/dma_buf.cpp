// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/dma_buf.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "vfio/dma_buf_state.hpp"

namespace peermr {
namespace {

// The kernel names every dma-buf's file so (drivers/dma-buf/dma-buf.c, dmabuffs_dname).
bool is_dma_buf(int fd) {
  char target[64] = {};
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  if (::readlink(link.c_str(), target, sizeof(target) - 1) <= 0) return false;
  return std::string_view(target).starts_with("/dmabuf:");
}

}  // namespace

detail::FileId detail::file_id(const UniqueFd& fd) noexcept {
  struct stat file = {};
  if (::fstat(fd.get(), &file) != 0) return {};
  return {.device = file.st_dev, .inode = file.st_ino};
}

Result<DmaBuf> DmaBuf::adopt(UniqueFd fd, std::string name) {
  const std::string object = name.empty() ? fmt::format("file descriptor {}", fd.get()) : name;
  if (!is_dma_buf(fd.get())) {
    return make_error(std::errc::invalid_argument, "adopt", object, "it is not a dma-buf");
  }
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size < 0) return errno_error(errno, "ask for the size of", object);
  auto state = std::make_shared<detail::DmaBufState>();
  state->fd = std::move(fd);
  state->file = detail::file_id(state->fd);
  state->size_bytes = static_cast<std::uint64_t>(size);
  state->name = name.empty() ? "dma-buf" : std::move(name);
  return DmaBuf(std::move(state));
}

DmaBuf::DmaBuf(std::shared_ptr<detail::DmaBufState> state) noexcept : state_(std::move(state)) {}

DmaBuf DmaBuf::share() const {
  return DmaBuf(state_);
}

int DmaBuf::fd() const noexcept {
  return state_->fd.get();
}

std::uint64_t DmaBuf::size_bytes() const noexcept {
  return state_->size_bytes;
}

const std::optional<Bdf>& DmaBuf::exporter() const noexcept {
  return state_->exporter;
}

const std::string& DmaBuf::name() const noexcept {
  return state_->name;
}

}  // namespace peermr
