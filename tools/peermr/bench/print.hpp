// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

#include "bench/report.hpp"

namespace peermr::tool {

/// All rows of all reports as one table, grouped by operation and size. Reports are told apart by
/// their labels.
[[nodiscard]] std::string format_table(const std::vector<Report>& reports);

/// What users ask of the figures: peer to peer against host memory, the device against the one to
/// compare with, and against a plain copy. Empty when nothing can be compared.
[[nodiscard]] std::string format_ratios(const Report& report);

/// Why each path was predicted, units, and what the figures of an emulated device do not say.
[[nodiscard]] std::string format_notes(const std::vector<Report>& reports);

/// A sentence for each row that isn't good; empty when all are.
[[nodiscard]] std::string format_problems(const std::vector<Report>& reports);

}  // namespace peermr::tool
