// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>

namespace soak {

using Count = std::atomic<std::uint64_t>;

/// What all streams saw, those with queue pairs of their own and those through connections.
struct Counts {
  // These must be 0 in the end.
  Count missing{0};      ///< acknowledged, not there, and no new generation told
  Count twice{0};        ///< messages that were taken a second time
  Count wrong{0};        ///< messages that are not as they were sent
  Count intruded{0};     ///< an old key under fresh keys was let in
  Count stuck{0};        ///< no completion, or no recovery, in time
  Count unexplained{0};  ///< an error that no revoke explains

  Count writes{0};
  Count reads{0};
  Count messages{0};  ///< SENDs, and WRITEs with immediate
  Count places{0};
  Count verified{0};  ///< records that were found where they must be
  Count errors{0};    ///< completions in error that a revoke explains
  Count intrusions{0};
  Count given_back{0};  ///< by connections: not done, in doubt, or of an older generation
  Count reconnections{0};
};

}  // namespace soak
