// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_watch.h"

#include <cerrno>

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;
using peermr::capi::to_ns;

extern "C" {

int peermr_watch_create(const peermr_dma_buf* buffer, const char* importer, peermr_watch** watch) {
  if (buffer == nullptr || importer == nullptr || watch == nullptr) {
    return refuse_null("watch dma-buf");
  }
  return guarded([&] {
    auto created = peermr::Bdf::parse(importer).and_then(
        [buffer](peermr::Bdf bdf) { return peermr::Watch::create(buffer->buffer, bdf); });
    if (!created) return fail(created.error());
    *watch = new peermr_watch{*std::move(created)};
    return 0;
  });
}

int peermr_watch_fd(const peermr_watch* watch) {
  if (watch == nullptr) return refuse_null("wait for invalidates");
  return watch->watch.fd();
}

int peermr_watch_read(const peermr_watch* watch, peermr_watch_event* event) {
  if (watch == nullptr || event == nullptr) return refuse_null("read watch");
  return guarded([&] {
    const auto got = watch->watch.read();
    if (!got) return fail(got.error());
    if (!*got) return -EAGAIN;
    *event = {.invalidates = (*got)->invalidates,
              .total = (*got)->total,
              .first_ns = to_ns((*got)->first),
              .last_ns = to_ns((*got)->last)};
    return 0;
  });
}

void peermr_watch_close(peermr_watch* watch) {
  delete watch;
}

int peermr_monitor_create(int own_thread, peermr_monitor** monitor) {
  if (monitor == nullptr) return refuse_null("make monitor");
  return guarded([&] {
    auto created = peermr::Monitor::create({.own_thread = own_thread != 0});
    if (!created) return fail(created.error());
    *monitor = new peermr_monitor{*std::move(created)};
    return 0;
  });
}

int peermr_monitor_fd(const peermr_monitor* monitor) {
  if (monitor == nullptr) return refuse_null("wait for what a monitor watches");
  return monitor->monitor.fd();
}

int peermr_monitor_process(peermr_monitor* monitor) {
  if (monitor == nullptr) return refuse_null("process events of a monitor");
  return guarded([&] { return status_of(monitor->monitor.process()); });
}

int peermr_monitor_watch_device(const peermr_monitor* monitor, const peermr_device* device,
                                void (*handler)(peermr_device_event, void*), void* context,
                                peermr_device_watch** watch) {
  if (monitor == nullptr || device == nullptr || handler == nullptr || watch == nullptr) {
    return refuse_null("watch device");
  }
  return guarded([&] {
    auto watched =
        monitor->monitor.watch(device->device, [handler, context](peermr::vfio::DeviceEvent event) {
          handler(event == peermr::vfio::DeviceEvent::kError ? PEERMR_DEVICE_ERROR
                                                             : PEERMR_DEVICE_REQUEST,
                  context);
        });
    if (!watched) return fail(watched.error());
    *watch = new peermr_device_watch{*std::move(watched)};
    return 0;
  });
}

void peermr_device_watch_close(peermr_device_watch* watch) {
  delete watch;
}

void peermr_monitor_close(peermr_monitor* monitor) {
  delete monitor;
}

}  // extern "C"
