// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "peermr/result.hpp"
#include "peermr/unique_fd.hpp"
#include "protocol.hpp"

namespace peermr::native {

/// The client side of a vfio-user connection: what QEMU is to pnicd in a guest. One request at a
/// time; thread-safe. Functions return 0 or an errno value; ENOTCONN once the connection is broken.
class Client {
 public:
  /// Connects and negotiates. A server that serves somebody else lets callers wait: ETIMEDOUT.
  static Result<std::unique_ptr<Client>> connect(const std::string& path,
                                                 std::chrono::milliseconds timeout);

  int region_read32(uint32_t region, uint64_t offset, uint32_t& value);
  int region_write32(uint32_t region, uint64_t offset, uint32_t value);
  int region_write16(uint32_t region, uint64_t offset, uint16_t value);
  /// As region_write32(), without waiting for the answer.
  int region_post32(uint32_t region, uint64_t offset, uint32_t value);

  /// The descriptor of a region that may be mapped from its beginning, and its size.
  int region_fd(uint32_t region, UniqueFd& fd, uint64_t& size_bytes);

  /// Interrupt vectors 0… raise these eventfds from now on.
  int set_msix(std::span<const int> eventfds);

  /// `size_bytes` at `offset` of `fd` become the device's memory at `iova`. All multiples of 4096.
  int dma_map(uint64_t iova, uint64_t size_bytes, int fd, uint64_t offset, bool writeable);
  /// When it returns, the device does not touch the range any more.
  int dma_unmap(uint64_t iova, uint64_t size_bytes);

  /// To be watched for hang-up; not to be read.
  int fd() const noexcept { return socket_.get(); }

 private:
  struct Reply {
    std::vector<std::byte> payload;
    UniqueFd fd;
  };

  explicit Client(UniqueFd socket) : socket_(std::move(socket)) {}
  int negotiate();
  int request(nic::vfio_user::Command command, std::span<const std::byte> first,
              std::span<const std::byte> second, std::span<const int> fds, Reply& reply);
  int region_write(uint32_t region, uint64_t offset, std::span<const std::byte> data, bool wait);
  int send(const nic::vfio_user::Header& header, std::span<const std::byte> first,
           std::span<const std::byte> second, std::span<const int> fds);
  int receive(nic::vfio_user::Header& header, Reply& reply);
  int receive_bytes(std::span<std::byte> out, UniqueFd& fd);
  int refuse(const nic::vfio_user::Header& header);

  UniqueFd socket_;
  std::mutex mutex_;  // the socket, next_id_ and broken_
  uint16_t next_id_ = 1;
  bool broken_ = false;
  std::chrono::milliseconds timeout_{10000};
};

}  // namespace peermr::native
