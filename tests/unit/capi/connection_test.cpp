// SPDX-License-Identifier: BSD-2-Clause
//
// What the C interface makes of a connection's arguments, without a device: tests/native has one.
#include "peermr/peermr_connection.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <limits>
#include <string>

#include "capi/connection.hpp"

namespace peermr {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

peermr_connection_options connection_options() {
  peermr_connection_options options{};
  options.size = sizeof(options);
  return options;
}

peermr_qp_parameters qp_parameters() {
  peermr_qp_parameters parameters{};
  parameters.size = sizeof(parameters);
  return parameters;
}

TEST(CapiConnectionOptions, NoneAndZeroAreTheDefaults) {
  const peermr_connection_options zero = connection_options();
  const ConnectionOptions defaults;
  for (const peermr_connection_options* given :
       {static_cast<const peermr_connection_options*>(nullptr), &zero}) {
    const auto cpp = capi::to_cpp(given);
    ASSERT_TRUE(cpp);
    EXPECT_EQ(cpp->connection.max_sends, defaults.max_sends);
    EXPECT_EQ(cpp->connection.max_receives, defaults.max_receives);
    EXPECT_EQ(cpp->connection.max_failures, defaults.max_failures);
    EXPECT_EQ(cpp->connection.max_remote_regions, defaults.max_remote_regions);
    EXPECT_EQ(cpp->connection.on_new_generation, defaults.on_new_generation);
    EXPECT_EQ(cpp->connection.recovery.first, defaults.recovery.first);
    EXPECT_EQ(cpp->connection.recovery.ceiling, defaults.recovery.ceiling);
    EXPECT_EQ(cpp->connection.recovery.limit, defaults.recovery.limit);
    EXPECT_EQ(cpp->connection.qp.timeout, defaults.qp.timeout);
    EXPECT_EQ(cpp->stream.max_backlog_bytes, StreamChannelOptions{}.max_backlog_bytes);
    EXPECT_EQ(cpp->stream.message_limit, StreamChannelOptions{}.message_limit);
  }
}

TEST(CapiConnectionOptions, EachArrivesWhereItBelongs) {
  peermr_qp_parameters qp = qp_parameters();
  qp.port = 2;
  peermr_connection_options options = connection_options();
  options.qp = &qp;
  options.max_sends = 1;
  options.max_receives = 2;
  options.max_remote_regions = 3;
  options.max_failures = 4;
  options.recovery_first_ns = 5;
  options.recovery_ceiling_ns = 6;
  options.recovery_limit_ns = 7;
  options.backlog_bytes = 8;
  options.message_limit_ns = 9;
  options.on_new_generation = PEERMR_NEW_GENERATION_REPLAY;
  const auto cpp = capi::to_cpp(&options);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->connection.qp.port, 2);
  EXPECT_EQ(cpp->connection.max_sends, 1u);
  EXPECT_EQ(cpp->connection.max_receives, 2u);
  EXPECT_EQ(cpp->connection.max_remote_regions, 3u);
  EXPECT_EQ(cpp->connection.max_failures, 4u);
  EXPECT_EQ(cpp->connection.recovery.first, 5ns);
  EXPECT_EQ(cpp->connection.recovery.ceiling, 6ns);
  EXPECT_EQ(cpp->connection.recovery.limit, 7ns);
  EXPECT_EQ(cpp->stream.max_backlog_bytes, 8u);
  EXPECT_EQ(cpp->stream.message_limit, 9ns);
  EXPECT_EQ(cpp->connection.on_new_generation, NewGenerationPolicy::kReplay);
}

TEST(CapiConnectionOptions, TimesThatNoClockHasAreCut) {
  peermr_connection_options options = connection_options();
  options.recovery_limit_ns = std::numeric_limits<std::uint64_t>::max();
  const auto cpp = capi::to_cpp(&options);
  ASSERT_TRUE(cpp);
  const auto now = std::chrono::steady_clock::now();
  EXPECT_GT(now + cpp->connection.recovery.limit, now);
}

