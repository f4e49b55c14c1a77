// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <thread>

namespace peermr {

/// Starts a thread of the library's, which gets no signals: those are for the application's
/// threads. `name` has 15 characters at most. Throws std::system_error when there can be none.
[[nodiscard]] std::thread start_quiet_thread(const char* name, std::function<void()> run);

}  // namespace peermr
