// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "pnicd_process.hpp"
#include "vfio_client.hpp"

namespace peermr::test {

/// One NIC and a client that may do anything to it.
class Protocol : public ::testing::Test {
 protected:
  void TearDown() override {
    // Whatever a test did to it: it lives, serves the next client, and ends when told to.
    client.reset();
    ASSERT_TRUE(pnicd.alive());
    VfioClient next(pnicd.socket(0));
    EXPECT_TRUE(next.call(kCmdGetInfo, Payload().u32(16).u32(0).u32(0).u32(0)).ok());
    next.close();
    EXPECT_EQ(pnicd.stop(), 0);
  }

  void connect(bool negotiate = true) {
    client = std::make_unique<VfioClient>(pnicd.socket(0), negotiate);
  }

  PnicdProcess pnicd{1};
  std::unique_ptr<VfioClient> client;
};

}  // namespace peermr::test
