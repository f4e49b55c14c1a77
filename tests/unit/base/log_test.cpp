// SPDX-License-Identifier: BSD-2-Clause
#include "base/log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace peermr {
namespace {

class Log : public testing::Test {
 protected:
  Log() {
    set_log_sink(
        [](LogLevel level, std::string_view message, void* context) {
          static_cast<Log*>(context)->lines_.push_back(std::string(to_string(level)) + ": " +
                                                       std::string(message));
        },
        this);
  }
  ~Log() override {
    set_log_sink(nullptr);
    set_log_level(LogLevel::kWarning);
  }

  std::vector<std::string> lines_;
};

TEST_F(Log, MessagesBelowTheLevelAreDropped) {
  log(LogLevel::kInfo, "quiet");
  log(LogLevel::kWarning, "BAR {}", 2);
  set_log_level(LogLevel::kInfo);
  log(LogLevel::kInfo, "heard");
  EXPECT_EQ(lines_, (std::vector<std::string>{"warning: BAR 2", "info: heard"}));
}

TEST_F(Log, OffSilencesErrorsToo) {
  set_log_level(LogLevel::kOff);
  log(LogLevel::kError, "lost");
  EXPECT_TRUE(lines_.empty());
}

}  // namespace
}  // namespace peermr
