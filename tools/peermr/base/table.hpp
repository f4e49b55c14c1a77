// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace peermr::tool {

/// Text in aligned columns: two spaces between them, a rule under the head, no trailing blanks.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string head;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// Missing cells are empty; surplus ones are dropped.
  void add_row(std::vector<std::string> cells);
  /// A blank line between groups of rows.
  void add_gap() { rows_.emplace_back(); }

  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Columns that `text` takes on a terminal: UTF-8 code points.
[[nodiscard]] std::size_t display_width(const std::string& text) noexcept;

/// Breaks `text` at blanks into lines of at most `width` columns, each but the first after
/// `indent`; words that are longer stay whole.
[[nodiscard]] std::string wrap(const std::string& text, std::size_t width,
                               const std::string& indent);

}  // namespace peermr::tool
