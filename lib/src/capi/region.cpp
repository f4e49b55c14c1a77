// SPDX-License-Identifier: BSD-2-Clause
#include <cerrno>
#include <chrono>
#include <memory>
#include <new>
#include <utility>

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
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
  if (pd == nullptr || buffer == nullptr || region == nullptr) {
    return refuse_null("register region");
  }
  return guarded([&] {
    auto followers = std::make_shared<peermr::capi::Followers>();
    auto made = peermr::capi::to_cpp(options).and_then([&](const peermr::RegionOptions& cpp) {
      return peermr::Region::create(pd, buffer->buffer,
                                    peermr::capi::with_followers(cpp, followers));
    });
    if (!made) return fail(made.error());
    *region = new peermr_region{.region = std::make_shared<peermr::Region>(*std::move(made)),
                                .followers = std::move(followers)};
    return 0;
  });
}

int peermr_lease_enter(const peermr_region* region, peermr_lease* lease) {
  if (region == nullptr || lease == nullptr) [[unlikely]]
    return refuse_null("enter lease");
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
  if (region == nullptr || keys == nullptr) return refuse_null("copy keys of region");
  const auto copy = region->region->keys();
  if (!copy) return -EAGAIN;
  *keys = to_c(*copy);
  return 0;
}

peermr_state peermr_region_state(const peermr_region* region) {
  return region != nullptr ? peermr::capi::to_c(region->region->state()) : PEERMR_REGION_DEAD;
}

peermr_verdict peermr_region_report_completion(peermr_region* region, int status,
                                               uint64_t generation) {
  if (region == nullptr) return PEERMR_COMPLETION_UNRELATED;
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
  if (region == nullptr) return refuse_null("recover region");
  return guarded([&] {
    if (limit_ns < 0) return status_of(region->region->recover());
    return status_of(region->region->recover(std::chrono::nanoseconds(limit_ns)));
  });
}

int peermr_region_release_keys_before(peermr_region* region, uint64_t key_epoch) {
  if (region == nullptr) return refuse_null("release old keys of region");
  return guarded(
      [&] { return status_of(region->region->release_keys_before(peermr::KeyEpoch(key_epoch))); });
}

int peermr_region_close(peermr_region* region) {
  if (region == nullptr) return 0;
  if (region->cached) {
    delete region;
    return 0;
  }
  return guarded([&] {
    const auto closed = region->region->close();
    if (!closed && closed.error().code() == peermr::Errc::kLeaseHeld) return fail(closed.error());
    delete region;
    return status_of(closed);
  });
}

}  // extern "C"
