// SPDX-License-Identifier: BSD-2-Clause
//
// A thread's RDMA side: a connection with itself and MRs on whatever buffers it has met.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pnic/verbs.hpp"

namespace stress {

class Rdma {
 public:
  static constexpr std::size_t kMostMrs = 4;

  explicit Rdma(const std::string& nic_bdf);

  /// 0 or -errno. One more than kMostMrs takes the place of the one at `victim`.
  int import(int dmabuf, std::uint64_t bytes, std::size_t victim);
  /// A WRITE or a READ of the MR that `which` picks. 0 when it went through. -EAGAIN: it did not
  /// within some time (the memory is revoked, and the responder says "later"); -EIO: it ended in an
  /// error. Either takes the connection with it.
  int transfer(std::size_t which, bool write);
  void forget(std::size_t which);

 private:
  void connect();
  void disconnect();

  struct Region {
    pnic_test::Mr mr;
    std::uint64_t bytes;
  };

  pnic_test::Context context_;
  std::vector<std::uint8_t> memory_;
  std::optional<pnic_test::Loopback> loopback_;
  pnic_test::Mr local_;
  std::vector<Region> regions_;
};

}  // namespace stress
