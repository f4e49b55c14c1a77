// SPDX-License-Identifier: BSD-2-Clause
#include "base/bar_range.hpp"

#include "base/units.hpp"

namespace peermr::tool {

Result<vfio::BarRange> parse_range(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) {
    return make_error(Errc::kMalformed, "parse range", text,
                      "expected OFFSET:LENGTH, as in 2M:1M, or 0:all");
  }
  const auto offset = parse_bytes(text.substr(0, colon));
  if (!offset) return offset.error();
  const std::string length = text.substr(colon + 1);
  if (length == "all") return vfio::BarRange{*offset, 0};
  const auto bytes = parse_bytes(length);
  if (!bytes) return bytes.error();
  if (*bytes == 0) return make_error(Errc::kMalformed, "parse range", text, "the range is empty");
  return vfio::BarRange{*offset, *bytes};
}

}  // namespace peermr::tool
