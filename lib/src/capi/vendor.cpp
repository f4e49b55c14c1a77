// SPDX-License-Identifier: BSD-2-Clause
#include <limits>
#include <string>
#include <utility>

#include "capi/vend.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace peermr::capi {
namespace {

using vend::LoanEnd;
using vend::SliceState;
using Kind = vend::VendorEvent::Kind;
using Milliseconds = std::chrono::milliseconds;

constexpr std::uint32_t kFlags = PEERMR_VEND_MAPPABLE | PEERMR_VEND_KEEP_CONTENT |
                                 PEERMR_VEND_SOCKET_GROUP | PEERMR_VEND_OWN_LOOP;
constexpr std::uint32_t kModes = 0777;

static_assert(kSame<LoanEnd::kNone, PEERMR_LOAN_NOT_ENDED> &&
              kSame<LoanEnd::kGivenBack, PEERMR_LOAN_GIVEN_BACK> &&
              kSame<LoanEnd::kOverdue, PEERMR_LOAN_OVERDUE> &&
              kSame<LoanEnd::kBorrowerGone, PEERMR_LOAN_BORROWER_GONE> &&
              kSame<LoanEnd::kVendorStops, PEERMR_LOAN_VENDOR_STOPS> &&
              kSame<LoanEnd::kDeviceGone, PEERMR_LOAN_DEVICE_GONE> &&
              kSame<LoanEnd::kVendorGone, PEERMR_LOAN_VENDOR_GONE>);
static_assert(kSame<SliceState::kFree, PEERMR_SLICE_FREE> &&
              kSame<SliceState::kClearing, PEERMR_SLICE_CLEARING> &&
              kSame<SliceState::kLent, PEERMR_SLICE_LENT> &&
              kSame<SliceState::kTaking, PEERMR_SLICE_TAKING> &&
              kSame<SliceState::kLost, PEERMR_SLICE_LOST>);
static_assert(
    kSame<Kind::kLent, PEERMR_VENDOR_LENT> && kSame<Kind::kRenewed, PEERMR_VENDOR_RENEWED> &&
    kSame<Kind::kEnded, PEERMR_VENDOR_ENDED> && kSame<Kind::kTakenBack, PEERMR_VENDOR_TAKEN_BACK> &&
    kSame<Kind::kFree, PEERMR_VENDOR_FREE> && kSame<Kind::kRefused, PEERMR_VENDOR_REFUSED> &&
    kSame<Kind::kWaiting, PEERMR_VENDOR_WAITING> && kSame<Kind::kLost, PEERMR_VENDOR_LOST> &&
    kSame<Kind::kGeneration, PEERMR_VENDOR_GENERATION> &&
    kSame<Kind::kDeviceGone, PEERMR_VENDOR_DEVICE_GONE>);

int count_of(std::size_t count) noexcept {
  return static_cast<int>(std::min<std::size_t>(count, std::numeric_limits<int>::max()));
}

std::function<void(const vend::VendorEvent&)> listener(const peermr_vendor_options& options) {
  if (options.on_event == nullptr) return {};
  return [call = options.on_event, context = options.context](const vend::VendorEvent& event) {
    const std::string error = event.error ? event.error->message() : std::string();
    const peermr_vendor_event told{.kind = static_cast<int32_t>(event.kind),
                                   .reserved = 0,
                                   .slice = to_c(event.status),
                                   .generation = event.generation,
                                   .took_ns = static_cast<uint64_t>(event.took.count()),
                                   .error = error.c_str()};
    call(&told, context);
  };
}

Result<void> check(const peermr_vendor_options& options) {
  const auto refused = [](const char* why) {
    return make_error(std::errc::invalid_argument, "vend", "", why);
  };
  if (options.size != sizeof(options)) {
    return refused("options.size is not the size of the struct");
  }
  if (options.socket == nullptr) return refused("options.socket names no path");
  if (options.bar > 5) return refused("BARs are numbered 0 to 5");
  if ((options.flags & ~kFlags) != 0 || options.reserved != 0) {
    return refused("unknown flags, or options.reserved is not 0");
  }
  if ((options.socket_mode & ~kModes) != 0) return refused("socket_mode is 0777 at most");
  return {};
}

}  // namespace

