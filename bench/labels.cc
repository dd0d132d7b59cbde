#include "labels.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire.h"

namespace tollgate::bench {

bool read_labels(std::string_view fields, LabelViews& out) {
  out.clear();
  FieldReader reader(fields);
  while (reader.next()) {
    if (!reader.is(1, 2)) return false;
    std::string_view name;
    std::string_view value;
    FieldReader label(reader.bytes());
    while (label.next()) {
      if (label.is(1, 2)) name = label.bytes();
      if (label.is(2, 2)) value = label.bytes();
    }
    if (!label.ok()) return false;
    out.emplace_back(name, value);
  }
  return reader.ok();
}

void put_label(std::string& fields, std::string_view name, std::string_view value) {
  std::string label;
  put_bytes(label, 0x0a, name);
  put_bytes(label, 0x12, value);
  put_bytes(fields, 0x0a, label);
}

std::string render(const LabelViews& labels, size_t limit) {
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    if (out.size() > 1) out += ", ";
    if (out.size() + name.size() + value.size() > limit) {
      out += "…";
      break;
    }
    out.append(name).append("=\"").append(value).append("\"");
  }
  return out + "}";
}

std::string render_fields(std::string_view fields, size_t limit) {
  LabelViews labels;
  if (!read_labels(fields, labels)) return "{unreadable labels}";
  return render(labels, limit);
}

uint64_t identity(const LabelViews& labels, const std::set<std::string, std::less<>>& except) {
  uint64_t sum = 0;
  for (const auto& [name, value] : labels) {
    if (except.contains(name)) continue;
    sum += XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(name.data(), name.size()));
  }
  return sum;
}

bool read_histogram(std::string_view histogram, int64_t& timestamp, uint64_t& bits) {
  timestamp = 0;
  std::string_view before = histogram;
  std::string_view after;
  FieldReader reader(histogram);
  while (reader.next()) {
    if (!reader.is(15, 0)) continue;
    timestamp = static_cast<int64_t>(reader.number());
    const auto at = static_cast<size_t>(reader.whole().data() - histogram.data());
    before = histogram.substr(0, at);
    after = histogram.substr(at + reader.whole().size());
  }
  bits =
      XXH3_64bits_withSeed(after.data(), after.size(), XXH3_64bits(before.data(), before.size()));
  return reader.ok();
}

}  // namespace tollgate::bench
