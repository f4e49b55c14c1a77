// SPDX-License-Identifier: BSD-2-Clause
//
// A device of peermr_bar by raw ioctls. Calls return what the kernel returns, or -errno.
#pragma once

#include <peermr/peermr_bar.h>

#include <string>
#include <vector>

#include "exporter/device.hpp"

namespace exporter_test {

class BarDevice {
 public:
  explicit BarDevice(const std::string& bdf);

  static std::string path(const std::string& bdf) { return "/dev/peermr_bar/" + bdf; }

  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  int call(unsigned long request, void* argument = nullptr) const;
  Fd export_buffer(std::uint32_t bar, const std::vector<Range>& ranges, std::uint32_t flags = 0,
                   int open_flags = -1 /* O_RDWR | O_CLOEXEC */) const;
  int revoke(int dmabuf) const;
  int rearm(int dmabuf, std::uint64_t revokes) const;
  int query(int dmabuf, peermr_export_query& answer) const;
  int region(std::uint32_t bar, peermr_bar_region& answer) const;
  int reset() const { return call(PEERMR_BAR_RESET); }
  Mapping map(std::uint32_t bar, std::size_t bytes, std::uint64_t offset = 0) const;

 private:
  Fd fd_;
};

}  // namespace exporter_test
