// SPDX-License-Identifier: BSD-2-Clause
#include "base/may_wait.hpp"

#include "base/read_section.hpp"

namespace peermr::detail {

Result<void> may_wait(std::string_view operation, std::string_view object) {
  if (!in_section()) return {};
  return make_error(Errc::kLeaseHeld, operation, object, "it would wait for that lease for ever");
}

}  // namespace peermr::detail
