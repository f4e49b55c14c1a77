// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "peermr/bdf.hpp"
#include "peermr/result.hpp"
#include "peermr/types.hpp"

namespace peermr::tool {

/// What --target names: host memory, or a part of a BAR.
struct TargetSpec {
  enum class Kind { kHost, kBar };
  enum class Extent {
    kNone,   ///< none was given
    kAll,    ///< the whole BAR, said on purpose
    kRange,  ///< offset and length
  };

  Kind kind = Kind::kHost;
  Bdf device;
  BarIndex bar;
  Extent extent = Extent::kNone;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;

  /// "host", "BDF:BAR", "BDF:BAR:all", "BDF:BAR:OFFSET+LENGTH". Errors: Errc::kMalformed with what
  /// was expected; std::errc::invalid_argument for an empty range or one that wraps.
  [[nodiscard]] static Result<TargetSpec> parse(std::string_view text);

  /// "host memory" or "0000:04:00.0 BAR 4".
  [[nodiscard]] std::string name() const;

  friend bool operator==(const TargetSpec&, const TargetSpec&) = default;
};

}  // namespace peermr::tool
