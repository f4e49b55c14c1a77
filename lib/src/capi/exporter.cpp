// SPDX-License-Identifier: BSD-2-Clause
#include <cerrno>
#include <chrono>

#include "capi/handles.hpp"

using peermr::capi::fail;
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

std::uint64_t to_ns(std::chrono::steady_clock::time_point time) noexcept {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(time.time_since_epoch()).count());
}

}  // namespace

extern "C" {

uint32_t peermr_device_features(const peermr_device* device) {
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
}

int peermr_device_revoke(peermr_device* device, const peermr_dma_buf* buffer) {
  return status_of(device->device.revoke(buffer->buffer));
}

int peermr_device_rearm(peermr_device* device, const peermr_dma_buf* buffer, uint64_t revokes) {
  return status_of(device->device.rearm(buffer->buffer, revokes));
}

int peermr_device_make_private(peermr_device* device, int zap) {
  return status_of(device->device.make_private(zap != 0 ? peermr::vfio::PrivateMappings::kZap
                                                        : peermr::vfio::PrivateMappings::kRefuse));
}

int peermr_watch_create(const peermr_dma_buf* buffer, const char* importer, peermr_watch** watch) {
  auto created = peermr::Bdf::parse(importer).and_then(
      [buffer](peermr::Bdf bdf) { return peermr::Watch::create(buffer->buffer, bdf); });
  if (!created) return fail(created.error());
  *watch = new peermr_watch{*std::move(created)};
  return 0;
}

int peermr_watch_fd(const peermr_watch* watch) {
  return watch->watch.fd();
}

int peermr_watch_read(const peermr_watch* watch, peermr_watch_event* event) {
  const auto got = watch->watch.read();
  if (!got) return fail(got.error());
  if (!*got) return -EAGAIN;
  *event = {.invalidates = (*got)->invalidates,
            .total = (*got)->total,
            .first_ns = to_ns((*got)->first),
            .last_ns = to_ns((*got)->last)};
  return 0;
}

void peermr_watch_close(peermr_watch* watch) {
  delete watch;
}

}  // extern "C"
