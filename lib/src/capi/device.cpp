// SPDX-License-Identifier: BSD-2-Clause
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "capi/call.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace {

constexpr unsigned int kExportFlags = PEERMR_EXPORT_READ_ONLY | PEERMR_EXPORT_WITH_MMAP |
                                      PEERMR_EXPORT_WITH_MANUAL_REARM |
                                      PEERMR_EXPORT_WITH_WRITE_COMBINE | PEERMR_EXPORT_DELEGATED;

constexpr std::string_view kExport = "export dma-buf of";

peermr::Result<peermr::DmaBuf> export_parts(const peermr_device& device, unsigned int bar,
                                            const peermr_range* ranges, size_t nr_ranges,
                                            unsigned int flags) {
  if (bar > 5 || (flags & ~kExportFlags) != 0) {
    return peermr::make_error(std::errc::invalid_argument, kExport, device.device.bdf().to_string(),
                              bar > 5 ? "BARs are numbered 0 to 5" : "unknown flags");
  }
  std::vector<peermr::vfio::BarRange> parts;
  for (size_t i = 0; i < nr_ranges; ++i) parts.push_back({ranges[i].offset, ranges[i].length});
  return device.device.export_dma_buf(
      peermr::BarIndex(static_cast<std::uint8_t>(bar)), parts,
      {.read_only = (flags & PEERMR_EXPORT_READ_ONLY) != 0,
       .mappable = (flags & PEERMR_EXPORT_WITH_MMAP) != 0,
       .manual_rearm = (flags & PEERMR_EXPORT_WITH_MANUAL_REARM) != 0,
       .write_combine = (flags & PEERMR_EXPORT_WITH_WRITE_COMBINE) != 0,
       .delegate = (flags & PEERMR_EXPORT_DELEGATED) != 0});
}

}  // namespace

extern "C" {

int peermr_device_open(const char* bdf, peermr_device** device) {
  if (bdf == nullptr || device == nullptr) return refuse_null("open device");
  return guarded([&] {
    auto opened = peermr::Bdf::parse(bdf).and_then(
        [](peermr::Bdf address) { return peermr::vfio::Device::open(address); });
    if (!opened) return fail(opened.error());
    *device = new peermr_device{*std::move(opened)};
    return 0;
  });
}

int peermr_device_reset(peermr_device* device) {
  if (device == nullptr) return refuse_null("reset device");
  return guarded([&] {
    const auto report = device->device.reset();
    return report ? 0 : fail(report.error());
  });
}

int peermr_device_set_memory_enabled(peermr_device* device, int enabled) {
  if (device == nullptr) return refuse_null("switch memory decode of device");
  return guarded([&] { return status_of(device->device.set_memory_enabled(enabled != 0)); });
}

int peermr_device_set_power(peermr_device* device, peermr_power power) {
  if (device == nullptr) return refuse_null("change power state of device");
  // Not read as the enumeration that it may be no value of.
  std::underlying_type_t<peermr_power> state{};
  std::memcpy(&state, &power, sizeof(state));
  return guarded([&] {
    if (state != PEERMR_POWER_ON && state != PEERMR_POWER_SLEEP) {
      return fail(peermr::make_error(std::errc::invalid_argument, "change power state of",
                                     device->device.bdf().to_string(), "there is no such state"));
    }
    return status_of(device->device.set_power(state == PEERMR_POWER_ON
                                                  ? peermr::vfio::PowerState::kD0
                                                  : peermr::vfio::PowerState::kD3hot));
  });
}

int peermr_device_quiesce(peermr_device* device) {
  if (device == nullptr) return refuse_null("quiesce device");
  return guarded([&] { return status_of(device->device.quiesce()); });
}

int peermr_device_resume(peermr_device* device) {
  if (device == nullptr) return refuse_null("resume device");
  return guarded([&] { return status_of(device->device.resume()); });
}

int peermr_device_close(peermr_device* device) {
  if (device == nullptr) return 0;
  return guarded([&] {
    const auto closed = device->device.close();
    if (!closed && closed.error().code() == peermr::Errc::kLeaseHeld) return fail(closed.error());
    delete device;
    return status_of(closed);
  });
}

int peermr_device_export(const peermr_device* device, unsigned int bar, const peermr_range* ranges,
                         size_t nr_ranges, unsigned int flags, peermr_dma_buf** buffer) {
  if (device == nullptr || (ranges == nullptr && nr_ranges != 0) || buffer == nullptr) {
    return refuse_null(kExport);
  }
  return guarded([&] {
    auto exported = export_parts(*device, bar, ranges, nr_ranges, flags);
    if (!exported) return fail(exported.error());
    *buffer = new peermr_dma_buf{*std::move(exported)};
    return 0;
  });
}

int peermr_dma_buf_adopt(int fd, const char* name, peermr_dma_buf** buffer) {
  peermr::UniqueFd owned(fd);
  if (buffer == nullptr) return refuse_null("adopt dma-buf");
  return guarded([&] {
    auto adopted = peermr::DmaBuf::adopt(std::move(owned), name != nullptr ? name : "");
    if (!adopted) return fail(adopted.error());
    *buffer = new peermr_dma_buf{*std::move(adopted)};
    return 0;
  });
}

int peermr_dma_buf_fd(const peermr_dma_buf* buffer) {
  if (buffer == nullptr) return refuse_null("use dma-buf");
  return buffer->buffer.fd();
}

uint64_t peermr_dma_buf_size(const peermr_dma_buf* buffer) {
  return buffer != nullptr ? buffer->buffer.size_bytes() : 0;
}

void peermr_dma_buf_close(peermr_dma_buf* buffer) {
  delete buffer;
}

}  // extern "C"
