// SPDX-License-Identifier: BSD-2-Clause
#include "share/protocol.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>

namespace peermr::tool {
namespace {

using testing::HasSubstr;

std::string_view without_newline(const std::string& line) {
  EXPECT_TRUE(line.ends_with('\n'));
  EXPECT_EQ(line.find('\n'), line.size() - 1) << "a message is one line";
  return std::string_view(line).substr(0, line.size() - 1);
}

TEST(ShareProtocol, RequestsSurviveTheWay) {
  for (const Request& request :
       {Request{Request::Kind::kQuery, 0}, Request{Request::Kind::kRevoke, 0},
        Request{Request::Kind::kRearm, 7}, Request{Request::Kind::kRearm, UINT64_MAX}}) {
    EXPECT_EQ(parse_request(without_newline(make_line(request))).value(), request);
  }
}

TEST(ShareProtocol, GreetingSurvivesTheWay) {
  const Greeting greeting{.device = "0000:04:00.0",
                          .bar = 4,
                          .bytes = 1ull << 40,
                          .ranges = 2,
                          .exporter = "peermr_vfio",
                          .read_only = true};
  const auto got = parse_greeting(without_newline(make_line(greeting))).value();
  EXPECT_EQ(got.device, greeting.device);
  EXPECT_EQ(got.bar, 4u);
  EXPECT_EQ(got.bytes, greeting.bytes);
  EXPECT_EQ(got.ranges, 2u);
  EXPECT_EQ(got.exporter, "peermr_vfio");
  EXPECT_TRUE(got.read_only);
}

TEST(ShareProtocol, ErrorsKeepCodeAndText) {
  for (const Error& error :
       {make_error(Errc::kStale, "re-arm", "0000:04:00.0 BAR 4", "look again"),
        make_error(Errc::kDead, "revoke", "0000:04:00.0 BAR 4"),
        make_error(Errc::kNotOffered, "revoke", "0000:04:00.0 BAR 4", "bind it"),
        errno_error(EBUSY, "revoke", "0000:04:00.0")}) {
    const auto got = parse_answer(without_newline(make_line(error)));
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), error.code());
    EXPECT_EQ(got.error().message(), error.message());
  }
}

TEST(ShareProtocol, AnswersTellTheState) {
  const auto done = parse_answer(without_newline(make_done_line()));
  EXPECT_TRUE(done);
  const auto status = parse_answer(without_newline(make_line(
      vfio::BufferStatus{.state = vfio::BufferState::kHeld, .revokes = 3, .manual_rearm = true})));
  EXPECT_EQ(status.value()["state"], "held");
  EXPECT_EQ(status.value()["revokes"], 3);
  EXPECT_EQ(status.value()["manual_rearm"], true);
}

TEST(ShareProtocol, TextThatIsNotUtf8DoesNotThrow) {
  const auto got = parse_answer(without_newline(make_line(errno_error(EIO, "x", "\xff\xfe"))));
  EXPECT_FALSE(got);
}

TEST(ShareProtocol, WhatIsNoMessageIsMalformed) {
  const std::string deep(kMaxShareLine, '[');
  const std::string quoted(kMaxShareLine + 1, ' ');
  for (const std::string& line :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("\"query\""), std::string("{}"), std::string(R"({"request":"QUERY"})"),
        std::string(R"({"request":["query"]})"), std::string(R"({"request":"rearm"})"),
        std::string(R"({"request":"rearm","revokes":-1})"),
        std::string(R"({"request":"rearm","revokes":1.5})"),
        std::string(R"({"request":"rearm","revokes":"1"})"),
        std::string(R"({"request":"rearm","revokes":99999999999999999999999})"),
        std::string("\x00\xff", 2), deep, quoted}) {
    EXPECT_EQ(parse_request(line).error().code(), Errc::kMalformed) << line.substr(0, 80);
    EXPECT_EQ(parse_greeting(line).error().code(), Errc::kMalformed);
    EXPECT_EQ(parse_answer(line).error().code(), Errc::kMalformed);
  }
  EXPECT_THAT(parse_greeting(R"({"schema":"peermr-export/2"})").error().message(),
              HasSubstr("peermr-export/1"));
  EXPECT_FALSE(parse_greeting(R"({"schema":"peermr-export/1","device":"x","bar":6,"bytes":1})"));
}

TEST(ShareProtocol, LiesAboutErrorsDoNoHarm) {
  for (const char* line : {R"({"ok":false})", R"({"ok":false,"errno":0})",
                           R"({"ok":false,"errno":18446744073709551615})",
                           R"({"ok":false,"code":7,"operation":[],"errno":"x"})"}) {
    const auto got = parse_answer(line);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code(), std::errc::io_error) << line;
  }
  EXPECT_EQ(parse_answer(R"({"ok":1})").error().code(), Errc::kMalformed);
}

TEST(ShareProtocol, MangledMessagesGiveAnAnswerOrAnError) {
  std::mt19937 random(1);
  const std::string good = make_line(Request{Request::Kind::kRearm, 12345});
  for (int i = 0; i < 20000; ++i) {
    std::string line = good;
    for (unsigned changes = 1 + random() % 4; changes != 0; --changes) {
      line[random() % line.size()] = static_cast<char>(random() % 256);
    }
    static_cast<void>(parse_request(line).has_value());
    static_cast<void>(parse_answer(line).has_value());
    static_cast<void>(parse_greeting(line).has_value());
  }
}

}  // namespace
}  // namespace peermr::tool
