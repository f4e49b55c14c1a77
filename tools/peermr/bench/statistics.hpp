// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <vector>

namespace peermr::tool {

/// The smallest sample that at least `percent` of all are not above (nearest rank). 0 when there
/// are none. `sorted` is in ascending order.
[[nodiscard]] std::uint64_t percentile(const std::vector<std::uint64_t>& sorted, double percent);

/// The middle value, or the mean of the two in the middle. 0 when there are none.
[[nodiscard]] double median(std::vector<double> values);

/// A median, and an interval that holds the true one with at least 95 % probability, whatever the
/// distribution: by order statistics. With fewer than 6 values the interval is all of them.
struct MedianInterval {
  double median = 0;
  double low = 0;
  double high = 0;
};
[[nodiscard]] MedianInterval median_interval(std::vector<double> values);

}  // namespace peermr::tool
