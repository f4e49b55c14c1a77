// SPDX-License-Identifier: BSD-2-Clause
#pragma once

namespace peermr::tool {

/// From now on SIGINT and SIGTERM only set a flag, so that what was changed can be put back; a
/// second one ends the program at once. SIGPIPE is ignored. Call once, before threads are made.
void catch_stop_signals();

/// Whether a signal asked for the end.
[[nodiscard]] bool stop_requested() noexcept;

}  // namespace peermr::tool
