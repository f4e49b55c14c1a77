// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "peermr/result.hpp"

namespace peermr::vfio {

/// The secret that the owner of a physical function shares with those of its virtual functions.
using VfToken = std::array<std::uint8_t, 16>;

/// From the text of a UUID, as in "01234567-89ab-cdef-0123-456789abcdef". Errors: Errc::kMalformed.
[[nodiscard]] Result<VfToken> parse_vf_token(std::string_view text);

}  // namespace peermr::vfio
