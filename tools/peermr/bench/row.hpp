// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "bench/pattern.hpp"
#include "peermr/result.hpp"

namespace peermr::tool {

enum class Operation { kWrite, kRead, kSend };

/// "write", "read", "send".
[[nodiscard]] std::string_view to_string(Operation operation) noexcept;
[[nodiscard]] Result<Operation> parse_operation(std::string_view text);

/// What was measured, and against what memory.
struct RowKey {
  Operation operation = Operation::kWrite;
  std::uint64_t size_bytes = 0;
  std::string target;     ///< "host memory", "0000:04:00.0 BAR 4"
  std::string device;     ///< initiator
  std::string predicted;  ///< path by the library's rules; empty for host memory
  std::string reason;     ///< one sentence
  std::string kernel;     ///< the kernel's verdict on the path; empty: not asked
};

struct Measurement {
  std::uint64_t messages = 0;
  double seconds = 0;
  double bytes_per_second = 0;
  double messages_per_second = 0;
  std::uint64_t latency_samples = 0;
  std::uint64_t latency_median_ns = 0;
  std::uint64_t latency_p99_ns = 0;
};

/// One line of the table. Verified, or wrong, or not measured because of an error: never neither.
struct Row {
  RowKey key;
  Measurement measured;
  bool verified = false;
  std::optional<Mismatch> mismatch;
  std::string error;

  [[nodiscard]] bool good() const noexcept { return verified && error.empty(); }
  /// The last column: "verified", "MISMATCH at offset 0x40", "failed".
  [[nodiscard]] std::string verdict() const;
  /// For a row that isn't good, one sentence; else empty.
  [[nodiscard]] std::string problem() const;
};

[[nodiscard]] nlohmann::json to_json(const Row& row);

/// Errors: Errc::kMalformed, naming the member that is missing or of a wrong type. A row that
/// claims to be verified without a message is malformed.
[[nodiscard]] Result<Row> row_from_json(const nlohmann::json& json);

}  // namespace peermr::tool
