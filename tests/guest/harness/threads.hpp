// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

namespace guest_test {

/// Prints where the kernel has the threads of a process, and how much they have run: for one that
/// hangs. `who` begins the lines.
void print_threads(pid_t pid, const char* who);

}  // namespace guest_test
