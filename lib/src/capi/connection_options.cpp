// SPDX-License-Identifier: BSD-2-Clause
#include "capi/connection.hpp"

namespace peermr::capi {
namespace {

Error refused(const char* why) {
  return make_error(std::errc::invalid_argument, "make", "connection", why);
}

Result<ConnectionOptions> connection_options(const peermr_connection_options& given) {
  auto qp = to_cpp(given.qp);
  if (!qp) return qp.error();
  ConnectionOptions result;
  result.qp = *qp;
  const auto take = [](auto value, auto& where) {
    if (value != 0) where = value;
  };
  const auto take_ns = [](std::uint64_t value, std::chrono::nanoseconds& where) {
    if (value != 0) where = span_of<std::chrono::nanoseconds>(value);
  };
  take(given.max_sends, result.max_sends);
  take(given.max_receives, result.max_receives);
  take(given.max_remote_regions, result.max_remote_regions);
  take(given.max_failures, result.max_failures);
  take_ns(given.failing_for_ns, result.failing_for);
  take_ns(given.recovery_first_ns, result.recovery.first);
  take_ns(given.recovery_ceiling_ns, result.recovery.ceiling);
  take_ns(given.recovery_limit_ns, result.recovery.limit);
  if (given.on_new_generation == PEERMR_NEW_GENERATION_REPLAY) {
    result.on_new_generation = NewGenerationPolicy::kReplay;
  }
  return result;
}

}  // namespace

Result<ChannelOptions> to_cpp(const peermr_connection_options* options) {
  if (options == nullptr) return ChannelOptions{};
  if (options->size != sizeof(*options)) {
    return refused("options.size is not the size of the struct");
  }
  if (options->on_new_generation != PEERMR_NEW_GENERATION_GIVE_BACK &&
      options->on_new_generation != PEERMR_NEW_GENERATION_REPLAY) {
    return refused("there is no such policy for a new generation");
  }
  if (options->reserved != 0) return refused("options.reserved is not 0");
  auto connection = connection_options(*options);
  if (!connection) return connection.error();
  ChannelOptions result{.connection = *connection, .stream = {}};
  if (options->backlog_bytes != 0) result.stream.max_backlog_bytes = options->backlog_bytes;
  if (options->message_limit_ns != 0) {
    result.stream.message_limit = span_of<std::chrono::nanoseconds>(options->message_limit_ns);
  }
  return result;
}

}  // namespace peermr::capi