peermr_slice to_c(const vend::SliceStatus& slice) noexcept {
  return {.loan = slice.loan,
          .expires_ns = to_ns(slice.expires),
          .slice = slice.slice,
          .state = static_cast<int32_t>(slice.state),
          .pid = slice.pid,
          .uid = slice.uid,
          .end = static_cast<int32_t>(slice.end),
          .reserved = 0};
}

Result<vend::VendorOptions> to_cpp(const peermr_vendor_options& options) {
  if (auto checked = check(options); !checked) return checked.error();
  vend::VendorOptions result;
  result.bar = BarIndex(static_cast<std::uint8_t>(options.bar));
  result.range = {.offset_bytes = options.offset, .length_bytes = options.length};
  result.slice_bytes = options.slice_bytes;
  result.socket = options.socket;
  if (options.socket_mode != 0) result.socket_mode = options.socket_mode;
  if ((options.flags & PEERMR_VEND_SOCKET_GROUP) != 0) result.socket_group = options.socket_group;
  if (options.lease_time_ms != 0) result.lease_time = span_of<Milliseconds>(options.lease_time_ms);
  if (options.max_borrowers != 0) result.max_borrowers = options.max_borrowers;
  result.max_per_borrower = options.max_per_borrower;
  result.max_per_user = options.max_per_user;
  result.mappable = (options.flags & PEERMR_VEND_MAPPABLE) != 0;
  result.keep_content = (options.flags & PEERMR_VEND_KEEP_CONTENT) != 0;
  result.own_thread = (options.flags & PEERMR_VEND_OWN_LOOP) == 0;
  result.on_event = listener(options);
  return result;
}

}  // namespace peermr::capi

extern "C" {

int peermr_vendor_create(peermr_device* device, const peermr_vendor_options* options,
                         peermr_vendor** vendor) {
  if (device == nullptr || options == nullptr || vendor == nullptr) return refuse_null("vend");
  return guarded([&] {
    auto made = peermr::capi::to_cpp(*options).and_then([&](peermr::vend::VendorOptions cpp) {
      return peermr::vend::Vendor::create(device->device, std::move(cpp));
    });
    if (!made) return fail(made.error());
    *vendor = new peermr_vendor{*std::move(made)};
    return 0;
  });
}

int peermr_vendor_fd(const peermr_vendor* vendor) {
  if (vendor == nullptr) return refuse_null("wait for vendor");
  return vendor->vendor.fd();
}

int peermr_vendor_process(peermr_vendor* vendor) {
  if (vendor == nullptr) return refuse_null("serve borrowers");
  return guarded([&] { return status_of(vendor->vendor.process()); });
}

int peermr_vendor_loans(const peermr_vendor* vendor, peermr_slice* slices, size_t count) {
  if (vendor == nullptr || (slices == nullptr && count != 0)) return refuse_null("list slices");
  return guarded([&] {
    const auto all = vendor->vendor.loans();
    for (std::size_t i = 0; i < std::min(count, all.size()); ++i) {
      slices[i] = peermr::capi::to_c(all[i]);
    }
    return peermr::capi::count_of(all.size());
  });
}

int peermr_vendor_reset(peermr_vendor* vendor) {
  if (vendor == nullptr) return refuse_null("reset device");
  return guarded([&] {
    const auto report = vendor->vendor.reset();
    return report ? 0 : fail(report.error());
  });
}

int peermr_vendor_stop(peermr_vendor* vendor, uint64_t limit_ms) {
  if (vendor == nullptr) return refuse_null("stop vendor");
  return guarded([&] {
    const auto held =
        vendor->vendor.stop(peermr::capi::span_of<std::chrono::milliseconds>(limit_ms));
    return peermr::capi::count_of(held.size());
  });
}

void peermr_vendor_close(peermr_vendor* vendor) {
  delete vendor;
}

}  // extern "C"
