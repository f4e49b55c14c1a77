// SPDX-License-Identifier: BSD-2-Clause
#include "bench/row.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/units.hpp"

namespace peermr::tool {

std::string_view to_string(Operation operation) noexcept {
  switch (operation) {
    case Operation::kWrite:
      return "write";
    case Operation::kRead:
      return "read";
    case Operation::kSend:
      return "send";
  }
  return "?";
}

Result<Operation> parse_operation(std::string_view text) {
  for (Operation operation : {Operation::kWrite, Operation::kRead, Operation::kSend}) {
    if (to_string(operation) == text) return operation;
  }
  return make_error(Errc::kMalformed, "parse operation", text, "expected write, read or send");
}

std::string Row::verdict() const {
  if (!error.empty()) return "FAILED";
  if (mismatch) return fmt::format("MISMATCH at offset {:#x}", mismatch->offset_bytes);
  return verified ? "verified" : "NOT VERIFIED";
}

std::string Row::problem() const {
  const std::string name = fmt::format("{} of {} to {} with {}", to_string(key.operation),
                                       format_bytes(key.size_bytes), key.target, key.device);
  if (!error.empty()) return name + ": " + error;
  if (mismatch) {
    const char* how = mismatch->outside  ? " (past the end of the message)"
                      : mismatch->poison ? " (never written)"
                                         : "";
    return fmt::format(
        "{}: {} bytes are wrong, the first at offset {:#x}: expected {:#04x}, "
        "found {:#04x}{}",
        name, mismatch->wrong_bytes, mismatch->offset_bytes, mismatch->expected, mismatch->found,
        how);
  }
  return verified ? std::string() : name + ": not verified";
}

nlohmann::json to_json(const Row& row) {
  nlohmann::json json = {
      {"operation", to_string(row.key.operation)},
      {"size_bytes", row.key.size_bytes},
      {"target", row.key.target},
      {"device", row.key.device},
      {"path_predicted", row.key.predicted},
      {"path_reason", row.key.reason},
      {"path_kernel", row.key.kernel},
      {"messages", row.measured.messages},
      {"seconds", row.measured.seconds},
      {"bandwidth_bytes_per_second", row.measured.bytes_per_second},
      {"messages_per_second", row.measured.messages_per_second},
      {"latency_samples", row.measured.latency_samples},
      {"latency_median_ns", row.measured.latency_median_ns},
      {"latency_p99_ns", row.measured.latency_p99_ns},
      {"verified", row.verified},
  };
  if (!row.error.empty()) json["error"] = row.error;
  if (row.mismatch) {
    json["mismatch"] = {
        {"offset_bytes", row.mismatch->offset_bytes},
        {"expected", row.mismatch->expected},
        {"found", row.mismatch->found},
        {"wrong_bytes", row.mismatch->wrong_bytes},
        {"never_written", row.mismatch->poison},
        {"past_message", row.mismatch->outside},
    };
  }
  return json;
}

Result<Row> row_from_json(const nlohmann::json& json) {
  Row row;
  // nlohmann's exceptions end here: its accessors have no other way to refuse.
  try {
    auto operation = parse_operation(json.at("operation").get<std::string>());
    if (!operation) return std::move(operation).error();
    row.key.operation = *operation;
    json.at("size_bytes").get_to(row.key.size_bytes);
    json.at("target").get_to(row.key.target);
    json.at("device").get_to(row.key.device);
    json.at("path_predicted").get_to(row.key.predicted);
    json.at("path_reason").get_to(row.key.reason);
    json.at("path_kernel").get_to(row.key.kernel);
    json.at("messages").get_to(row.measured.messages);
    json.at("seconds").get_to(row.measured.seconds);
    json.at("bandwidth_bytes_per_second").get_to(row.measured.bytes_per_second);
    json.at("messages_per_second").get_to(row.measured.messages_per_second);
    json.at("latency_samples").get_to(row.measured.latency_samples);
    json.at("latency_median_ns").get_to(row.measured.latency_median_ns);
    json.at("latency_p99_ns").get_to(row.measured.latency_p99_ns);
    json.at("verified").get_to(row.verified);
    row.error = json.value("error", std::string());
    if (auto found = json.find("mismatch"); found != json.end()) {
      row.mismatch = Mismatch{found->at("offset_bytes").get<std::uint64_t>(),
                              found->at("expected").get<std::uint8_t>(),
                              found->at("found").get<std::uint8_t>(),
                              found->at("wrong_bytes").get<std::uint64_t>(),
                              found->at("never_written").get<bool>(),
                              found->at("past_message").get<bool>()};
    }
  } catch (const nlohmann::json::exception& problem) {
    return make_error(Errc::kMalformed, "read a row", "", problem.what());
  }
  if (row.verified && (row.measured.messages == 0 || row.mismatch)) {
    return make_error(Errc::kMalformed, "read a row", "",
                      "it claims to be verified, but carries no message or a mismatch");
  }
  return row;
}

}  // namespace peermr::tool
