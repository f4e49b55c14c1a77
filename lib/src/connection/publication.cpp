// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/publication.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace peermr {

std::shared_ptr<Publication> Publication::create(RegionId id, Region& region) {
  return std::shared_ptr<Publication>(new Publication(id, region));
}

Publication::Publication(RegionId id, Region& region)
    : id_(id),
      region_(region),
      key_dies_(region.importer().importer == verbs::ImporterClass::kRevocable) {}

RegionDescriptor Publication::descriptor() {
  RegionDescriptor descriptor;
  descriptor.id = id_;
  descriptor.key_dies_with_generation = key_dies_;
  const std::lock_guard lock(mutex_);
  // Dead comes after the keys are gone, and for good.
  if (const auto keys = region_.keys()) {
    last_ = *keys;
    descriptor.state = DescriptorState::kLive;
    descriptor.rkey = keys->rkey;
  } else {
    descriptor.state =
        region_.state() == RegionState::kDead ? DescriptorState::kDead : DescriptorState::kPaused;
  }
  descriptor.address = last_.address;
  descriptor.length_bytes = last_.length_bytes;
  descriptor.generation = last_.generation;
  descriptor.key_epoch = last_.key_epoch;
  return descriptor;
}

Publication::Peer Publication::add_peer() {
  const std::lock_guard lock(mutex_);
  const Peer peer = next_peer_++;
  // It has no key at all yet, so no older one than the present.
  peers_[peer] = region_.key_epoch();
  return peer;
}

Result<void> Publication::acknowledge(Peer peer, KeyEpoch epoch) {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end() || epoch > region_.key_epoch()) {
    return make_error(std::errc::invalid_argument, "acknowledge a key of", region_.name(),
                      fmt::format("peer {}, epoch {}", peer, epoch.value()));
  }
  found->second = std::max(found->second, epoch);
  return release_locked();
}

void Publication::remove_peer(Peer peer) noexcept {
  const std::lock_guard lock(mutex_);
  peers_.erase(peer);
}

Result<void> Publication::release() {
  const std::lock_guard lock(mutex_);
  return release_locked();
}

Result<void> Publication::release_locked() {
  KeyEpoch oldest = region_.key_epoch();
  for (const auto& [peer, epoch] : peers_) oldest = std::min(oldest, epoch);
  if (oldest <= released_) return {};
  auto released = region_.release_keys_before(oldest);
  if (released || released.error().code() != Errc::kLeaseHeld) released_ = oldest;
  return released;
}

}  // namespace peermr
