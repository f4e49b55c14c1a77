// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "peermr/result.hpp"
#include "protocol.hpp"

namespace peermr::nic {

/// What a client said about itself in VERSION, with the protocol's defaults for what it left out.
struct ClientCapabilities {
  uint32_t max_msg_fds = 1;
  uint64_t max_data_xfer_bytes = vfio_user::kMaxDataXferBytes;
  bool write_multiple = false;
};

/// Parses the payload of a VERSION command.
/// Errors: EPROTONOSUPPORT for another major version; EINVAL for a payload that is truncated, is
/// not terminated, is not JSON, or holds capabilities of a wrong type or value.
Result<ClientCapabilities> parse_version(std::span<const std::byte> payload);

/// The payload of the reply: fixed part and JSON with its terminating NUL. Announces write_multiple
/// only to a client that knows it: the reply must be a subset of what was proposed.
std::string version_reply(const ClientCapabilities& client);

}  // namespace peermr::nic
