// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/work.hpp"

namespace peermr {

std::string_view to_string(Operation operation) noexcept {
  switch (operation) {
    case Operation::kWrite:
      return "write";
    case Operation::kWriteWithImmediate:
      return "write with immediate";
    case Operation::kRead:
      return "read";
    case Operation::kSend:
      return "send";
    case Operation::kSendWithImmediate:
      return "send with immediate";
    case Operation::kFetchAdd:
      return "fetch and add";
    case Operation::kCompareSwap:
      return "compare and swap";
    case Operation::kPlace:
      return "place";
    case Operation::kReceive:
      return "receive";
  }
  return "unknown";
}

std::string_view to_string(CompletionStatus status) noexcept {
  switch (status) {
    case CompletionStatus::kSuccess:
      return "success";
    case CompletionStatus::kFailed:
      return "failed";
    case CompletionStatus::kNewGeneration:
      return "new generation";
    case CompletionStatus::kRegionDead:
      return "region dead";
    case CompletionStatus::kFlushed:
      return "flushed";
    case CompletionStatus::kOutcomeUnknown:
      return "outcome unknown";
  }
  return "unknown";
}

}  // namespace peermr
