// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>

#include "capi/call.hpp"
#include "peermr/connection.hpp"
#include "peermr/peermr_connection.h"

// What the opaque types of connections are, and how their structs translate.

struct peermr_publication {
  std::shared_ptr<peermr::Publication> publication;  ///< keeps its region
  std::shared_ptr<peermr::capi::Followers> followers;
};

struct peermr_connection {
  std::shared_ptr<const peermr::capi::Followers::Wake> wake;
  peermr::RcConnection connection;
};

namespace peermr::capi {

/// A publication that keeps the region, so that a C program may close it first.
[[nodiscard]] std::shared_ptr<Publication> publish(uint64_t id, const peermr_region& region);

[[nodiscard]] peermr_descriptor to_c(const RegionDescriptor& descriptor) noexcept;
/// Errors: std::errc::invalid_argument: no such state, unknown flags.
[[nodiscard]] Result<RegionDescriptor> to_cpp(const peermr_descriptor& descriptor);

/// Null: the defaults. Errors: std::errc::invalid_argument.
[[nodiscard]] Result<QpParameters> to_cpp(const peermr_qp_parameters* parameters);

struct ChannelOptions {
  ConnectionOptions connection;
  StreamChannelOptions stream;
};
/// Null: the defaults. Errors: std::errc::invalid_argument.
[[nodiscard]] Result<ChannelOptions> to_cpp(const peermr_connection_options* options);

[[nodiscard]] peermr_connection_event to_c(const ConnectionEvent& event) noexcept;

/// `operation` is not of a receive, and exists.
[[nodiscard]] WorkRequest to_cpp(const peermr_work& work) noexcept;
[[nodiscard]] LocalMemory to_cpp(const peermr_local& local) noexcept;
[[nodiscard]] peermr_completion to_c(const Completion& completion) noexcept;

/// The application's functions as an OutOfBand. Errors: std::errc::invalid_argument.
[[nodiscard]] Result<std::unique_ptr<OutOfBand>> make_channel(const peermr_channel& channel);

}  // namespace peermr::capi
