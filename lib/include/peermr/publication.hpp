// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "peermr/descriptor.hpp"
#include "peermr/export.hpp"
#include "peermr/region.hpp"
#include "peermr/result.hpp"

namespace peermr {

/// The owner's side of key distribution: what the peers of a region are told, and which keys each
/// of them may still use. Shared by the connections (or the application's own channels) of all
/// peers of one region, so that a key is given back only when none has it any more.
///
/// Thread-safe. acknowledge() and release() may deregister memory, the others do not block.
class PEERMR_API Publication {
 public:
  using Peer = std::uint64_t;

  /// Borrows `region`: once it was moved or destroyed, remove_peer() alone may be called. It may be
  /// closed.
  [[nodiscard]] static std::shared_ptr<Publication> create(RegionId id, Region& region);

  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;

  [[nodiscard]] RegionId id() const noexcept { return id_; }

  /// What a peer has to know at this moment. To be sent whenever it differs from what was sent
  /// last.
  [[nodiscard]] RegionDescriptor descriptor();

  /// A peer that is about to be told.
  [[nodiscard]] Peer add_peer();
  /// It uses no key older than `epoch` any more. Keys that no peer uses are given back
  /// (Region::release_keys_before()).
  /// Errors: std::errc::invalid_argument: that epoch has not begun; those of
  /// release_keys_before().
  Result<void> acknowledge(Peer peer, KeyEpoch epoch);
  /// It is gone, or its lease has run out, and its queue pairs are destroyed. Does not touch the
  /// region.
  void remove_peer(Peer peer) noexcept;
  /// Gives back the keys that no peer uses any more; after remove_peer(), if no peer is left whose
  /// acknowledge() would do it. Errors: those of release_keys_before().
  Result<void> release();

 private:
  Publication(RegionId id, Region& region);
  Result<void> release_locked();

  const RegionId id_;
  Region& region_;
  const bool key_dies_;

  std::mutex mutex_;  // protects what follows
  RegionKeys last_;   // of the region when it was live last
  Peer next_peer_ = 1;
  std::map<Peer, KeyEpoch> peers_;  // and the epoch that each has acknowledged
  KeyEpoch released_;               // keys before this one were given back
};

}  // namespace peermr
