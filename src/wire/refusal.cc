#include "wire/refusal.h"

#include "model/tenant.h"
#include "wire/utf8.h"

namespace tollgate::wire {
namespace {

constexpr std::string_view kEllipsis = "…";
constexpr std::string_view kMore = ", …}";  // always has to fit behind a label
constexpr size_t kRenderedName = 128;
constexpr size_t kLeastValue = 16;  // a value cut shorter says nothing

// Bytes of the UTF-8 character at the front of `text`, 0 if it does not start with one.
size_t character(std::string_view text) {
  for (size_t n = 1; n <= 4 && n <= text.size(); n++) {
    if (is_utf8(text.substr(0, n))) return n;
  }
  return 0;
}

void append_escaped_byte(char c, std::string& out) {
  constexpr const char* kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  out += "\\x";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

std::string quoted(std::string_view text, size_t limit) {
  std::string out = "\"";
  while (!text.empty()) {
    const size_t before = out.size();
    const char c = text.front();
    size_t n = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      append_escaped_byte(c, out);
    } else if (n = character(text); n > 0) {
      out += text.substr(0, n);
    } else {
      n = 1;
      append_escaped_byte(c, out);
    }
    text.remove_prefix(n);
    const size_t closing = text.empty() ? 1 : kEllipsis.size() + 1;
    if (out.size() + closing > limit) {
      out.resize(before);  // which left room for the ellipsis
      out += kEllipsis;
      break;
    }
  }
  out += '"';
  return out;
}

std::string render_series(std::span<const LabelRef> labels, size_t limit) {
  std::string out = "{";
  for (const LabelRef& label : labels) {
    std::string piece = out.size() == 1 ? "" : ", ";
    const size_t separator = piece.size();
    const std::string_view name = label.name();
    if (model::valid_label_name(name) && name.size() <= kRenderedName) {
      piece += name;
    } else {
      piece += quoted(name, kRenderedName);
    }
    piece += '=';
    const size_t used = out.size() + piece.size() + kMore.size();
    if (used + kLeastValue > limit) {
      out.append(piece, 0, separator);
      out += kEllipsis;
      break;
    }
    out += piece;
    out += quoted(label.value(), limit - used);
  }
  out += '}';
  return out;
}

}  // namespace tollgate::wire
