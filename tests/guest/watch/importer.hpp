// SPDX-License-Identifier: BSD-2-Clause
//
// The test importer (kernel/test_importer), for tests: attachments whose manners a test chooses.
#pragma once

#include <cstdint>
#include <optional>
#include <peermr/bdf.hpp>
#include <peermr/unique_fd.hpp>
#include <vector>

#include "test_importer.h"

namespace watch_test {

/// An open /dev/peermr_test_importer. Functions that return an int return 0 or an errno.
class ImporterSession {
 public:
  /// Gives up when there is no such device.
  ImporterSession();

  /// `manners` names everything but size, buffer and device. The attachment's id, or nothing with
  /// errno.
  std::optional<std::uint32_t> attach(int dmabuf_fd, const peermr::Bdf& device,
                                      test_importer_attach manners = {});
  int map(std::uint32_t id) const { return call(TEST_IMPORTER_MAP, id); }
  int unmap(std::uint32_t id) const { return call(TEST_IMPORTER_UNMAP, id); }
  int signal(std::uint32_t id) const { return call(TEST_IMPORTER_SIGNAL, id); }
  int detach(std::uint32_t id) const { return call(TEST_IMPORTER_DETACH, id); }

  /// Gives up when there is no such attachment.
  test_importer_query query(std::uint32_t id) const;
  /// All segments of the mapping; empty with errno when there is none.
  std::vector<test_importer_segment> segments(std::uint32_t id) const;

  int fd() const { return fd_.get(); }
  /// Ends all attachments.
  void close() { fd_.reset(); }

 private:
  int call(unsigned long request, std::uint32_t id) const;

  peermr::UniqueFd fd_;
};

}  // namespace watch_test
