// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_watch.h"

#include <cerrno>

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::status_of;
using peermr::capi::to_ns;

extern "C" {

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

int peermr_monitor_create(int own_thread, peermr_monitor** monitor) {
  auto created = peermr::Monitor::create({.own_thread = own_thread != 0});
  if (!created) return fail(created.error());
  *monitor = new peermr_monitor{*std::move(created)};
  return 0;
}

int peermr_monitor_fd(const peermr_monitor* monitor) {
  return monitor->monitor.fd();
}

int peermr_monitor_process(peermr_monitor* monitor) {
  return status_of(monitor->monitor.process());
}

int peermr_monitor_watch_device(const peermr_monitor* monitor, const peermr_device* device,
                                void (*handler)(peermr_device_event, void*), void* context,
                                peermr_device_watch** watch) {
  auto watched =
      monitor->monitor.watch(device->device, [handler, context](peermr::vfio::DeviceEvent event) {
        handler(event == peermr::vfio::DeviceEvent::kError ? PEERMR_DEVICE_ERROR
                                                           : PEERMR_DEVICE_REQUEST,
                context);
      });
  if (!watched) return fail(watched.error());
  *watch = new peermr_device_watch{*std::move(watched)};
  return 0;
}

void peermr_device_watch_close(peermr_device_watch* watch) {
  delete watch;
}

void peermr_monitor_close(peermr_monitor* monitor) {
  delete monitor;
}

}  // extern "C"
