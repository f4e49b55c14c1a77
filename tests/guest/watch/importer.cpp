// SPDX-License-Identifier: BSD-2-Clause
#include "watch/importer.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "watch/support.hpp"

namespace watch_test {

ImporterSession::ImporterSession() : fd_(::open("/dev/peermr_test_importer", O_RDWR | O_CLOEXEC)) {
  if (!fd_) give_up("/dev/peermr_test_importer: " + std::string(std::strerror(errno)));
}

std::optional<std::uint32_t> ImporterSession::attach(int dmabuf_fd, const peermr::Bdf& device,
                                                     test_importer_attach manners) {
  manners.size = sizeof(manners);
  manners.dmabuf_fd = dmabuf_fd;
  manners.pci_domain = device.domain();
  manners.pci_bus = device.bus();
  manners.pci_devfn = static_cast<std::uint8_t>(device.device() << 3 | device.function());
  if (::ioctl(fd(), TEST_IMPORTER_ATTACH, &manners) != 0) return std::nullopt;
  return manners.id;
}

int ImporterSession::call(unsigned long request, std::uint32_t id) const {
  const test_importer_id args{.size = sizeof(args), .id = id};
  return ::ioctl(fd(), request, &args) == 0 ? 0 : errno;
}

test_importer_query ImporterSession::query(std::uint32_t id) const {
  test_importer_query query{};
  query.size = sizeof(query);
  query.id = id;
  if (::ioctl(fd(), TEST_IMPORTER_QUERY, &query) != 0)
    give_up("TEST_IMPORTER_QUERY: " + std::string(std::strerror(errno)));
  return query;
}

std::vector<test_importer_segment> ImporterSession::segments(std::uint32_t id) const {
  std::vector<test_importer_segment> segments(TEST_IMPORTER_MAX_SEGMENTS);
  test_importer_segments args{};
  args.size = sizeof(args);
  args.id = id;
  args.room = TEST_IMPORTER_MAX_SEGMENTS;
  args.segments = reinterpret_cast<std::uintptr_t>(segments.data());
  if (::ioctl(fd(), TEST_IMPORTER_SEGMENTS, &args) != 0) return {};
  segments.resize(args.count);
  return segments;
}

}  // namespace watch_test
