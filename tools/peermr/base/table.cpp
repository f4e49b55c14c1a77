// SPDX-License-Identifier: BSD-2-Clause
#include "base/table.hpp"

#include <algorithm>

namespace peermr::tool {
namespace {

void append_cell(std::string& line, const std::string& text, std::size_t width,
                 Table::Align align) {
  const std::string blanks(width - std::min(width, display_width(text)), ' ');
  line += align == Table::Align::kRight ? blanks + text : text + blanks;
}

void end_line(std::string& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out += line + '\n';
}

}  // namespace

std::size_t display_width(const std::string& text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;  // not a continuation byte
  }));
}

void Table::add_row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::to_string() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].head);
    for (const auto& row : rows_) {
      if (!row.empty()) width = std::max(width, display_width(row[i]));
    }
    widths.push_back(width);
  }
  std::string out, head, rule;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (i != 0) head += "  ", rule += "  ";
    append_cell(head, columns_[i].head, widths[i], columns_[i].align);
    rule += std::string(widths[i], '-');
  }
  end_line(out, head);
  end_line(out, rule);
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i != 0) line += "  ";
      append_cell(line, row[i], widths[i], columns_[i].align);
    }
    end_line(out, line);
  }
  return out;
}

std::string wrap(const std::string& text, std::size_t width, const std::string& indent) {
  std::string out;
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    const std::size_t wanted = display_width(word);
    if (column != 0 && column + 1 + wanted > width) {
      out += '\n' + indent;
      column = display_width(indent);
    } else if (column != 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += wanted;
  }
  return out;
}

}  // namespace peermr::tool
