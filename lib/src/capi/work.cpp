// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/peermr_work.h"

#include <array>
#include <limits>

#include "capi/connection.hpp"

using peermr::capi::guarded;
using peermr::capi::refuse;
using peermr::capi::refuse_null;
using peermr::capi::status_of;

namespace peermr::capi {
namespace {

static_assert(kSame<Operation::kWrite, PEERMR_WRITE> &&
              kSame<Operation::kWriteWithImmediate, PEERMR_WRITE_WITH_IMMEDIATE> &&
              kSame<Operation::kRead, PEERMR_READ> && kSame<Operation::kSend, PEERMR_SEND> &&
              kSame<Operation::kSendWithImmediate, PEERMR_SEND_WITH_IMMEDIATE> &&
              kSame<Operation::kFetchAdd, PEERMR_FETCH_ADD> &&
              kSame<Operation::kCompareSwap, PEERMR_COMPARE_SWAP> &&
              kSame<Operation::kPlace, PEERMR_PLACE> && kSame<Operation::kReceive, PEERMR_RECEIVE>);
static_assert(kSame<CompletionStatus::kSuccess, PEERMR_WORK_SUCCESS> &&
              kSame<CompletionStatus::kFailed, PEERMR_WORK_FAILED> &&
              kSame<CompletionStatus::kNewGeneration, PEERMR_WORK_NEW_GENERATION> &&
              kSame<CompletionStatus::kRegionDead, PEERMR_WORK_REGION_DEAD> &&
              kSame<CompletionStatus::kFlushed, PEERMR_WORK_FLUSHED> &&
              kSame<CompletionStatus::kOutcomeUnknown, PEERMR_WORK_OUTCOME_UNKNOWN>);

constexpr std::size_t kBatch = 16;

}  // namespace

LocalMemory to_cpp(const peermr_local& local) noexcept {
  return {.region = local.region != nullptr ? local.region->region.get() : nullptr,
          .lkey = Lkey(local.lkey),
          .address = local.address,
          .length_bytes = local.length};
}

WorkRequest to_cpp(const peermr_work& work) noexcept {
  return {.operation = static_cast<Operation>(work.operation),
          .id = work.id,
          .region = RegionId(work.region),
          .offset_bytes = work.offset,
          .local = to_cpp(work.local),
          .immediate = work.immediate,
          .operand = work.operand,
          .compare = work.compare};
}

peermr_completion to_c(const Completion& completion) noexcept {
  return {.id = completion.id,
          .generation = completion.generation.value(),
          .operation = static_cast<int32_t>(completion.operation),
          .status = static_cast<int32_t>(completion.status),
          .wc_status = completion.wc_status,
          .length = completion.length_bytes,
          .immediate = completion.immediate,
          .flags = completion.has_immediate ? PEERMR_COMPLETION_IMMEDIATE : 0};
}

}  // namespace peermr::capi

extern "C" {

int peermr_connection_post(peermr_connection* connection, const peermr_work* work) {
  constexpr std::string_view kPost = "post to connection";
  if (connection == nullptr || work == nullptr) return refuse_null(kPost);
  if (work->size != sizeof(*work)) return refuse(kPost, "work.size is not the size of the struct");
  if (work->operation < PEERMR_WRITE || work->operation > PEERMR_PLACE) {
    return refuse(kPost, work->operation == PEERMR_RECEIVE ? "call peermr_connection_post_receive()"
                                                           : "there is no such operation");
  }
  return guarded(
      [&] { return status_of(connection->connection.post(peermr::capi::to_cpp(*work))); });
}

int peermr_connection_post_receive(peermr_connection* connection, uint64_t id,
                                   const peermr_local* local) {
  if (connection == nullptr || local == nullptr) return refuse_null("receive from connection");
  return guarded([&] {
    return status_of(connection->connection.post_receive(id, peermr::capi::to_cpp(*local)));
  });
}

int peermr_connection_poll(peermr_connection* connection, peermr_completion* completions,
                           size_t count) {
  if (connection == nullptr || (completions == nullptr && count != 0)) {
    return refuse_null("poll connection");
  }
  return guarded([&] {
    const std::size_t most = std::min<std::size_t>(count, std::numeric_limits<int>::max());
    std::array<peermr::Completion, peermr::capi::kBatch> batch;
    std::size_t done = 0;
    while (done < most) {
      const std::size_t wanted = std::min(batch.size(), most - done);
      const std::size_t got = connection->connection.poll({batch.data(), wanted});
      for (std::size_t i = 0; i < got; ++i) completions[done++] = peermr::capi::to_c(batch[i]);
      if (got < wanted) break;
    }
    return static_cast<int>(done);
  });
}

}  // extern "C"
