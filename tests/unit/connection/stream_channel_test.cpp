// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "peermr/out_of_band.hpp"

namespace peermr {
namespace {

using namespace std::chrono_literals;

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

class Stream : public testing::Test {
 protected:
  void SetUp() override { open({}); }
  void open(const StreamChannelOptions& options) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peer_.reset(ends[1]);
    channel_ = StreamChannel::adopt(UniqueFd(ends[0]), options).value();
  }
  void peer_sends(const std::string& raw) {
    ASSERT_EQ(::send(peer_.get(), raw.data(), raw.size(), 0), static_cast<ssize_t>(raw.size()));
  }
  /// The error that the channel gives within a second.
  std::error_code error_of_receive() {
    for (int i = 0; i < 1000; ++i) {
      const auto got = channel_->receive();
      if (!got) return got.error().code();
      std::this_thread::sleep_for(1ms);
    }
    return {};
  }

  UniqueFd peer_;
  std::unique_ptr<StreamChannel> channel_;
};

const std::string kHello{"\0\0\0\5hello", 9};

TEST_F(Stream, MessagesKeepTheirBounds) {
  peer_sends(kHello + kHello);
  EXPECT_EQ(*channel_->receive().value(), bytes_of("hello"));
  EXPECT_EQ(*channel_->receive().value(), bytes_of("hello"));
  EXPECT_FALSE(channel_->receive().value());
}

TEST_F(Stream, WritesLengthThenBytes) {
  ASSERT_TRUE(channel_->send(bytes_of("hello")));
  char raw[32] = {};
  ASSERT_EQ(::recv(peer_.get(), raw, sizeof(raw), 0), 9);
  EXPECT_EQ(std::string(raw, 9), kHello);
}

TEST_F(Stream, MessageMayComeByteByByte) {
  for (std::size_t i = 0; i + 1 < kHello.size(); ++i) {
    peer_sends(kHello.substr(i, 1));
    EXPECT_FALSE(channel_->receive().value()) << i;
  }
  peer_sends(kHello.substr(8));
  EXPECT_EQ(*channel_->receive().value(), bytes_of("hello"));
}

TEST_F(Stream, LengthsThatNoPeerSendsAreRefused) {
  peer_sends(std::string("\0\0\0\0", 4));
  EXPECT_EQ(error_of_receive(), Errc::kMalformed);
  open({});
  peer_sends(std::string("\0\0\1\1", 4));  // 257
  EXPECT_EQ(error_of_receive(), Errc::kMalformed);
  open({});
  peer_sends("\xff\xff\xff\xff");
  EXPECT_EQ(error_of_receive(), Errc::kMalformed);
}

TEST_F(Stream, PeerThatIsGoneIsSaidSo) {
  peer_sends(kHello + kHello.substr(0, 6));
  peer_.reset();
  EXPECT_EQ(*channel_->receive().value(), bytes_of("hello"));
  EXPECT_EQ(error_of_receive(), std::errc::connection_reset);
  EXPECT_EQ(channel_->send(bytes_of("x")).error().code(), std::errc::connection_reset);
}

TEST_F(Stream, PeerThatStopsWithinAMessageRunsOutOfTime) {
  open({.message_limit = 20ms});
  peer_sends(kHello.substr(0, 6));
  EXPECT_EQ(error_of_receive(), std::errc::timed_out);
}

TEST_F(Stream, PeerThatDoesNotReadCostsBoundedMemoryAndNoTime) {
  const std::vector<std::byte> message(OutOfBand::kMaxMessageBytes);
  const auto begin = std::chrono::steady_clock::now();
  std::error_code error;
  for (int i = 0; i < 100000 && !error; ++i) {
    if (const auto sent = channel_->send(message); !sent) error = sent.error().code();
  }
  EXPECT_EQ(error, std::errc::no_buffer_space);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_NE(channel_->events() & POLLOUT, 0);
}

TEST_F(Stream, WhatWaitedLeavesInOrderOnceThePeerReads) {
  std::vector<std::byte> message(200);
  int sent = 0;
  while ((channel_->events() & POLLOUT) == 0) {
    message[0] = static_cast<std::byte>(sent++);
    ASSERT_TRUE(channel_->send(message));
  }
  auto other = StreamChannel::adopt(UniqueFd(::fcntl(peer_.get(), F_DUPFD_CLOEXEC, 0))).value();
  for (int i = 0; i < sent; ++i) {
    ASSERT_TRUE(channel_->flush());
    const auto got = receive_until(*other, std::chrono::steady_clock::now() + 1s);
    ASSERT_TRUE(got) << i;
    ASSERT_EQ((*got)[0], static_cast<std::byte>(i));
  }
  EXPECT_EQ(channel_->events(), POLLIN);
}

TEST_F(Stream, WaitingEndsAtItsDeadline) {
  const auto got = receive_until(*channel_, std::chrono::steady_clock::now() + 20ms);
  EXPECT_EQ(got.error().code(), std::errc::timed_out);
}

TEST_F(Stream, MessagesThatAreTooLongAreNotSent) {
  EXPECT_EQ(channel_->send({}).error().code(), std::errc::message_size);
  EXPECT_EQ(channel_->send(std::vector<std::byte>(257)).error().code(), std::errc::message_size);
}

TEST(StreamChannel, TakesConnectedStreamsOnly) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const UniqueFd other(pipe_ends[1]);
  EXPECT_EQ(StreamChannel::adopt(UniqueFd(pipe_ends[0])).error().code(), std::errc::not_a_socket);
  EXPECT_EQ(StreamChannel::adopt(UniqueFd(::socket(AF_INET, SOCK_STREAM, 0))).error().code(),
            std::errc::invalid_argument);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  const UniqueFd end(ends[1]);
  EXPECT_EQ(StreamChannel::adopt(UniqueFd(ends[0])).error().code(), std::errc::invalid_argument);
  EXPECT_FALSE(StreamChannel::adopt(UniqueFd()));
}

}  // namespace
}  // namespace peermr
