// SPDX-License-Identifier: BSD-2-Clause
#include "bench/target_spec.hpp"

#include <fmt/core.h>

#include <limits>

#include "base/units.hpp"

namespace peermr::tool {
namespace {

constexpr std::string_view kForms =
    "expected host, BDF:BAR:all or BDF:BAR:OFFSET+LENGTH, as in 0000:04:00.0:4:0+16M";

Error malformed(std::string_view text, std::string_view detail = kForms) {
  return make_error(Errc::kMalformed, "parse target", text, detail);
}

Result<void> parse_extent(std::string_view extent, std::string_view text, TargetSpec& spec) {
  if (extent == "all") {
    spec.extent = TargetSpec::Extent::kAll;
    return {};
  }
  const std::size_t plus = extent.find('+');
  if (plus == std::string_view::npos) return malformed(text);
  auto offset = parse_bytes(extent.substr(0, plus));
  if (!offset) return malformed(text, offset.error().detail());
  auto length = parse_bytes(extent.substr(plus + 1));
  if (!length) return malformed(text, length.error().detail());
  if (*length == 0) {
    return make_error(std::errc::invalid_argument, "parse target", text, "the range is empty");
  }
  if (*offset > std::numeric_limits<std::uint64_t>::max() - *length) {
    return make_error(std::errc::invalid_argument, "parse target", text,
                      "offset and length together exceed 64 bits");
  }
  spec.extent = TargetSpec::Extent::kRange;
  spec.offset_bytes = *offset;
  spec.length_bytes = *length;
  return {};
}

}  // namespace

Result<TargetSpec> TargetSpec::parse(std::string_view text) {
  TargetSpec spec;
  if (text == "host") return spec;
  spec.kind = Kind::kBar;
  // The address holds colons itself: its last part is ".FUNCTION".
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return malformed(text);
  const std::size_t colon = text.find(':', dot);
  if (colon == std::string_view::npos) return malformed(text);
  auto bdf = Bdf::parse(text.substr(0, colon));
  if (!bdf) return malformed(text, bdf.error().detail());
  spec.device = *bdf;
  std::string_view rest = text.substr(colon + 1);
  const std::size_t end = rest.find(':');
  const std::string_view bar = rest.substr(0, end);
  if (bar.size() != 1 || bar[0] < '0' || bar[0] > '5') {
    return malformed(text, "a BAR is a number from 0 to 5");
  }
  spec.bar = BarIndex(static_cast<std::uint8_t>(bar[0] - '0'));
  if (end == std::string_view::npos) return spec;
  if (auto parsed = parse_extent(rest.substr(end + 1), text, spec); !parsed) {
    return std::move(parsed).error();
  }
  return spec;
}

std::string TargetSpec::name() const {
  if (kind == Kind::kHost) return "host memory";
  return fmt::format("{} BAR {}", device.to_string(), bar.value());
}

}  // namespace peermr::tool