TEST(CapiConnectionOptions, OfAnotherSizeOrWithWhatDoesNotExistAreRefused) {
  peermr_connection_options options{};
  EXPECT_FALSE(capi::to_cpp(&options)) << "its size is not set";
  options = connection_options();
  options.size += 8;
  EXPECT_FALSE(capi::to_cpp(&options)) << "of a program that is newer than the library";
  options = connection_options();
  options.on_new_generation = 2;
  EXPECT_FALSE(capi::to_cpp(&options));
  options.on_new_generation = -1;
  EXPECT_FALSE(capi::to_cpp(&options));
  options = connection_options();
  options.reserved = 1;
  EXPECT_FALSE(capi::to_cpp(&options));
  peermr_qp_parameters qp{};
  options = connection_options();
  options.qp = &qp;
  EXPECT_FALSE(capi::to_cpp(&options)) << "the size of its queue pair's is not set";
}

TEST(CapiQpParameters, ZeroIsTheDefaultUnlessAFlagSaysThatItIsMeant) {
  peermr_qp_parameters parameters = qp_parameters();
  const QpParameters defaults;
  auto cpp = capi::to_cpp(&parameters);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->port, defaults.port);
  EXPECT_EQ(cpp->access, defaults.access);
  EXPECT_EQ(cpp->hop_limit, defaults.hop_limit);
  EXPECT_EQ(cpp->timeout, defaults.timeout);
  EXPECT_EQ(cpp->retry_count, defaults.retry_count);
  EXPECT_EQ(cpp->rnr_retry, defaults.rnr_retry);
  EXPECT_EQ(cpp->min_rnr_timer, defaults.min_rnr_timer);
  EXPECT_EQ(cpp->max_read_atomic, defaults.max_read_atomic);
  parameters.flags = PEERMR_QP_TIMEOUT | PEERMR_QP_RNR_RETRY;
  cpp = capi::to_cpp(&parameters);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->timeout, 0);
  EXPECT_EQ(cpp->retry_count, defaults.retry_count);
  EXPECT_EQ(cpp->rnr_retry, 0);
  EXPECT_EQ(cpp->min_rnr_timer, defaults.min_rnr_timer);
  parameters.flags = PEERMR_QP_RETRY_COUNT | PEERMR_QP_MIN_RNR_TIMER;
  cpp = capi::to_cpp(&parameters);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->timeout, defaults.timeout);
  EXPECT_EQ(cpp->retry_count, 0);
  EXPECT_EQ(cpp->rnr_retry, defaults.rnr_retry);
  EXPECT_EQ(cpp->min_rnr_timer, 0);
}

TEST(CapiQpParameters, EachArrivesWhereItBelongs) {
  peermr_qp_parameters parameters = qp_parameters();
  parameters.access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC;
  parameters.pkey_index = 1;
  parameters.port = 2;
  parameters.gid_index = 3;
  parameters.service_level = 4;
  parameters.traffic_class = 5;
  parameters.hop_limit = 6;
  parameters.timeout = 7;
  parameters.retry_count = 1;
  parameters.rnr_retry = 2;
  parameters.min_rnr_timer = 10;
  parameters.max_read_atomic = 11;
  const auto cpp = capi::to_cpp(&parameters);
  ASSERT_TRUE(cpp);
  EXPECT_EQ(cpp->access, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC);
  EXPECT_EQ(cpp->pkey_index, 1);
  EXPECT_EQ(cpp->port, 2);
  EXPECT_EQ(cpp->gid_index, 3);
  EXPECT_EQ(cpp->service_level, 4);
  EXPECT_EQ(cpp->traffic_class, 5);
  EXPECT_EQ(cpp->hop_limit, 6);
  EXPECT_EQ(cpp->timeout, 7);
  EXPECT_EQ(cpp->retry_count, 1);
  EXPECT_EQ(cpp->rnr_retry, 2);
  EXPECT_EQ(cpp->min_rnr_timer, 10);
  EXPECT_EQ(cpp->max_read_atomic, 11);
}

TEST(CapiQpParameters, WhatNoQueuePairCanHaveIsRefused) {
  const auto refused = [](auto change) {
    peermr_qp_parameters parameters = qp_parameters();
    change(parameters);
    return !capi::to_cpp(&parameters);
  };
  EXPECT_TRUE(refused([](auto& p) { p.flags = 16; }));
  EXPECT_TRUE(refused([](auto& p) { p.reserved = 1; }));
  EXPECT_TRUE(refused([](auto& p) { p.service_level = 16; }));
  EXPECT_TRUE(refused([](auto& p) { p.timeout = 32; }));
  EXPECT_TRUE(refused([](auto& p) { p.retry_count = 8; }));
  EXPECT_TRUE(refused([](auto& p) { p.rnr_retry = 8; }));
  EXPECT_TRUE(refused([](auto& p) { p.min_rnr_timer = 32; }));
  EXPECT_FALSE(refused([](auto& p) {
    p.service_level = 15;
    p.timeout = 31;
    p.retry_count = 7;
    p.rnr_retry = 7;
    p.min_rnr_timer = 31;
  }));
}

