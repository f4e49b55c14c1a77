// SPDX-License-Identifier: BSD-2-Clause
#include "vfio/vf_token.hpp"

#include <string>

namespace peermr::vfio {
namespace {

constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

int digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<VfToken> parse_vf_token(std::string_view text) {
  const auto malformed = [&text] {
    // It is a secret: the message does not repeat it.
    return make_error(Errc::kMalformed, "read", "VF token",
                      "a UUID is expected, 36 characters, not " + std::to_string(text.size()));
  };
  if (text.size() != kForm.size()) return malformed();
  VfToken token{};
  std::size_t nibbles = 0;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    if (kForm[i] == '-') {
      if (text[i] != '-') return malformed();
      continue;
    }
    const int value = digit(text[i]);
    if (value < 0) return malformed();
    auto& byte = token[nibbles / 2];
    byte = static_cast<std::uint8_t>(byte << 4 | value);
    ++nibbles;
  }
  return token;
}

}  // namespace peermr::vfio
