// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "peermr/result.hpp"

namespace peermr::tool {

/// Where two processes meet: "unix:PATH", "HOST:PORT" or "[V6ADDRESS]:PORT".
struct SocketAddress {
  std::string text;       ///< as given
  std::string unix_path;  ///< empty: an internet address
  sockaddr_storage storage{};
  socklen_t length = 0;

  /// Resolves names, which may block. Errors: Errc::kMalformed, std::errc::filename_too_long,
  /// std::errc::address_not_available when the name does not resolve.
  [[nodiscard]] static Result<SocketAddress> parse(std::string_view text);
};

}  // namespace peermr::tool