/// A channel of an application's that says what the test tells it to.
struct Application {
  int status = 0;
  std::deque<std::string> incoming;
  std::string sent;
  int flushes = 0;
  int claims = 0;  // what receive() returns when it isn't 0

  peermr_channel channel() {
    peermr_channel channel{};
    channel.size = sizeof(channel);
    channel.context = this;
    channel.fd = 7;
    channel.send = [](void* self, const void* message, size_t bytes) {
      auto* const app = static_cast<Application*>(self);
      app->sent.append(static_cast<const char*>(message), bytes);
      return app->status;
    };
    channel.receive = [](void* self, void* message, size_t capacity) {
      auto* const app = static_cast<Application*>(self);
      if (app->status != 0) return app->status;
      if (app->claims != 0) return app->claims;
      if (app->incoming.empty()) return 0;
      const std::string next = app->incoming.front();
      app->incoming.pop_front();
      EXPECT_LE(next.size(), capacity);
      std::memcpy(message, next.data(), next.size());
      return static_cast<int>(next.size());
    };
    channel.flush = [](void* self) {
      auto* const app = static_cast<Application*>(self);
      ++app->flushes;
      return app->status;
    };
    channel.events = [](void* self) {
      const bool waits = !static_cast<Application*>(self)->sent.empty();
      return static_cast<short>(waits ? POLLIN | POLLOUT : POLLIN);
    };
    return channel;
  }
};

TEST(CapiChannel, CallsTheApplicationsFunctions) {
  Application application;
  application.incoming = {"one", std::string(PEERMR_CHANNEL_MESSAGE_BYTES, 'x')};
  const auto channel = capi::make_channel(application.channel()).value();
  EXPECT_EQ(channel->fd(), 7);
  EXPECT_EQ(channel->events(), POLLIN);
  const auto first = channel->receive().value();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), 3u);
  EXPECT_EQ(first->front(), std::byte{'o'});
  EXPECT_EQ(channel->receive().value()->size(), std::size_t{PEERMR_CHANNEL_MESSAGE_BYTES});
  EXPECT_FALSE(channel->receive().value());
  ASSERT_TRUE(channel->send(std::as_bytes(std::span("hello", 5))));
  EXPECT_EQ(application.sent, "hello");
  EXPECT_EQ(channel->events(), POLLIN | POLLOUT);
  ASSERT_TRUE(channel->flush());
  EXPECT_EQ(application.flushes, 1);
}

TEST(CapiChannel, ItsErrorsAreErrors) {
  Application application;
  application.status = -ECONNRESET;
  const auto channel = capi::make_channel(application.channel()).value();
  const auto code = std::errc::connection_reset;
  EXPECT_EQ(channel->send(std::as_bytes(std::span("a", 1))).error().code(), code);
  EXPECT_EQ(channel->receive().error().code(), code);
  EXPECT_EQ(channel->flush().error().code(), code);
}

TEST(CapiChannel, ReturnValuesThatCannotBeAreErrors) {
  Application application;
  const auto channel = capi::make_channel(application.channel()).value();
  application.claims = PEERMR_CHANNEL_MESSAGE_BYTES + 1;
  EXPECT_EQ(channel->receive().error().code(), std::errc::message_size);
  application.claims = std::numeric_limits<int>::min();
  EXPECT_EQ(channel->receive().error().code(), std::errc::io_error);
  application.status = 1;
  EXPECT_EQ(channel->send(std::as_bytes(std::span("a", 1))).error().code(), std::errc::io_error);
  EXPECT_EQ(channel->flush().error().code(), std::errc::io_error);
}

TEST(CapiChannel, MayHaveNothingToFlush) {
  Application application;
  peermr_channel functions = application.channel();
  functions.flush = nullptr;
  functions.events = nullptr;
  const auto channel = capi::make_channel(functions).value();
  EXPECT_TRUE(channel->flush());
  EXPECT_EQ(channel->events(), POLLIN);
}

