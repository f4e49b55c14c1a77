// SPDX-License-Identifier: BSD-2-Clause
#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace peermr::tool {

std::uint64_t percentile(const std::vector<std::uint64_t>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(index, sorted.size() - 1)];
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

MedianInterval median_interval(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  // The k-th smallest of n values is above the true median only if fewer than k fell below it, each
  // of which happens with probability 1/2: from both ends as many are cut off as keep that below
  // 2.5 %.
  const std::size_t n = values.size();
  double exactly = std::pow(0.5, static_cast<double>(n));
  double at_most = exactly;
  std::size_t cut = 0;
  while (2 * (cut + 1) < n) {
    exactly *= static_cast<double>(n - cut) / static_cast<double>(cut + 1);
    if (at_most + exactly > 0.025) break;
    at_most += exactly;
    ++cut;
  }
  return {median(values), values[cut], values[n - 1 - cut]};
}

}  // namespace peermr::tool
