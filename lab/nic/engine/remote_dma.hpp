// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vfio_user_device.hpp"

namespace peermr::nic {

struct NicCore;
struct MemoryRegion;

/// DMA to memory that only the client can reach: another device's registers, say. Every transfer is
/// a message to the client, and its end is told to the queue pair that asked. While it is under way
/// the MR counts it as in flight, so that a fence waits for it. Single-threaded, never blocks.
class RemoteDma {
 public:
  enum class Role : uint8_t { kRequester, kResponder };

  /// Who waits for the end of a transfer. A queue pair that was reset meanwhile has another epoch
  /// and isn't told.
  struct Owner {
    Role role;
    uint32_t qpn;
    uint32_t epoch;
  };

  /// A client is there; `channel` must outlive its connection.
  void connect(DmaChannel& channel) noexcept { channel_ = &channel; }

  /// The client is gone, and with it everything under way.
  void disconnect() noexcept;

  /// Queue pair `qpn` is gone: whoever gets its number next is not told of its transfers. 0: all
  /// queue pairs.
  void forget(uint32_t qpn) noexcept;

  /// The largest transfer, at least 1 with a client.
  uint32_t max_bytes() const noexcept {
    return channel_ != nullptr ? channel_->max_transfer_bytes() : 0;
  }

  /// Starts a transfer between `bus` and the device, through `region`. False if it cannot be
  /// started.
  [[nodiscard]] bool start_read(MemoryRegion& region, uint64_t bus, uint32_t length,
                                const Owner& owner);
  [[nodiscard]] bool start_write(MemoryRegion& region, uint64_t bus,
                                 std::span<const std::byte> data, const Owner& owner);

  /// The client has answered.
  void on_reply(NicCore& core, uint64_t cookie, int error, std::span<const std::byte> data);

 private:
  struct Transfer {
    bool in_use = false;
    uint32_t key = 0;
    Owner owner{};
  };

  Transfer* take(const MemoryRegion& region, const Owner& owner) noexcept;

  DmaChannel* channel_ = nullptr;
  std::array<Transfer, 64> transfers_{};
};

}  // namespace peermr::nic
