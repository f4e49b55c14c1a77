// SPDX-License-Identifier: BSD-2-Clause
//
// pnicd as a command.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "pnicd_process.hpp"

namespace peermr::test {
namespace {

TEST(CommandLine, HelpAndVersionSucceedAndNonsenseFails) {
  std::string output;
  EXPECT_EQ(run_pnicd({"--help"}, output), 0);
  EXPECT_NE(output.find("--socket"), std::string::npos);
  EXPECT_EQ(run_pnicd({"--version"}, output), 0);
  EXPECT_EQ(WEXITSTATUS(run_pnicd({}, output)), 2);
  EXPECT_EQ(WEXITSTATUS(run_pnicd({"--socket", "/tmp/x", "--spin", "-3"}, output)), 2);
  EXPECT_EQ(WEXITSTATUS(run_pnicd({"--socket", "/tmp/x", "--lose", "0"}, output)), 2);
  output.clear();
  EXPECT_EQ(WEXITSTATUS(run_pnicd({"--socket", "/nonexistent/folder/socket"}, output)), 1);
  EXPECT_NE(output.find("/nonexistent/folder/socket"), std::string::npos) << output;
  EXPECT_EQ(WEXITSTATUS(run_pnicd({"--socket", std::string(200, 'x')}, output)), 1);
  EXPECT_EQ(WEXITSTATUS(run_pnicd({"--socket", "/etc/hostname"}, output)), 1);
}

TEST(CommandLine, MemoryDevicesMustMakeSense) {
  for (const char* text : {"", ",size=1M", "/tmp/x,size=", "/tmp/x,size=3M", "/tmp/x,size=2K",
                           "/tmp/x,size=2T", "/tmp/x,size=-4K", "/tmp/x,size=1MB",
                           "/tmp/x,size=99999999999T", "/tmp/x,kept", "/tmp/x,volatile=1"}) {
    std::string output;
    EXPECT_EQ(
        WEXITSTATUS(run_pnicd({"--socket", "/nonexistent/x", "--memory-device", text}, output)), 2)
        << text;
  }
}

TEST(CommandLine, AnAbandonedSocketIsReplacedAndABusyOneIsNot) {
  PnicdProcess first(1);
  std::string output;
  EXPECT_EQ(WEXITSTATUS(run_pnicd({"--socket", first.socket(0)}, output)), 1);
  EXPECT_NE(output.find("someone listens"), std::string::npos) << output;
}

}  // namespace
}  // namespace peermr::test
