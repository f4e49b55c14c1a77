// SPDX-License-Identifier: BSD-2-Clause
#include <cerrno>

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace {

int to_c(peermr::vfio::BufferState state) noexcept {
  switch (state) {
    case peermr::vfio::BufferState::kLive:
      return PEERMR_BUFFER_LIVE;
    case peermr::vfio::BufferState::kRevoked:
      return PEERMR_BUFFER_REVOKED;
    case peermr::vfio::BufferState::kHeld:
      return PEERMR_BUFFER_HELD;
    case peermr::vfio::BufferState::kDead:
      break;
  }
  return PEERMR_BUFFER_DEAD;
}

}  // namespace

extern "C" {

uint32_t peermr_device_features(const peermr_device* device) {
  if (device == nullptr) return 0;
  const auto& features = device->device.exporter_features();
  const auto bit = [](bool has, uint32_t value) { return has ? value : 0u; };
  return bit(features.kind != peermr::vfio::ExporterKind::kNone, PEERMR_CAN_EXPORT) |
         bit(features.mappable, PEERMR_CAN_MMAP) |
         bit(features.manual_rearm, PEERMR_CAN_MANUAL_REARM) |
         bit(features.write_combine, PEERMR_CAN_WRITE_COMBINE) |
         bit(features.delegate, PEERMR_CAN_DELEGATE) | bit(features.revoke, PEERMR_CAN_REVOKE) |
         bit(features.query, PEERMR_CAN_QUERY) | bit(features.make_private, PEERMR_CAN_BE_PRIVATE);
}

int peermr_device_query(const peermr_device* device, const peermr_dma_buf* buffer,
                        peermr_buffer_status* status) {
  if (device == nullptr || buffer == nullptr || status == nullptr) {
    return refuse_null("query dma-buf");
  }
  return guarded([&] {
    if (status->size != sizeof(*status)) {
      return fail(peermr::make_error(std::errc::invalid_argument, "query dma-buf of",
                                     buffer->buffer.name(), "the size of the status is wrong"));
    }
    const auto answer = device->device.query(buffer->buffer);
    if (!answer) return fail(answer.error());
    status->state = to_c(answer->state);
    status->waiting = answer->waiting ? 1 : 0;
    status->revokes = answer->revokes;
    status->restores = answer->restores;
    status->mappings = answer->mappings;
    return 0;
  });
}

int peermr_device_revoke(peermr_device* device, const peermr_dma_buf* buffer) {
  if (device == nullptr || buffer == nullptr) return refuse_null("revoke dma-buf");
  return guarded([&] { return status_of(device->device.revoke(buffer->buffer)); });
}

int peermr_device_rearm(peermr_device* device, const peermr_dma_buf* buffer, uint64_t revokes) {
  if (device == nullptr || buffer == nullptr) return refuse_null("re-arm dma-buf");
  return guarded([&] { return status_of(device->device.rearm(buffer->buffer, revokes)); });
}

int peermr_device_make_private(peermr_device* device, int zap) {
  if (device == nullptr) return refuse_null("make device private");
  const auto mappings =
      zap != 0 ? peermr::vfio::PrivateMappings::kZap : peermr::vfio::PrivateMappings::kRefuse;
  return guarded([&] { return status_of(device->device.make_private(mappings)); });
}

}  // extern "C"
