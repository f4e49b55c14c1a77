// SPDX-License-Identifier: BSD-2-Clause
#include "version.hpp"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

namespace peermr::nic {

using nlohmann::json;
using namespace vfio_user;

namespace {

// Capabilities fit in a few hundred bytes; a parser need not see megabytes.
constexpr size_t kMaxVersionBytes = 64 * 1024;

constexpr std::string_view kOperation = "negotiate vfio-user version";

Error invalid(std::string_view detail) {
  return errno_error(EINVAL, kOperation, "VERSION", detail);
}

/// A capability that may be missing, must be an unsigned number if it is there, and must lie in a
/// range.
bool read_number(const json& capabilities, const char* name, uint64_t low, uint64_t& out) {
  const auto it = capabilities.find(name);
  if (it == capabilities.end()) return true;
  if (!it->is_number_unsigned()) return false;
  out = it->get<uint64_t>();
  return out >= low;
}

}  // namespace

Result<ClientCapabilities> parse_version(std::span<const std::byte> payload) {
  VersionFixed fixed{};
  if (payload.size() < sizeof(fixed)) return invalid("truncated");
  std::memcpy(&fixed, payload.data(), sizeof(fixed));
  if (fixed.major != kVersionMajor) {
    return errno_error(EPROTONOSUPPORT, kOperation, "VERSION",
                       "this server speaks major version 0");
  }
  ClientCapabilities client;
  if (payload.size() == sizeof(fixed)) return client;

  const auto* text = reinterpret_cast<const char*>(payload.data()) + sizeof(fixed);
  const std::string_view data(text, payload.size() - sizeof(fixed));
  if (data.size() > kMaxVersionBytes) return invalid("too long");
  // QEMU sends the terminating NUL; the document counts it in. One place for it: the end.
  if (data.find('\0') != data.size() - 1)
    return invalid("the version data does not end in its only NUL");
  const json document =
      json::parse(data.substr(0, data.size() - 1), nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return invalid("the version data is not a JSON object");
  const auto it = document.find("capabilities");
  if (it == document.end()) return client;
  if (!it->is_object()) return invalid("capabilities is not an object");

  uint64_t fds = client.max_msg_fds;
  if (!read_number(*it, "max_msg_fds", 0, fds)) return invalid("max_msg_fds");
  client.max_msg_fds = static_cast<uint32_t>(fds < 255 ? fds : 255);
  if (!read_number(*it, "max_data_xfer_size", 8, client.max_data_xfer_bytes))
    return invalid("max_data_xfer_size");
  if (const auto multi = it->find("write_multiple"); multi != it->end()) {
    if (!multi->is_boolean()) return invalid("write_multiple");
    client.write_multiple = multi->get<bool>();
  }
  return client;
}

std::string version_reply(const ClientCapabilities& client) {
  json capabilities = {
      {"max_msg_fds", kMaxMsgFds},
      {"max_data_xfer_size", kMaxDataXferBytes},
      {"max_dma_maps", kMaxDmaMaps},
      {"pgsizes", 4096},
  };
  if (client.write_multiple) capabilities["write_multiple"] = true;
  const VersionFixed fixed{kVersionMajor, kVersionMinor};
  std::string reply(reinterpret_cast<const char*>(&fixed), sizeof(fixed));
  reply += json{{"capabilities", capabilities}}.dump();
  reply.push_back('\0');
  return reply;
}

}  // namespace peermr::nic
