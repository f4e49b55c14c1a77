// SPDX-License-Identifier: BSD-2-Clause
#include "bench/remote.hpp"

#include <fmt/core.h>

#include "bench/messages.hpp"

namespace peermr::tool {
namespace {

using nlohmann::json;

// Filling and comparing device memory word by word can take that long.
constexpr std::chrono::seconds kAnswerLimit(60);
// Between two requests lies a row: as long as its user wants it.
constexpr std::chrono::hours kRequestLimit(24);
constexpr std::size_t kMaxTargets = 64;

Result<json> answer(TargetSide& targets, const std::string& type, const json& request) {
  if (type == "hello") {
    json offers = json::array();
    for (const TargetInfo& info : targets.targets()) offers.push_back(to_json(info));
    return json{{"type", "offer"}, {"device", targets.device_name()}, {"targets", offers}};
  }
  if (type == "connect") {
    auto address = qp_address_from_json(request.value("qp", json()));
    if (!address) return std::move(address).error();
    auto own = targets.connect(*address);
    if (!own) return std::move(own).error();
    return json{{"type", "connected"}, {"qp", to_json(*own)}};
  }
  if (type != "fill" && type != "verify") {
    return make_error(Errc::kMalformed, "serve", "the peer", "unknown request");
  }
  auto slots = slots_request_from_json(request);
  if (!slots) return std::move(slots).error();
  if (type == "fill") {
    const bool pattern = request.value("pattern", json()) == json(true);
    auto filled = targets.fill(slots->target, slots->layout, slots->seed,
                               pattern ? Fill::kPattern : Fill::kPoison);
    if (!filled) return std::move(filled).error();
    return json{{"type", "done"}};
  }
  auto mismatch = targets.verify(slots->target, slots->layout, slots->seed);
  if (!mismatch) return std::move(mismatch).error();
  return json{{"type", "verdict"}, {"mismatch", to_json(*mismatch)}};
}

}  // namespace

Result<RemoteTargets> RemoteTargets::connect(const SocketAddress& address) {
  auto channel = Channel::connect(address);
  if (!channel) return std::move(channel).error();
  RemoteTargets remote(*std::move(channel));
  auto offer = remote.ask("hello", json::object(), "offer");
  if (!offer) return std::move(offer).error();
  const json targets = offer->value("targets", json());
  const json device = offer->value("device", json());
  if (!targets.is_array() || targets.empty() || targets.size() > kMaxTargets ||
      !device.is_string()) {
    return make_error(Errc::kMalformed, "receive from", "the peer", "it offers no target");
  }
  remote.device_name_ = device.get<std::string>();
  for (const json& target : targets) {
    auto info = target_info_from_json(target);
    if (!info) return std::move(info).error();
    remote.targets_.push_back(*std::move(info));
  }
  return remote;
}

RemoteTargets::~RemoteTargets() {
  if (channel_) (void)channel_->send("bye").has_value();
}

Result<json> RemoteTargets::ask(std::string_view type, json message, std::string_view answer) {
  if (auto sent = channel_->send(type, std::move(message)); !sent) return std::move(sent).error();
  auto reply = channel_->receive(kAnswerLimit);
  if (!reply) return reply;
  if ((*reply)["type"] == answer) return reply;
  const json text = reply->value("message", json());
  return make_error(std::errc::protocol_error, fmt::format("ask the peer to {}", type), "",
                    text.is_string() ? text.get<std::string>() : "it answered out of turn");
}

Result<QpAddress> RemoteTargets::connect(const QpAddress& initiator) {
  auto reply = ask("connect", {{"qp", to_json(initiator)}}, "connected");
  if (!reply) return std::move(reply).error();
  return qp_address_from_json(reply->value("qp", json()));
}

Result<void> RemoteTargets::fill(std::size_t target, const Layout& layout, std::uint64_t seed,
                                 Fill what) {
  json request = to_json(SlotsRequest{target, layout, seed});
  request["pattern"] = what == Fill::kPattern;
  auto reply = ask("fill", std::move(request), "done");
  if (!reply) return std::move(reply).error();
  return {};
}

Result<std::optional<Mismatch>> RemoteTargets::verify(std::size_t target, const Layout& layout,
                                                      std::uint64_t seed) {
  auto reply = ask("verify", to_json(SlotsRequest{target, layout, seed}), "verdict");
  if (!reply) return std::move(reply).error();
  if (!reply->contains("mismatch")) {
    return make_error(Errc::kMalformed, "receive from", "the peer", "a verdict without content");
  }
  return mismatch_from_json((*reply)["mismatch"]);
}

Result<void> RemoteTargets::start_receives(std::size_t, const Layout&, std::uint32_t) {
  return make_error(std::errc::operation_not_supported, "measure send with", "a remote target",
                    "it needs both ends in one process: leave --connect out");
}

Result<std::uint64_t> RemoteTargets::service_receives() {
  return std::uint64_t{0};
}

Result<void> serve(Channel& channel, TargetSide& targets) {
  while (true) {
    auto request = channel.receive(kRequestLimit);
    if (!request) return std::move(request).error();
    const std::string type = (*request)["type"].get<std::string>();
    if (type == "bye") return {};
    auto reply = answer(targets, type, *request);
    Result<void> sent;
    if (reply) {
      const std::string reply_type = (*reply)["type"].get<std::string>();
      sent = channel.send(reply_type, *std::move(reply));
    } else {
      sent = channel.send("error", {{"message", reply.error().message()}});
    }
    if (!sent) return sent;
  }
}

}  // namespace peermr::tool