TEST(CapiChannel, OfAnotherSizeOrWithoutItsFunctionsIsRefused) {
  Application application;
  const auto refused = [&](auto change) {
    peermr_channel channel = application.channel();
    change(channel);
    return !capi::make_channel(channel);
  };
  EXPECT_TRUE(refused([](auto& c) { c.size = 0; }));
  EXPECT_TRUE(refused([](auto& c) { c.size += 8; }));
  EXPECT_TRUE(refused([](auto& c) { c.reserved = 1; }));
  EXPECT_TRUE(refused([](auto& c) { c.send = nullptr; }));
  EXPECT_TRUE(refused([](auto& c) { c.receive = nullptr; }));
}

/// A protection domain that nothing may look at: arguments are checked first.
ibv_pd* no_pd() {
  static ibv_pd pd{};
  return &pd;
}

TEST(CapiConnection, TakesTheSocketOverWhateverIsWrong) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  peermr_connection* connection = nullptr;
  EXPECT_EQ(peermr_connection_create(nullptr, ends[0], nullptr, &connection), -EINVAL);
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1);
  const peermr_connection_options options{};
  EXPECT_EQ(peermr_connection_create(no_pd(), ends[1], &options, &connection), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("options.size"));
  EXPECT_EQ(::fcntl(ends[1], F_GETFD), -1);
  EXPECT_EQ(connection, nullptr);
}

TEST(CapiConnection, NeedsAConnectedStream) {
  peermr_connection* connection = nullptr;
  EXPECT_EQ(peermr_connection_create(no_pd(), -1, nullptr, &connection), -EBADF);
  EXPECT_EQ(peermr_connection_create(no_pd(), ::open("/dev/null", O_RDWR), nullptr, &connection),
            -ENOTSOCK);
  const int lonely = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(peermr_connection_create(no_pd(), lonely, nullptr, &connection), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("not connected"));
  EXPECT_EQ(connection, nullptr);
}

