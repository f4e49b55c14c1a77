// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "message_stream.hpp"
#include "protocol.hpp"
#include "version.hpp"
#include "vfio_user_device.hpp"

namespace peermr::nic {

/// One vfio-user client, from its first byte to its last: negotiates the version, turns commands
/// into calls of the device, and sends the replies; carries DMA requests the other way.
///
/// A command that makes no sense is answered with an errno value; a stream that makes no sense ends
/// the connection. Never blocks. Single-threaded.
class Connection final : public DmaChannel {
 public:
  /// `socket` is a connected, non-blocking UNIX stream socket. `device` must outlive the
  /// connection.
  Connection(UniqueFd socket, VfioUserDevice& device);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Handles what has arrived, a bounded number of messages. False: close the connection.
  [[nodiscard]] bool serve();

  /// True while replies wait for the socket to become writable.
  bool wants_write() const noexcept { return stream_.has_queued(); }

  int fd() const noexcept { return stream_.fd(); }

  bool dma_read(uint64_t address, uint32_t count, uint64_t cookie) override;
  bool dma_write(uint64_t address, std::span<const std::byte> data, uint64_t cookie) override;
  uint32_t max_transfer_bytes() const noexcept override { return max_transfer_bytes_; }

 private:
  /// A request to the client that waits for its answer; its index is part of the message's id.
  struct DmaRequest {
    bool in_use = false;
    uint8_t sequence = 0;
    vfio_user::Command command{};
    uint64_t address = 0;
    uint32_t count = 0;
    uint64_t cookie = 0;
  };
  static constexpr size_t kMaxDmaRequests = 256;

  /// What a command's handler leaves: an errno value, or payload (and descriptors) of the reply.
  struct Reply {
    int error = 0;
    std::span<const std::byte> payload;
    int fd = -1;
  };

  static Reply status(int error) { return {error, {}, -1}; }
  static Reply answer(std::span<const std::byte> payload, int fd = -1) { return {0, payload, fd}; }

  [[nodiscard]] bool handle(Message& message);
  [[nodiscard]] bool handle_version(const Message& message);
  [[nodiscard]] bool handle_reply(const Message& message);
  Reply dispatch(Message& message);
  Reply device_info(const Message& message);
  Reply region_info(const Message& message);
  Reply irq_info(const Message& message);
  Reply set_irqs(Message& message);
  Reply dma_map(Message& message);
  Reply dma_unmap(const Message& message);
  Reply region_read(const Message& message);
  Reply region_write(const Message& message);
  Reply region_write_multi(const Message& message);
  int write_region(uint32_t region, uint64_t offset, std::span<const std::byte> data);
  int start_request(vfio_user::Command command, uint64_t address, uint32_t count, uint64_t cookie);

  MessageStream stream_;
  VfioUserDevice& device_;
  bool negotiated_ = false;
  bool broken_ = false;
  ClientCapabilities client_;
  uint32_t max_transfer_bytes_ = 0;
  std::vector<std::byte> reply_;
  std::array<DmaRequest, kMaxDmaRequests> requests_{};
};

}  // namespace peermr::nic
