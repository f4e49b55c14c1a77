// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <peermr/unique_fd.hpp>
#include <vector>

namespace soak {

// The two processes that connections are between; each socket leads to the other one. They go on
// until the other one is gone, say so, and release everything. What they return is an exit status.

inline constexpr int kEndedWell = 0;
inline constexpr int kEndedBadly = 1;
inline constexpr int kEndedEarly = 3;  ///< well too, but there was no traffic yet

/// Owns memory that is taken away all the time, and takes messages. Closes `traffic` once it has
/// the first.
int run_owner(std::uint64_t seed, std::vector<peermr::UniqueFd> sockets, peermr::UniqueFd traffic);
/// Writes there, and sends messages.
int run_writer(std::uint64_t seed, std::vector<peermr::UniqueFd> sockets);

}  // namespace soak
