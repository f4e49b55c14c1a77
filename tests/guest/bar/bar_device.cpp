// SPDX-License-Identifier: BSD-2-Clause
#include "bar/bar_device.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace exporter_test {

BarDevice::BarDevice(const std::string& bdf) {
  const int fd = ::open(path(bdf).c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    std::perror(path(bdf).c_str());
    std::exit(1);
  }
  fd_.reset(fd);
}

int BarDevice::call(unsigned long request, void* argument) const {
  const int result = ::ioctl(fd(), request, argument);
  return result < 0 ? -errno : result;
}

Fd BarDevice::export_buffer(std::uint32_t bar, const std::vector<Range>& ranges,
                            std::uint32_t flags, int open_flags) const {
  peermr_export_create create{};
  create.size = sizeof(create);
  create.flags = flags;
  create.bar = bar;
  create.open_flags = static_cast<std::uint32_t>(open_flags < 0 ? O_RDWR | O_CLOEXEC : open_flags);
  create.nr_ranges = static_cast<std::uint32_t>(ranges.size());
  create.ranges = reinterpret_cast<std::uint64_t>(ranges.data());
  return Fd(call(PEERMR_BAR_EXPORT, &create));
}

int BarDevice::revoke(int dmabuf) const {
  peermr_export_revoke revoke{};
  revoke.size = sizeof(revoke);
  revoke.dmabuf_fd = dmabuf;
  return call(PEERMR_BAR_REVOKE, &revoke);
}

int BarDevice::rearm(int dmabuf, std::uint64_t revokes) const {
  peermr_export_rearm rearm{};
  rearm.size = sizeof(rearm);
  rearm.dmabuf_fd = dmabuf;
  rearm.revokes = revokes;
  return call(PEERMR_BAR_REARM, &rearm);
}

int BarDevice::query(int dmabuf, peermr_export_query& answer) const {
  answer = {};
  answer.size = sizeof(answer);
  answer.dmabuf_fd = dmabuf;
  return call(PEERMR_BAR_QUERY, &answer);
}

int BarDevice::region(std::uint32_t bar, peermr_bar_region& answer) const {
  answer = {};
  answer.size = sizeof(answer);
  answer.bar = bar;
  return call(PEERMR_BAR_REGION, &answer);
}

Mapping BarDevice::map(std::uint32_t bar, std::size_t bytes, std::uint64_t offset) const {
  peermr_bar_region region{};
  if (this->region(bar, region) != 0) return {};
  return Mapping(fd(), bytes, static_cast<off_t>(region.mmap_offset + offset));
}

}  // namespace exporter_test
