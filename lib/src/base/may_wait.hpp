// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string_view>

#include "peermr/result.hpp"

namespace peermr::detail {

/// For calls that wait until no lease is held, or for others that do: Errc::kLeaseHeld when the
/// calling thread holds one, for then they would wait for ever.
Result<void> may_wait(std::string_view operation, std::string_view object);

}  // namespace peermr::detail
