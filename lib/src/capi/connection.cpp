// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_connection.h"

#include <cerrno>
#include <utility>

#include "capi/connection.hpp"

using peermr::capi::fail;
using peermr::capi::guarded;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace peermr::capi {
namespace {

constexpr std::string_view kMake = "make connection";

static_assert(kSame<ConnectionState::kConnecting, PEERMR_CONNECTION_CONNECTING>);
static_assert(kSame<ConnectionState::kLive, PEERMR_CONNECTION_LIVE>);
static_assert(kSame<ConnectionState::kRecovering, PEERMR_CONNECTION_RECOVERING>);
static_assert(kSame<ConnectionState::kDead, PEERMR_CONNECTION_DEAD>);
static_assert(kSame<ConnectionEvent::Kind::kState, PEERMR_EVENT_STATE>);
static_assert(kSame<ConnectionEvent::Kind::kRegion, PEERMR_EVENT_REGION>);
static_assert(kSame<ConnectionEvent::Kind::kPeerFailed, PEERMR_EVENT_PEER_FAILED>);

int create(ibv_pd* pd, Result<std::unique_ptr<OutOfBand>> channel, const ConnectionOptions& options,
           peermr_connection** connection) {
  if (!channel) return fail(channel.error());
  auto made = RcConnection::create(pd, *std::move(channel), options);
  if (!made) return fail(made.error());
  auto wake = std::make_shared<const Followers::Wake>(made->wake_on_change());
  *connection = new peermr_connection{std::move(wake), *std::move(made)};
  return 0;
}

// Followed first, so that no change after the peer was told goes unnoticed.
int publish_and_follow(peermr_connection& connection, std::shared_ptr<Publication> publication,
                       const std::shared_ptr<Followers>& followers) {
  followers->add(connection.wake);
  return status_of(connection.connection.publish(std::move(publication)));
}

}  // namespace

peermr_connection_event to_c(const ConnectionEvent& event) noexcept {
  return {.kind = static_cast<int32_t>(event.kind),
          .state = static_cast<int32_t>(event.state),
          .epoch = event.epoch,
          .reserved = 0,
          .region = to_c(event.region),
          .previous_generation = event.previous_generation.value()};
}

}  // namespace peermr::capi

extern "C" {

int peermr_connection_create(ibv_pd* pd, int fd, const peermr_connection_options* options,
                             peermr_connection** connection) {
  return guarded([&] {
    peermr::UniqueFd socket(fd);  // closed, whatever is wrong
    if (pd == nullptr || connection == nullptr) return refuse_null(peermr::capi::kMake);
    const auto cpp = peermr::capi::to_cpp(options);
    if (!cpp) return fail(cpp.error());
    auto channel = peermr::StreamChannel::adopt(std::move(socket), cpp->stream);
    if (!channel) return fail(channel.error());
    return peermr::capi::create(pd, std::unique_ptr<peermr::OutOfBand>(*std::move(channel)),
                                cpp->connection, connection);
  });
}

int peermr_connection_create_over(ibv_pd* pd, const peermr_channel* channel,
                                  const peermr_connection_options* options,
                                  peermr_connection** connection) {
  if (pd == nullptr || channel == nullptr || connection == nullptr) {
    return refuse_null(peermr::capi::kMake);
  }
  return guarded([&] {
    const auto cpp = peermr::capi::to_cpp(options);
    if (!cpp) return fail(cpp.error());
    return peermr::capi::create(pd, peermr::capi::make_channel(*channel), cpp->connection,
                                connection);
  });
}

void peermr_connection_close(peermr_connection* connection) {
  delete connection;
}

int peermr_connection_fd(const peermr_connection* connection) {
  if (connection == nullptr) return refuse_null("wait for connection");
  return connection->connection.fd();
}

int peermr_connection_process(peermr_connection* connection) {
  if (connection == nullptr) return refuse_null("process connection");
  return guarded([&] { return status_of(connection->connection.process()); });
}

int peermr_connection_wait_until_live(peermr_connection* connection, uint64_t limit_ns) {
  if (connection == nullptr) return refuse_null("wait for connection");
  return guarded([&] {
    return status_of(connection->connection.wait_until_live(
        peermr::capi::span_of<std::chrono::nanoseconds>(limit_ns)));
  });
}

peermr_rc_state peermr_connection_state(const peermr_connection* connection) {
  if (connection == nullptr) return PEERMR_CONNECTION_DEAD;
  return static_cast<peermr_rc_state>(connection->connection.state());
}

int peermr_connection_publish(peermr_connection* connection, uint64_t id, peermr_region* region) {
  if (connection == nullptr || region == nullptr) return refuse_null("publish region");
  return guarded([&] {
    return peermr::capi::publish_and_follow(*connection, peermr::capi::publish(id, *region),
                                            region->followers);
  });
}

int peermr_connection_publish_shared(peermr_connection* connection,
                                     peermr_publication* publication) {
  if (connection == nullptr || publication == nullptr) return refuse_null("publish region");
  return guarded([&] {
    return peermr::capi::publish_and_follow(*connection, publication->publication,
                                            publication->followers);
  });
}

int peermr_connection_follow(peermr_connection* connection, peermr_region* region) {
  if (connection == nullptr || region == nullptr) return refuse_null("follow region");
  return guarded([&] {
    region->followers->add(connection->wake);
    return 0;
  });
}

int peermr_connection_remote_region(const peermr_connection* connection, uint64_t id,
                                    peermr_descriptor* descriptor) {
  if (connection == nullptr || descriptor == nullptr) return refuse_null("look up region");
  const auto found = connection->connection.remote_region(peermr::RegionId(id));
  if (!found) return -ENOENT;
  *descriptor = peermr::capi::to_c(*found);
  return 0;
}

int peermr_connection_next_event(peermr_connection* connection, peermr_connection_event* event) {
  if (connection == nullptr || event == nullptr) return refuse_null("read event of connection");
  return guarded([&] {
    const auto next = connection->connection.next_event();
    if (!next) return -EAGAIN;
    *event = peermr::capi::to_c(*next);
    return 0;
  });
}

}  // extern "C"
