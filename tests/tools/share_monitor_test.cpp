// SPDX-License-Identifier: BSD-2-Clause
#include "share/monitor.hpp"

#include <gtest/gtest.h>

namespace peermr::tool {
namespace {

using vfio::BufferState;
using vfio::BufferStatus;

TEST(BufferMonitor, TellsWhatHappenedSinceItLooked) {
  BufferMonitor monitor({.revokes = 1, .restores = 1});
  EXPECT_FALSE(monitor.changes({.revokes = 1, .restores = 1}));
  EXPECT_EQ(monitor.changes({.state = BufferState::kRevoked, .revokes = 2, .restores = 1}),
            "revoked once: revoked (revokes 2, restores 1)");
  EXPECT_EQ(monitor.changes({.revokes = 4, .restores = 4}),
            "revoked 2 times, restored 3 times: live (revokes 4, restores 4)");
}

TEST(BufferMonitor, TellsAStateThatChangesWithoutARevoke) {
  BufferMonitor monitor({.state = BufferState::kRevoked, .revokes = 1});
  EXPECT_EQ(monitor.changes({.state = BufferState::kHeld, .revokes = 1}),
            "held (revokes 1, restores 0)");
  EXPECT_EQ(monitor.changes({.state = BufferState::kDead, .revokes = 1, .waiting = true}),
            "dead (revokes 1, restores 0), waiting for an importer");
  EXPECT_FALSE(monitor.changes({.state = BufferState::kDead, .revokes = 1}));
}

}  // namespace
}  // namespace peermr::tool
