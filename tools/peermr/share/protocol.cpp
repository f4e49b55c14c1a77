// SPDX-License-Identifier: BSD-2-Clause
#include "share/protocol.hpp"

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

namespace peermr::tool {
namespace {

using nlohmann::json;

constexpr std::string_view kRead = "read a message of";
constexpr std::string_view kPeer = "the peer";

constexpr std::array<std::pair<Request::Kind, std::string_view>, 3> kRequests = {
    {{Request::Kind::kQuery, "query"},
     {Request::Kind::kRevoke, "revoke"},
     {Request::Kind::kRearm, "rearm"}}};

// Of the library's own codes; others travel as errno values.
constexpr std::array<std::pair<Errc, std::string_view>, 6> kCodes = {
    {{Errc::kDead, "dead"},
     {Errc::kStale, "stale"},
     {Errc::kRevoked, "revoked"},
     {Errc::kNotOffered, "not-offered"},
     {Errc::kLeaseHeld, "lease-held"},
     {Errc::kMalformed, "malformed"}}};

Error malformed(std::string_view detail) {
  return make_error(Errc::kMalformed, kRead, kPeer, detail);
}

// Text that is not UTF-8 must not throw: device names may come from anywhere.
std::string line_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace) + '\n';
}

Result<json> parse_object(std::string_view line) {
  if (line.size() > kMaxShareLine) return malformed("it is too long");
  json value = json::parse(line, nullptr, false);
  if (!value.is_object()) return malformed("it is not a JSON object");
  return value;
}

std::optional<std::uint64_t> number(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

std::optional<std::string> text(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

Error told_error(const json& object) {
  const std::string operation = text(object, "operation").value_or("");
  const std::string what = text(object, "object").value_or("");
  const std::string detail = text(object, "detail").value_or("");
  const std::string code = text(object, "code").value_or("");
  for (const auto& [errc, name] : kCodes) {
    if (code == name) return make_error(errc, operation, what, detail);
  }
  const std::uint64_t error_number = number(object, "errno").value_or(EIO);
  const bool plausible = error_number > 0 && error_number < 4096;
  return errno_error(plausible ? static_cast<int>(error_number) : EIO, operation, what, detail);
}

}  // namespace

std::string make_line(const Greeting& greeting) {
  return line_of({{"schema", kShareSchema},
                  {"device", greeting.device},
                  {"bar", greeting.bar},
                  {"bytes", greeting.bytes},
                  {"ranges", greeting.ranges},
                  {"exporter", greeting.exporter},
                  {"read_only", greeting.read_only}});
}

std::string make_line(const Request& request) {
  json value;
  for (const auto& [kind, name] : kRequests) {
    if (kind == request.kind) value["request"] = name;
  }
  if (request.kind == Request::Kind::kRearm) value["revokes"] = request.revokes;
  return line_of(value);
}

std::string make_done_line() {
  return line_of({{"ok", true}});
}

json to_json(const vfio::BufferStatus& status) {
  return {{"state", to_string(status.state)},
          {"bytes", status.size_bytes},
          {"revokes", status.revokes},
          {"restores", status.restores},
          {"invalidates", status.invalidates},
          {"mappings", status.mappings},
          {"mapped", status.mapped},
          {"faults", status.faults},
          {"ranges", status.ranges},
          {"read_only", status.read_only},
          {"mmap", status.mappable},
          {"manual_rearm", status.manual_rearm},
          {"write_combine", status.write_combine},
          {"waiting", status.waiting}};
}

std::string make_line(const vfio::BufferStatus& status) {
  json value = to_json(status);
  value["ok"] = true;
  return line_of(value);
}

std::string make_line(const Error& error) {
  json value = {{"ok", false},
                {"operation", error.operation()},
                {"object", error.object()},
                {"detail", error.detail()},
                {"message", error.message()}};
  value["code"] = "failed";
  for (const auto& [errc, name] : kCodes) {
    if (error.code() == make_error_code(errc)) value["code"] = name;
  }
  const auto condition = error.code().default_error_condition();
  value["errno"] = condition.category() == std::generic_category() ? condition.value() : EIO;
  return line_of(value);
}

Result<Greeting> parse_greeting(std::string_view line) {
  auto object = parse_object(line);
  if (!object) return std::move(object).error();
  if (text(*object, "schema") != kShareSchema) {
    return malformed("it does not speak peermr-export/1");
  }
  const auto device = text(*object, "device");
  const auto bar = number(*object, "bar");
  const auto bytes = number(*object, "bytes");
  if (!device || !bar || *bar > 5 || !bytes) return malformed("device, BAR or size is missing");
  return Greeting{.device = *device,
                  .bar = static_cast<unsigned>(*bar),
                  .bytes = *bytes,
                  .ranges = number(*object, "ranges").value_or(1),
                  .exporter = text(*object, "exporter").value_or(""),
                  .read_only = object->value("read_only", json()) == json(true)};
}

Result<Request> parse_request(std::string_view line) {
  auto object = parse_object(line);
  if (!object) return std::move(object).error();
  const auto wanted = text(*object, "request");
  for (const auto& [kind, name] : kRequests) {
    if (!wanted || *wanted != name) continue;
    if (kind != Request::Kind::kRearm) return Request{kind, 0};
    const auto revokes = number(*object, "revokes");
    if (!revokes) return malformed("rearm needs \"revokes\", a number");
    return Request{kind, *revokes};
  }
  return malformed("\"request\" is none of query, revoke, rearm");
}

Result<json> parse_answer(std::string_view line) {
  auto object = parse_object(line);
  if (!object) return std::move(object).error();
  const auto ok = object->find("ok");
  if (ok == object->end() || !ok->is_boolean()) return malformed("\"ok\" is missing");
  if (!ok->get<bool>()) return told_error(*object);
  return object;
}

}  // namespace peermr::tool