TEST(CapiConnection, NullIsRefusedWithASentence) {
  peermr_connection* connection = nullptr;
  peermr_channel channel = Application().channel();
  peermr_work work{};
  peermr_local local{};
  peermr_completion completion{};
  peermr_descriptor descriptor{};
  peermr_connection_event event{};
  EXPECT_EQ(peermr_connection_create_over(nullptr, &channel, nullptr, &connection), -EINVAL);
  EXPECT_EQ(peermr_connection_create_over(no_pd(), nullptr, nullptr, &connection), -EINVAL);
  EXPECT_EQ(peermr_connection_create_over(no_pd(), &channel, nullptr, nullptr), -EINVAL);
  channel.size = 1;
  EXPECT_EQ(peermr_connection_create_over(no_pd(), &channel, nullptr, &connection), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("channel.size"));
  EXPECT_EQ(peermr_connection_fd(nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_process(nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_wait_until_live(nullptr, 0), -EINVAL);
  EXPECT_EQ(peermr_connection_state(nullptr), PEERMR_CONNECTION_DEAD);
  EXPECT_EQ(peermr_connection_post(nullptr, &work), -EINVAL);
  EXPECT_EQ(peermr_connection_post_receive(nullptr, 0, &local), -EINVAL);
  EXPECT_EQ(peermr_connection_poll(nullptr, &completion, 1), -EINVAL);
  EXPECT_EQ(peermr_connection_publish(nullptr, 1, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_publish_shared(nullptr, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_follow(nullptr, nullptr), -EINVAL);
  EXPECT_EQ(peermr_connection_remote_region(nullptr, 1, &descriptor), -EINVAL);
  EXPECT_EQ(peermr_connection_next_event(nullptr, &event), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("read event of connection: Invalid argument: an "
                                             "argument is null"));
  peermr_connection_close(nullptr);
}

TEST(CapiQp, NullAndWhatCannotBeIsRefused) {
  ibv_qp qp{};
  peermr_qp_address address{};
  EXPECT_EQ(peermr_qp_local_address(nullptr, nullptr, &address), -EINVAL);
  EXPECT_EQ(peermr_qp_local_address(&qp, nullptr, nullptr), -EINVAL);
  EXPECT_EQ(peermr_qp_stop(nullptr), -EINVAL);
  EXPECT_EQ(peermr_qp_restart(nullptr, nullptr), -EINVAL);
  const peermr_qp_parameters unset{};
  EXPECT_EQ(peermr_qp_restart(&qp, &unset), -EINVAL);
  EXPECT_EQ(peermr_qp_connect(&qp, nullptr, 0, nullptr, 0), -EINVAL);
  const auto refused = [&](auto change) {
    peermr_qp_address peer{};
    peer.mtu = IBV_MTU_1024;
    change(peer);
    return peermr_qp_connect(&qp, nullptr, 0, &peer, 0) == -EINVAL;
  };
  EXPECT_TRUE(refused([](auto& peer) { peer.qp_number = 1u << 24; }));
  EXPECT_TRUE(refused([](auto& peer) { peer.has_gid = 2; }));
  EXPECT_TRUE(refused([](auto& peer) { peer.mtu = 0; }));
  EXPECT_TRUE(refused([](auto& peer) { peer.mtu = 6; }));
  EXPECT_TRUE(refused([](auto& peer) { peer.reserved[2] = 1; }));
  address.mtu = IBV_MTU_1024;
  EXPECT_EQ(peermr_qp_connect(&qp, nullptr, 1u << 24, &address, 0), -EINVAL);
  EXPECT_EQ(peermr_qp_connect(&qp, nullptr, 0, &address, 1u << 24), -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("24 bits"));
}

TEST(CapiWork, ComesAndGoesUnchanged) {
  peermr_work work{};
  work.size = sizeof(work);
  work.id = 1;
  work.region = 2;
  work.offset = 3;
  work.local = {.region = nullptr, .address = 4, .length = 5, .lkey = 6};
  work.operand = 7;
  work.compare = 8;
  work.immediate = 9;
  work.operation = PEERMR_COMPARE_SWAP;
  const WorkRequest cpp = capi::to_cpp(work);
  EXPECT_EQ(cpp.operation, Operation::kCompareSwap);
  EXPECT_EQ(cpp.id, 1u);
  EXPECT_EQ(cpp.region, RegionId(2));
  EXPECT_EQ(cpp.offset_bytes, 3u);
  EXPECT_EQ(cpp.local.region, nullptr);
  EXPECT_EQ(cpp.local.address, 4u);
  EXPECT_EQ(cpp.local.length_bytes, 5u);
  EXPECT_EQ(cpp.local.lkey, Lkey(6));
  EXPECT_EQ(cpp.operand, 7u);
  EXPECT_EQ(cpp.compare, 8u);
  EXPECT_EQ(cpp.immediate, 9u);
  const peermr_completion c = capi::to_c(Completion{.id = 1,
                                                    .operation = Operation::kReceive,
                                                    .status = CompletionStatus::kFailed,
                                                    .wc_status = IBV_WC_REM_OP_ERR,
                                                    .generation = Generation(2),
                                                    .length_bytes = 3,
                                                    .has_immediate = true,
                                                    .immediate = 4});
  EXPECT_EQ(c.id, 1u);
  EXPECT_EQ(c.operation, PEERMR_RECEIVE);
  EXPECT_EQ(c.status, PEERMR_WORK_FAILED);
  EXPECT_EQ(c.wc_status, IBV_WC_REM_OP_ERR);
  EXPECT_EQ(c.generation, 2u);
  EXPECT_EQ(c.length, 3u);
  EXPECT_EQ(c.immediate, 4u);
  EXPECT_EQ(c.flags, PEERMR_COMPLETION_IMMEDIATE);
}

TEST(CapiWork, EventComesUnchanged) {
  const peermr_connection_event c =
      capi::to_c(ConnectionEvent{.kind = ConnectionEvent::Kind::kRegion,
                                 .state = ConnectionState::kRecovering,
                                 .epoch = 3,
                                 .region = {.id = RegionId(4)},
                                 .previous_generation = Generation(5)});
  EXPECT_EQ(c.kind, PEERMR_EVENT_REGION);
  EXPECT_EQ(c.state, PEERMR_CONNECTION_RECOVERING);
  EXPECT_EQ(c.epoch, 3u);
  EXPECT_EQ(c.region.id, 4u);
  EXPECT_EQ(c.region.state, PEERMR_DESCRIPTOR_PAUSED);
  EXPECT_EQ(c.previous_generation, 5u);
}

}  // namespace
}  // namespace peermr
