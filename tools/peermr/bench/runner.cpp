// SPDX-License-Identifier: BSD-2-Clause
#include "bench/runner.hpp"

#include <algorithm>

#include "base/signals.hpp"
#include "bench/statistics.hpp"

namespace peermr::tool {
namespace {

template <typename Member>
double middle(const std::vector<Row>& rows, Member member) {
  std::vector<double> values;
  for (const Row& row : rows) values.push_back(static_cast<double>(row.measured.*member));
  return median(std::move(values));
}

std::uint64_t rounded(double value) {
  return static_cast<std::uint64_t>(value + 0.5);
}

// The memory that all columns can spread the messages over, but for those that cannot hold one.
std::uint64_t common_room(const std::vector<Column>& columns, std::uint64_t size_bytes,
                          std::uint64_t wanted) {
  std::uint64_t room = std::max(wanted, size_bytes);
  for (const Column& column : columns) {
    const std::uint64_t length =
        column.initiator->target_side().targets()[column.target].length_bytes;
    if (length >= size_bytes) room = std::min(room, length);
  }
  return room;
}

}  // namespace

Row middle_row(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    if (!row.good()) return row;
  }
  Row result = rows.front();
  Measurement& measured = result.measured;
  measured.bytes_per_second = middle(rows, &Measurement::bytes_per_second);
  measured.messages_per_second = middle(rows, &Measurement::messages_per_second);
  measured.seconds = middle(rows, &Measurement::seconds);
  measured.messages = rounded(middle(rows, &Measurement::messages));
  measured.latency_samples = rounded(middle(rows, &Measurement::latency_samples));
  measured.latency_median_ns = rounded(middle(rows, &Measurement::latency_median_ns));
  measured.latency_p99_ns = rounded(middle(rows, &Measurement::latency_p99_ns));
  return result;
}

std::vector<Row> run_rows(const std::vector<Column>& columns, const RunPlan& plan,
                          const std::function<void(const Row&)>& progress) {
  std::vector<Row> results;
  for (Operation operation : plan.operations) {
    for (std::uint64_t size : plan.sizes_bytes) {
      RowPlan row_plan = plan.row;
      row_plan.operation = operation;
      row_plan.size_bytes = size;
      row_plan.room_bytes = common_room(columns, size, plan.row.room_bytes);
      std::vector<std::vector<Row>> measured(columns.size());
      for (unsigned turn = 0; turn < plan.repeat; ++turn) {
        for (std::size_t i = 0; i < columns.size(); ++i) {
          if (stop_requested()) break;
          measured[i].push_back(columns[i].initiator->run(columns[i].target, row_plan));
        }
      }
      for (const auto& rows : measured) {
        if (rows.empty()) continue;
        results.push_back(middle_row(rows));
        progress(results.back());
      }
    }
  }
  return results;
}

}  // namespace peermr::tool
