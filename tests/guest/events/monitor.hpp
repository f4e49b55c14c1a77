// SPDX-License-Identifier: BSD-2-Clause
//
// The monitor of the emulator that this guest runs in.
#pragma once

#include <string>

namespace events_test {

/// One command, with its arguments as JSON; the program ends when it fails. lib/qmp.py does the
/// same for scripts, but while there is traffic it takes an interpreter half a minute to start.
void monitor_call(const std::string& command, const std::string& arguments);

}  // namespace events_test
