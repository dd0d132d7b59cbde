#include "wire/refusal.h"

#include "model/tenant.h"
#include "wire/utf8.h"

namespace tollgate::wire {
namespace {

constexpr std::string_view kEllipsis = "…";

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
      out.resize(before);
      // Room for the ellipsis may only come from what stands before.
      while (out.size() > 1 && out.size() + kEllipsis.size() + 1 > limit) out.pop_back();
      while (out.size() > 1 && !is_utf8(std::string_view(out).substr(1))) out.pop_back();
      out += kEllipsis;
      break;
    }
  }
  out += '"';
  return out;
}

std::string render_series(std::span<const LabelRef> labels, size_t limit) {
  std::string out = "{";
  bool first = true;
  for (const LabelRef& label : labels) {
    const size_t before = out.size();
    if (!first) out += ", ";
    first = false;
    const std::string_view name = label.name();
    if (model::valid_label_name(name) && name.size() < limit) {
      out += name;
    } else {
      out += quoted(name, limit);
    }
    out += '=';
    // A value that is longer than what is left is cut; when even that does not fit, the label goes.
    const size_t reserve = kEllipsis.size() + 3;
    const size_t left = limit > out.size() + reserve ? limit - out.size() - reserve : 0;
    if (left >= 16 || left >= label.value_size + 2) {
      out += quoted(label.value(), left);
    } else {
      out.resize(before);
      if (before > 1) out += ", ";
      out += kEllipsis;
      break;
    }
  }
  out += '}';
  return out;
}

}  // namespace tollgate::wire
