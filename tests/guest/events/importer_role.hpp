// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "events/subject.hpp"

namespace events_test {

/// In another process: imports the buffer that its parent sends, writes into it without a pause,
/// and waits to be killed. 'r': the traffic flows.
int run_importer();

/// Starts such a process, kills it in the middle of its traffic, and waits until it is gone.
void kill_importer(const Subject& subject);

}  // namespace events_test
