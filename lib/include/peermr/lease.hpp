// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

#include "peermr/export.hpp"
#include "peermr/thread_sections.hpp"
#include "peermr/types.hpp"

namespace peermr {

namespace detail {
class RegionCore;
}

/// All that a work request, or a peer, needs to reach a region.
struct RegionKeys {
  Lkey lkey;
  Rkey rkey;
  Iova address;  ///< of the region's first byte
  std::uint64_t length_bytes = 0;
  Generation generation;
  KeyEpoch key_epoch;

  friend constexpr bool operator==(const RegionKeys&, const RegionKeys&) noexcept = default;
};

/// Permission to use a region's keys: a read-side section in the RCU sense. As long as a lease is
/// held, the library does not deregister the keys; the kernel may still revoke the memory, and
/// then work requests complete in error.
///
/// Hold it from reading the keys until the work request is posted, not longer: reset(), close() and
/// recovery wait for it. Taking and giving back is wait-free: no allocation, no lock, no store to
/// memory that other threads write. (The first lease of a thread claims a slot once.) Leases
/// nest. A lease belongs to its thread, so it neither copies nor moves.
///
///   if (const auto lease = region.lease()) post(lease->lkey, lease->address);
class [[nodiscard]] PEERMR_API Lease {
 public:
  ~Lease() {
    // Inline: giving one back is not worth a call.
    if (keys_ != nullptr) detail::leave_section(*sections_);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  /// False: the region is not live now; there are no keys.
  [[nodiscard]] explicit operator bool() const noexcept { return keys_ != nullptr; }
  [[nodiscard]] const RegionKeys& operator*() const noexcept { return *keys_; }
  [[nodiscard]] const RegionKeys* operator->() const noexcept { return keys_; }

 private:
  friend class detail::RegionCore;
  Lease(const RegionKeys* keys, detail::ThreadSections* sections) noexcept
      : keys_(keys), sections_(sections) {}

  const RegionKeys* keys_;
  detail::ThreadSections* sections_;
};

/// Whether the calling thread holds a lease.
[[nodiscard]] PEERMR_API bool thread_holds_lease() noexcept;

}  // namespace peermr
