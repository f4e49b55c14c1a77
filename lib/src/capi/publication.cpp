// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_publication.h"

#include <cstring>

#include "capi/connection.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace peermr::capi {
namespace {

static_assert(RegionDescriptor::kWireBytes == PEERMR_DESCRIPTOR_BYTES);
static_assert(kSame<DescriptorState::kLive, PEERMR_DESCRIPTOR_LIVE>);
static_assert(kSame<DescriptorState::kPaused, PEERMR_DESCRIPTOR_PAUSED>);
static_assert(kSame<DescriptorState::kDead, PEERMR_DESCRIPTOR_DEAD>);

struct Published {
  std::shared_ptr<Region> region;
  std::shared_ptr<Publication> publication;
};

}  // namespace

std::shared_ptr<Publication> publish(uint64_t id, const peermr_region& region) {
  const auto published = std::make_shared<Published>(
      Published{region.region, Publication::create(RegionId(id), *region.region)});
  return {published, published->publication.get()};
}

peermr_descriptor to_c(const RegionDescriptor& descriptor) noexcept {
  return {.id = descriptor.id.value(),
          .address = descriptor.address.value(),
          .length = descriptor.length_bytes,
          .generation = descriptor.generation.value(),
          .key_epoch = descriptor.key_epoch.value(),
          .rkey = descriptor.rkey.value(),
          .state = static_cast<int32_t>(descriptor.state),
          .flags = descriptor.key_dies_with_generation ? PEERMR_DESCRIPTOR_KEY_DIES : 0,
          .reserved = 0};
}

Result<RegionDescriptor> to_cpp(const peermr_descriptor& descriptor) {
  if (descriptor.state < PEERMR_DESCRIPTOR_LIVE || descriptor.state > PEERMR_DESCRIPTOR_DEAD ||
      (descriptor.flags & ~PEERMR_DESCRIPTOR_KEY_DIES) != 0 || descriptor.reserved != 0) {
    return make_error(std::errc::invalid_argument, "encode", "region descriptor",
                      "no such state, unknown flags, or reserved is not 0");
  }
  return RegionDescriptor{
      .id = RegionId(descriptor.id),
      .state = static_cast<DescriptorState>(descriptor.state),
      .key_dies_with_generation = (descriptor.flags & PEERMR_DESCRIPTOR_KEY_DIES) != 0,
      .address = Iova(descriptor.address),
      .length_bytes = descriptor.length,
      .rkey = Rkey(descriptor.rkey),
      .generation = Generation(descriptor.generation),
      .key_epoch = KeyEpoch(descriptor.key_epoch)};
}

}  // namespace peermr::capi

extern "C" {

int peermr_descriptor_encode(const peermr_descriptor* descriptor, void* bytes) {
  if (descriptor == nullptr || bytes == nullptr) return refuse_null("encode region descriptor");
  return guarded([&] {
    const auto cpp = peermr::capi::to_cpp(*descriptor);
    if (!cpp) return fail(cpp.error());
    const auto encoded = peermr::encode(*cpp);
    std::memcpy(bytes, encoded.data(), encoded.size());
    return 0;
  });
}

int peermr_descriptor_decode(const void* bytes, size_t nr_bytes, peermr_descriptor* descriptor) {
  if (bytes == nullptr || descriptor == nullptr) return refuse_null("read region descriptor");
  return guarded([&] {
    const auto decoded =
        peermr::decode_descriptor({static_cast<const std::byte*>(bytes), nr_bytes});
    if (!decoded) return fail(decoded.error());
    *descriptor = peermr::capi::to_c(*decoded);
    return 0;
  });
}

int peermr_publication_create(uint64_t id, peermr_region* region,
                              peermr_publication** publication) {
  if (region == nullptr || publication == nullptr) return refuse_null("publish region");
  return guarded([&] {
    *publication = new peermr_publication{peermr::capi::publish(id, *region), region->followers};
    return 0;
  });
}

int peermr_publication_descriptor(peermr_publication* publication, peermr_descriptor* descriptor) {
  if (publication == nullptr || descriptor == nullptr) return refuse_null("describe region");
  return guarded([&] {
    *descriptor = peermr::capi::to_c(publication->publication->descriptor());
    return 0;
  });
}

int peermr_publication_add_peer(peermr_publication* publication, uint64_t* peer) {
  if (publication == nullptr || peer == nullptr) return refuse_null("add peer to region");
  return guarded([&] {
    *peer = publication->publication->add_peer();
    return 0;
  });
}

int peermr_publication_acknowledge(peermr_publication* publication, uint64_t peer,
                                   uint64_t key_epoch) {
  if (publication == nullptr) return refuse_null("acknowledge a key of region");
  return guarded([&] {
    return status_of(publication->publication->acknowledge(peer, peermr::KeyEpoch(key_epoch)));
  });
}

int peermr_publication_remove_peer(peermr_publication* publication, uint64_t peer) {
  if (publication == nullptr) return refuse_null("remove peer of region");
  publication->publication->remove_peer(peer);
  return 0;
}

int peermr_publication_release(peermr_publication* publication) {
  if (publication == nullptr) return refuse_null("release keys of region");
  return guarded([&] { return status_of(publication->publication->release()); });
}

void peermr_publication_close(peermr_publication* publication) {
  delete publication;
}

}  // extern "C"
