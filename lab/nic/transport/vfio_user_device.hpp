// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "irq_vectors.hpp"
#include "peermr/unique_fd.hpp"
#include "protocol.hpp"

namespace peermr::nic {

/// One region of a device as DEVICE_GET_REGION_INFO describes it.
struct RegionLayout {
  uint64_t size_bytes = 0;
  bool readable = false;
  bool writeable = false;
  int mmap_fd = -1;  // borrowed; -1: the client may not map the region
  std::vector<vfio_user::SparseMmapArea> mmap_areas;  // empty with a descriptor: all of it
};

/// The way from a device back to its client: DMA that the client carries out on the device's
/// behalf.
///
/// Requests return at once; the answer arrives later through VfioUserDevice::on_dma_reply().
class DmaChannel {
 public:
  virtual ~DmaChannel() = default;

  /// Asks the client to read `count` bytes at `address`. `cookie` comes back with the answer.
  /// False: too many requests are under way, `count` is too large, or the connection is broken.
  [[nodiscard]] virtual bool dma_read(uint64_t address, uint32_t count, uint64_t cookie) = 0;

  /// Asks the client to write `data` at `address`; otherwise as dma_read().
  [[nodiscard]] virtual bool dma_write(uint64_t address, std::span<const std::byte> data,
                                       uint64_t cookie) = 0;

  /// The largest `count` of one request.
  virtual uint32_t max_transfer_bytes() const noexcept = 0;
};

/// What a device offers to the vfio-user server. All calls come from the loop's thread and must not
/// block: the client (a VMM that holds its main lock) waits for the reply. Functions that return
/// int return 0 or an errno value for the error reply.
class VfioUserDevice {
 public:
  virtual ~VfioUserDevice() = default;

  /// A client has negotiated a version. `channel` stays valid until on_disconnected().
  virtual void on_connected(DmaChannel& channel) = 0;

  /// The client is gone: drop its memory and interrupts, and reset.
  virtual void on_disconnected() = 0;

  /// `index` is below vfio_user::kNumRegions; the answer lives as long as the device.
  virtual const RegionLayout& region(uint32_t index) const = 0;

  /// The range lies inside the region; `index` is below kNumRegions.
  virtual int region_read(uint32_t index, uint64_t offset, std::span<std::byte> out) = 0;
  virtual int region_write(uint32_t index, uint64_t offset, std::span<const std::byte> data) = 0;

  /// The device's MSI-X vectors.
  virtual IrqVectors& irqs() = 0;

  /// Guest memory appears. `fd` is empty for memory that only the client can reach.
  virtual int dma_map(const vfio_user::DmaMap& request, UniqueFd fd) = 0;

  /// Guest memory goes. When the call returns, the device does not touch it any more.
  virtual int dma_unmap(const vfio_user::DmaUnmap& request) = 0;

  /// DEVICE_RESET: as a function-level reset. Memory maps and eventfds stay.
  virtual void reset() = 0;

  /// The answer to a request of the channel: `error` is 0 or an errno value, `data` what was read.
  virtual void on_dma_reply(uint64_t cookie, int error, std::span<const std::byte> data) = 0;
};

}  // namespace peermr::nic
