// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <vector>

#include "bench/initiator.hpp"
#include "bench/row.hpp"

namespace peermr::tool {

/// One memory reached through one device.
struct Column {
  Initiator* initiator = nullptr;
  std::size_t target = 0;
};

struct RunPlan {
  std::vector<Operation> operations;
  std::vector<std::uint64_t> sizes_bytes;
  unsigned repeat = 1;
  RowPlan row;  ///< operation, size and room are filled in for each row
};

/// One row out of several measurements of the same: the middle bandwidth and rate, the middle of
/// the median and of the p99 latencies. A measurement that isn't good is the result.
/// `rows` is not empty.
[[nodiscard]] Row middle_row(const std::vector<Row>& rows);

/// Measures every operation and size on every column. What will be compared is measured side by
/// side: columns take turns within an operation and size, `repeat` times. Messages are spread over
/// the same amount of memory in all columns that can hold them, so that caches favour none.
///
/// `progress` sees each finished row. Ends early, with what there is, when a signal asks for it.
[[nodiscard]] std::vector<Row> run_rows(const std::vector<Column>& columns, const RunPlan& plan,
                                        const std::function<void(const Row&)>& progress);

}  // namespace peermr::tool
