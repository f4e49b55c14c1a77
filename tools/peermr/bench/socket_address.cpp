// SPDX-License-Identifier: BSD-2-Clause
#include "bench/socket_address.hpp"

#include <netdb.h>
#include <sys/un.h>

#include <cstring>
#include <memory>

namespace peermr::tool {
namespace {

constexpr std::string_view kOperation = "parse address";

Result<SocketAddress> unix_address(std::string_view text, std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return make_error(Errc::kMalformed, kOperation, text, "the path is empty");
  if (path.size() >= sizeof address.sun_path) {
    return make_error(std::errc::filename_too_long, kOperation, text);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  SocketAddress result;
  result.text = text;
  result.unix_path = path;
  std::memcpy(&result.storage, &address, sizeof address);
  result.length = sizeof address;
  return result;
}

}  // namespace

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) return unix_address(text, text.substr(kUnix.size()));
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return make_error(Errc::kMalformed, kOperation, text, "expected unix:PATH or ADDRESS:PORT");
  }
  std::string host(text.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return make_error(Errc::kMalformed, kOperation, text,
                      "an IPv6 address belongs in brackets: [::1]:7471");
  }
  const std::string port(text.substr(colon + 1));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int status = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); status != 0) {
    return make_error(std::errc::address_not_available, kOperation, text, ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  SocketAddress result;
  result.text = text;
  std::memcpy(&result.storage, found->ai_addr, found->ai_addrlen);
  result.length = found->ai_addrlen;
  return result;
}

}  // namespace peermr::tool
