// A table of text cells, printed for a terminal, as Markdown, or as HTML. The first column is a
// name, the others are numbers and stand at the right.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tollgate::bench {

struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  // each as long as the header
};

std::string to_text(const Table& table);
std::string to_markdown(const Table& table);
std::string to_html(const Table& table);

/// & < > " as entities: for HTML and SVG, in text and in quoted attributes.
std::string escape_html(std::string_view text);

/// 1234567.8 -> "1,234,568"; trailing decimals as asked.
std::string format_number(double value, int decimals);

}  // namespace tollgate::bench
