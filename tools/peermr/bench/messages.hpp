// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "bench/endpoint.hpp"
#include "bench/pattern.hpp"
#include "bench/target_side.hpp"
#include "peermr/result.hpp"

// Messages between `bench --connect` (asks) and `bench --listen` (answers, or says "error"):
//   hello                                 -> offer {device, targets}
//   connect {qp}                          -> connected {qp}
//   fill {target, layout, seed, pattern}  -> done
//   verify {target, layout, seed}         -> verdict {mismatch or null}
//   bye                                      (no answer)
// Readers refuse what is missing, of a wrong type or out of range: Errc::kMalformed.
namespace peermr::tool {

/// A request about slots of a target.
struct SlotsRequest {
  std::size_t target = 0;
  Layout layout;
  std::uint64_t seed = 0;
};

[[nodiscard]] nlohmann::json to_json(const QpAddress& address);
[[nodiscard]] Result<QpAddress> qp_address_from_json(const nlohmann::json& json);

[[nodiscard]] nlohmann::json to_json(const TargetInfo& info);
[[nodiscard]] Result<TargetInfo> target_info_from_json(const nlohmann::json& json);

[[nodiscard]] nlohmann::json to_json(const SlotsRequest& request);
[[nodiscard]] Result<SlotsRequest> slots_request_from_json(const nlohmann::json& json);

[[nodiscard]] nlohmann::json to_json(const std::optional<Mismatch>& mismatch);
[[nodiscard]] Result<std::optional<Mismatch>> mismatch_from_json(const nlohmann::json& json);

}  // namespace peermr::tool
