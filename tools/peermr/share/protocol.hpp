// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "peermr/result.hpp"
#include "peermr/vfio.hpp"

namespace peermr::tool {

/// What goes over the socket of `peermr export`: lines of JSON, as peermr-export(1) describes them.
/// Peers are not trusted: whatever a line holds, parsing it gives a value or Errc::kMalformed.
inline constexpr const char* kShareSchema = "peermr-export/1";
/// With its newline.
inline constexpr std::size_t kMaxShareLine = 4096;

/// The first line from the owner, which carries the dma-buf's descriptor.
struct Greeting {
  std::string device;  ///< PCI address
  unsigned bar = 0;
  std::uint64_t bytes = 0;
  std::uint64_t ranges = 0;
  std::string exporter;  ///< vfio::to_string(ExporterKind)
  bool read_only = false;
};

struct Request {
  enum class Kind { kQuery, kRevoke, kRearm };
  Kind kind = Kind::kQuery;
  std::uint64_t revokes = 0;  ///< for kRearm

  friend bool operator==(const Request&, const Request&) = default;
};

[[nodiscard]] std::string make_line(const Greeting& greeting);
[[nodiscard]] std::string make_line(const Request& request);
/// The answers: what was asked for was done, this is the state, or this is why not.
[[nodiscard]] std::string make_done_line();
[[nodiscard]] std::string make_line(const vfio::BufferStatus& status);
[[nodiscard]] std::string make_line(const Error& error);

[[nodiscard]] nlohmann::json to_json(const vfio::BufferStatus& status);

[[nodiscard]] Result<Greeting> parse_greeting(std::string_view line);
[[nodiscard]] Result<Request> parse_request(std::string_view line);
/// The answer's members, or the error that it tells.
[[nodiscard]] Result<nlohmann::json> parse_answer(std::string_view line);

}  // namespace peermr::tool
