// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>

namespace vend_test {

/// A borrower: borrows, checks that the slice is zero, reads and writes it by RDMA, gives it back,
/// drops it or keeps it for too long, and so on until SIGTERM. Through a loan that has ended
/// nothing may succeed, once the number of it came in through the standard input. Returns the exit
/// status.
int run_client(const std::string& socket, std::uint64_t seed);

}  // namespace vend_test
