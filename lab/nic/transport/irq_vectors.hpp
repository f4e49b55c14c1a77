// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "peermr/unique_fd.hpp"
#include "protocol.hpp"

namespace peermr::nic {

/// The MSI-X vectors of a device as vfio-user sees them: each has an eventfd of the client, a mask
/// and a pending bit.
///
/// Delivery follows SET_IRQS alone. A VMM keeps the guest's MSI-X table to itself, so the device's
/// own copy of the table says nothing about masks. A vector raised while it is masked or has no
/// eventfd stays pending and is delivered as soon as it can be: VMMs take eventfds away and give
/// them back while they reconfigure. Single-threaded.
class IrqVectors {
 public:
  explicit IrqVectors(uint32_t count) : vectors_(count) {}

  uint32_t count() const noexcept { return static_cast<uint32_t>(vectors_.size()); }

  /// Carries out SET_IRQS for the MSI-X index; `data` is what follows the fixed part, `fds` the
  /// message's descriptors. Returns 0 or an errno value: EINVAL for flags, ranges, data or
  /// descriptors that do not fit together.
  int set(const vfio_user::IrqSet& request, std::span<const std::byte> data,
          std::vector<UniqueFd>& fds);

  /// Raises a vector. Vectors that do not exist are ignored. Does not block.
  void raise(uint32_t vector) noexcept;

  /// The pending bits of vectors 64*word to 64*word+63, as the PBA shows them.
  uint64_t pending_word(uint32_t word) const noexcept;

  /// Forgets pending interrupts: the device was reset. Eventfds and masks stay, as after a VFIO
  /// reset.
  void clear_pending() noexcept;

  /// Forgets everything: the client is gone.
  void clear() noexcept;

 private:
  struct Vector {
    UniqueFd eventfd;
    bool masked = false;
    bool pending = false;
  };

  int set_eventfds(const vfio_user::IrqSet& request, std::vector<UniqueFd>& fds);
  static void deliver_pending(Vector& vector) noexcept;

  std::vector<Vector> vectors_;
};

}  // namespace peermr::nic
