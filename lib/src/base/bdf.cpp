// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/bdf.hpp"

#include <fmt/format.h>

#include <optional>

#include "base/text.hpp"

namespace peermr {
namespace {

// Exactly `min` to `max` hexadecimal digits.
template <typename T>
std::optional<T> hex_field(std::string_view text, std::size_t min, std::size_t max) {
  if (text.size() < min || text.size() > max) return std::nullopt;
  return parse_number<T>(text, 16);
}

std::optional<Bdf> parse_bdf(std::string_view text) {
  std::uint32_t domain = 0;
  const std::size_t last_colon = text.rfind(':');
  if (last_colon == std::string_view::npos) return std::nullopt;
  std::string_view bus_text = text.substr(0, last_colon);
  const std::size_t first_colon = bus_text.find(':');
  if (first_colon != std::string_view::npos) {
    // The kernel prints domains with %04x: four digits, or more for VMD.
    const auto parsed = hex_field<std::uint32_t>(bus_text.substr(0, first_colon), 4, 8);
    if (!parsed) return std::nullopt;
    domain = *parsed;
    bus_text.remove_prefix(first_colon + 1);
  }
  const std::string_view slot = text.substr(last_colon + 1);
  if (slot.size() != 4 || slot[2] != '.') return std::nullopt;
  const auto bus = hex_field<std::uint8_t>(bus_text, 2, 2);
  const auto device = hex_field<std::uint8_t>(slot.substr(0, 2), 2, 2);
  const auto function = hex_field<std::uint8_t>(slot.substr(3), 1, 1);
  if (!bus || !device || !function || *device > 0x1f || *function > 7) return std::nullopt;
  return Bdf(domain, *bus, *device, *function);
}

}  // namespace

Result<Bdf> Bdf::parse(std::string_view text) {
  if (const auto bdf = parse_bdf(text)) return *bdf;
  return make_error(Errc::kMalformed, "parse PCI address", fmt::format("\"{}\"", text),
                    "expected domain:bus:device.function, as in 0000:04:00.0");
}

std::string Bdf::to_string() const {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain_, bus_, device(), function());
}

}  // namespace peermr
