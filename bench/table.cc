#include "table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tollgate::bench {
namespace {

// Characters of UTF-8 text, which is what a terminal's columns are for the text that we print.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

void append_padded(std::string& out, std::string_view text, size_t columns, bool right) {
  const std::string padding(columns - std::min(columns, width(text)), ' ');
  if (right) out += padding;
  out += text;
  if (!right) out += padding;
}

std::vector<size_t> widths(const Table& table) {
  std::vector<size_t> out;
  for (const auto& name : table.header) out.push_back(width(name));
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); i++) out[i] = std::max(out[i], width(row[i]));
  }
  return out;
}

std::string escape_markdown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string to_text(const Table& table) {
  const auto columns = widths(table);
  std::string out;
  auto line = [&](const std::vector<std::string>& row) {
    for (size_t i = 0; i < row.size(); i++) {
      if (i > 0) out += "  ";
      append_padded(out, row[i], columns[i], i > 0);
    }
    while (out.ends_with(' ')) out.pop_back();
    out += '\n';
  };
  line(table.header);
  for (const auto& row : table.rows) line(row);
  return out;
}

std::string to_markdown(const Table& table) {
  std::string out = "|";
  for (const auto& name : table.header) out += " " + escape_markdown(name) + " |";
  out += "\n|";
  for (size_t i = 0; i < table.header.size(); i++) out += i == 0 ? "---|" : "---:|";
  out += '\n';
  for (const auto& row : table.rows) {
    out += '|';
    for (const auto& cell : row) out += " " + escape_markdown(cell) + " |";
    out += '\n';
  }
  return out;
}

std::string to_html(const Table& table) {
  std::string out = "<table>\n<tr>";
  for (const auto& name : table.header) out += "<th>" + escape_html(name) + "</th>";
  out += "</tr>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const auto& cell : row) out += "<td>" + escape_html(cell) + "</td>";
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string format_number(double value, int decimals) {
  std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  const auto point = std::min(digits.find('.'), digits.size());
  for (auto at = static_cast<std::ptrdiff_t>(point) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<size_t>(at), ",");
  }
  return (value < 0 ? "-" : "") + digits;
}

}  // namespace tollgate::bench
