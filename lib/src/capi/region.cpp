// SPDX-License-Identifier: BSD-2-Clause
#include <cerrno>
#include <chrono>
#include <memory>
#include <new>
#include <utility>

#include "capi/handles.hpp"

using peermr::capi::fail;
using peermr::capi::status_of;

namespace {

static_assert(sizeof(peermr::Lease) <= sizeof(peermr_lease::internal) &&
              alignof(peermr::Lease) <= alignof(std::uint64_t));

peermr_keys to_c(const peermr::RegionKeys& keys) noexcept {
  return {.address = keys.address.value(),
          .length = keys.length_bytes,
          .generation = keys.generation.value(),
          .key_epoch = keys.key_epoch.value(),
          .lkey = keys.lkey.value(),
          .rkey = keys.rkey.value()};
}

peermr::Lease* lease_in(peermr_lease* lease) noexcept {
  return std::launder(reinterpret_cast<peermr::Lease*>(lease->internal));
}

}  // namespace

extern "C" {

int peermr_region_register(ibv_pd* pd, const peermr_dma_buf* buffer,
                           const peermr_region_options* options, peermr_region** region) {
  auto followers = std::make_shared<peermr::capi::Followers>();
  auto made = peermr::capi::to_cpp(options).and_then([&](const peermr::RegionOptions& cpp) {
    return peermr::Region::create(pd, buffer->buffer,
                                  peermr::capi::with_followers(cpp, followers));
  });
  if (!made) return fail(made.error());
  *region = new peermr_region{.region = std::make_shared<peermr::Region>(*std::move(made)),
                              .followers = std::move(followers)};
  return 0;
}

int peermr_lease_enter(const peermr_region* region, peermr_lease* lease) {
  const auto* held = new (lease->internal) peermr::Lease(region->region->lease());
  if (!*held) {
    held->~Lease();
    return -EAGAIN;
  }
  lease->keys = to_c(**held);
  return 0;
}

void peermr_lease_leave(peermr_lease* lease) {
  lease_in(lease)->~Lease();
}

int peermr_region_keys(const peermr_region* region, peermr_keys* keys) {
  const auto copy = region->region->keys();
  if (!copy) return -EAGAIN;
  *keys = to_c(*copy);
  return 0;
}

peermr_state peermr_region_state(const peermr_region* region) {
  return peermr::capi::to_c(region->region->state());
}

peermr_verdict peermr_region_report_completion(peermr_region* region, int status,
                                               uint64_t generation) {
  switch (region->region->report_completion(static_cast<ibv_wc_status>(status),
                                           peermr::Generation(generation))) {
    case peermr::CompletionVerdict::kStale:
      return PEERMR_COMPLETION_STALE;
    case peermr::CompletionVerdict::kRevoked:
      return PEERMR_COMPLETION_REVOKED;
    case peermr::CompletionVerdict::kUnrelated:
      break;
  }
  return PEERMR_COMPLETION_UNRELATED;
}

int peermr_region_recover(peermr_region* region, int64_t limit_ns) {
  if (limit_ns < 0) return status_of(region->region->recover());
  return status_of(region->region->recover(std::chrono::nanoseconds(limit_ns)));
}

int peermr_region_release_keys_before(peermr_region* region, uint64_t key_epoch) {
  return status_of(region->region->release_keys_before(peermr::KeyEpoch(key_epoch)));
}

int peermr_region_close(peermr_region* region) {
  if (region == nullptr) return 0;
  if (region->cached) {
    delete region;
    return 0;
  }
  const auto closed = region->region->close();
  if (!closed && closed.error().code() == peermr::Errc::kLeaseHeld) return fail(closed.error());
  delete region;
  return status_of(closed);
}

}  // extern "C"
