// SPDX-License-Identifier: BSD-2-Clause
#include "bench/messages.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "bench/channel.hpp"

namespace peermr::tool {
namespace {

using nlohmann::json;

QpAddress some_address() {
  QpAddress address;
  address.qpn = 0x123456;
  address.psn = 0xabcdef;
  address.lid = 7;
  for (std::uint8_t i = 0; i < 16; ++i) address.gid[i] = static_cast<std::uint8_t>(0xf0 + i);
  address.mtu = IBV_MTU_4096;
  address.rd_atomic = 16;
  return address;
}

TEST(Messages, QpAddressSurvivesTheWay) {
  const QpAddress address = some_address();
  auto back = qp_address_from_json(json::parse(to_json(address).dump()));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->qpn, address.qpn);
  EXPECT_EQ(back->psn, address.psn);
  EXPECT_EQ(back->lid, address.lid);
  EXPECT_EQ(back->gid, address.gid);
  EXPECT_EQ(back->rd_atomic, address.rd_atomic);
}

TEST(Messages, QpAddressOutOfRangeIsRefused) {
  const json good = to_json(some_address());
  ASSERT_TRUE(qp_address_from_json(good));
  const std::vector<std::pair<const char*, json>> wrong = {
      {"qpn", 0x1000000}, {"qpn", -1},      {"qpn", "7"},       {"psn", 0x1000000},
      {"lid", 65536},     {"mtu", 0},       {"mtu", 6},         {"gid", "f0"},
      {"gid", 7},         {"rd_atomic", 0}, {"rd_atomic", 256}, {"rd_atomic", 1.5}};
  for (const auto& [name, value] : wrong) {
    json bad = good;
    bad[name] = value;
    EXPECT_FALSE(qp_address_from_json(bad)) << bad;
    bad.erase(name);
    EXPECT_FALSE(qp_address_from_json(bad)) << bad;
  }
  json bad = good;
  bad["gid"] = std::string(32, 'g');
  EXPECT_FALSE(qp_address_from_json(bad));
  for (const json& other : {json(), json(3), json::array()}) {
    EXPECT_FALSE(qp_address_from_json(other));
  }
}

TEST(Messages, TargetNamesWithControlCharactersAreRefused) {
  TargetInfo info;
  info.name = "host memory";
  info.length_bytes = 4096;
  ASSERT_TRUE(target_info_from_json(to_json(info)));
  info.name = "\x1b[2J";
  EXPECT_FALSE(target_info_from_json(to_json(info)));
  info.name = std::string(2000, 'x');
  EXPECT_FALSE(target_info_from_json(to_json(info)));
}

TEST(Messages, NoMismatchAndAMismatchSurviveTheWay) {
  auto none = mismatch_from_json(to_json(std::optional<Mismatch>()));
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  auto some = mismatch_from_json(to_json(std::optional<Mismatch>({5, 6, 7, 8, true, false})));
  ASSERT_TRUE(some && *some);
  EXPECT_EQ((*some)->offset_bytes, 5u);
  EXPECT_EQ((*some)->wrong_bytes, 8u);
  EXPECT_FALSE(mismatch_from_json(json::object()));
}

class ChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    channel_.emplace(UniqueFd(fds[0]));
    peer_.reset(fds[1]);
  }
  void say(std::string_view text) {
    ASSERT_EQ(::send(peer_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  Result<json> receive() { return channel_->receive(std::chrono::milliseconds(300)); }

  std::optional<Channel> channel_;
  UniqueFd peer_;
};

TEST_F(ChannelTest, TakesMessagesThatComeInPieces) {
  say("{\"version\":1,\"ty");
  say("pe\":\"hello\"}\n{\"version\":1,\"type\":\"bye\"}\n");
  EXPECT_EQ((*receive())["type"], "hello");
  EXPECT_EQ((*receive())["type"], "bye");
}

TEST_F(ChannelTest, RefusesWhatIsNotAMessageOfThisVersion) {
  for (const char* line :
       {"\n", "hello\n", "[]\n", "{}\n", "{\"type\":1,\"version\":1}\n", "{\"type\":\"hello\"}\n",
        "{\"type\":\"hello\",\"version\":2}\n", "{\"type\":\"hello\",\"version\":\"1\"}\n"}) {
    say(line);
    auto message = receive();
    ASSERT_FALSE(message) << line;
    EXPECT_EQ(message.error().code(), make_error_code(Errc::kMalformed)) << line;
  }
}

TEST_F(ChannelTest, RefusesALineWithoutEnd) {
  say(std::string(20000, 'x'));
  EXPECT_EQ(receive().error().code(), make_error_code(Errc::kMalformed));
}

TEST_F(ChannelTest, EndsWhenThePeerIsSilentOrGone) {
  EXPECT_EQ(receive().error().code(), std::errc::timed_out);
  peer_.reset();
  EXPECT_EQ(receive().error().code(), std::errc::connection_aborted);
}

TEST(SocketAddress, TakesUnixPathsAndInternetAddresses) {
  EXPECT_EQ(SocketAddress::parse("unix:/tmp/x")->unix_path, "/tmp/x");
  EXPECT_EQ(SocketAddress::parse("127.0.0.1:7471")->storage.ss_family, AF_INET);
  EXPECT_EQ(SocketAddress::parse("[::1]:7471")->storage.ss_family, AF_INET6);
}

TEST(SocketAddress, RefusesWhatIsNotAnAddress) {
  for (const std::string& text :
       {std::string(), std::string("unix:"), std::string("host"), std::string(":1"),
        std::string("127.0.0.1:"), std::string("127.0.0.1:http"), std::string("::1:7471"),
        "unix:" + std::string(200, 'x')}) {
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
  }
}

}  // namespace
}  // namespace peermr::tool
