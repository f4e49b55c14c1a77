// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_events.h"

#include <cerrno>

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;

namespace peermr::capi {

peermr_state to_c(RegionState state) noexcept {
  switch (state) {
    case RegionState::kLive:
      return PEERMR_REGION_LIVE;
    case RegionState::kRevoked:
      return PEERMR_REGION_REVOKED;
    case RegionState::kRestoring:
      return PEERMR_REGION_RESTORING;
    case RegionState::kDead:
      break;
  }
  return PEERMR_REGION_DEAD;
}

}  // namespace peermr::capi

extern "C" {

int peermr_event_queue_create(peermr_event_queue** queue) {
  if (queue == nullptr) return refuse_null("make event queue");
  return guarded([&] {
    auto created = peermr::EventQueue::create();
    if (!created) return fail(created.error());
    *queue = new peermr_event_queue{*std::move(created)};
    return 0;
  });
}

int peermr_event_queue_fd(const peermr_event_queue* queue) {
  if (queue == nullptr) return refuse_null("wait for events");
  return queue->queue.fd();
}

int peermr_event_queue_read(peermr_event_queue* queue, peermr_event* event) {
  if (queue == nullptr || event == nullptr) return refuse_null("read event");
  return guarded([&] {
    const auto got = queue->queue.read();
    if (!got) return -EAGAIN;
    *event = {};
    event->cookie = got->cookie;
    event->generation = got->generation.value();
    event->key_epoch = got->key_epoch.value();
    event->changes = got->changes;
    event->state = peermr::capi::to_c(got->state);
    got->error.copy(event->error, sizeof(event->error) - 1);
    return 0;
  });
}

void peermr_event_queue_close(peermr_event_queue* queue) {
  delete queue;
}

}  // extern "C"
