#include "generate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

namespace tollgate::wire {

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
  return out;
}
std::string varint_field(uint32_t field, uint64_t value) {
  return varint(field << 3) + varint(value);
}
std::string bytes_field(uint32_t field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
std::string fixed64_field(uint32_t field, uint64_t bits) {
  std::string out = varint(field << 3 | 1);
  for (int i = 0; i < 8; i++) out += static_cast<char>(bits >> (8 * i));
  return out;
}
std::string double_field(uint32_t field, double value) {
  return fixed64_field(field, std::bit_cast<uint64_t>(value));
}
uint64_t zigzag(int64_t value) {
  return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
}

std::string label(std::string_view name, std::string_view value) {
  return bytes_field(1, bytes_field(1, name) + bytes_field(2, value));
}
std::string sample_bits(uint64_t bits, int64_t timestamp) {
  return bytes_field(2, fixed64_field(1, bits) + varint_field(2, static_cast<uint64_t>(timestamp)));
}
std::string sample(double value, int64_t timestamp) {
  return sample_bits(std::bit_cast<uint64_t>(value), timestamp);
}
std::string series(std::string_view fields) { return bytes_field(1, fields); }

std::string Generator::name() {
  static constexpr std::array<std::string_view, 16> kNames = {
      "a",  "cluster", "cluste", "clusters", "cluster_name", "instance",           "job",
      "le", "pod",     "region", "region_",  "prometheus",   "prometheus_replica", "zone",
      "zz", "__name__"};
  if (one_in(12)) {
    std::string out;
    for (uint64_t n = below(one_in(5) ? 300 : 12); n > 0; n--) {
      out += static_cast<char>(one_in(200) ? below(256) : 'a' + below(26));
    }
    return out;
  }
  return std::string(kNames[below(kNames.size())]);
}

std::string Generator::value() {
  if (one_in(10)) return "";
  if (one_in(10)) return one_in(2) ? "blue" : "eu-west-2";
  static constexpr std::array<std::string_view, 6> kPieces = {"ä",  "日本", "\xf0\x9f\x90\xa6",
                                                              "\n", "\"",   "x"};
  std::string out;
  for (uint64_t n = 1 + below(one_in(6) ? 400 : 20); n > 0; n--) {
    if (one_in(100)) {
      out += kPieces[below(kPieces.size())];
    } else {
      out += static_cast<char>(one_in(2000) ? below(256) : ' ' + below(95));
    }
  }
  return out;
}

int64_t Generator::timestamp() {
  if (one_in(20)) return static_cast<int64_t>(random_());
  if (one_in(20)) return 0;
  return 1'700'000'000'000 + static_cast<int64_t>(below(100'000'000));
}

std::string Generator::a_label() {
  const std::string n = name();
  const std::string v = value();
  if (!one_in(15)) return label(n, v);
  std::vector<std::string> parts = {bytes_field(1, n), bytes_field(2, v)};
  if (one_in(3)) parts.push_back(bytes_field(1, name()));
  if (one_in(3)) parts.push_back(bytes_field(2, value()));
  if (one_in(3)) parts.push_back(unknown_field());
  std::shuffle(parts.begin(), parts.end(), random_);
  if (one_in(4)) parts.pop_back();
  std::string all;
  for (const auto& part : parts) all += part;
  // A tag that is longer than it has to be means the same.
  if (one_in(4)) return "\x8a" + std::string(1, '\0') + varint(all.size()) + all;
  return bytes_field(1, all);
}

std::string Generator::a_sample() {
  static constexpr std::array<uint64_t, 5> kBits = {0, 0x7ff0000000000002, 0x7ff8000000000001,
                                                    0x8000000000000000, 0xfff0000000000000};
  std::string out;
  const uint64_t bits = one_in(3) ? kBits[below(kBits.size())] : random_();
  if (bits != 0 || one_in(4)) out += fixed64_field(1, bits);
  if (!one_in(20)) out += varint_field(2, static_cast<uint64_t>(timestamp()));
  if (one_in(20)) out += unknown_field();
  if (one_in(30)) out += varint_field(2, random_());
  return bytes_field(2, out);
}

std::string Generator::an_exemplar() {
  std::string out;
  for (uint64_t n = below(3); n > 0; n--) out += a_label();
  out += double_field(2, 1.5) + varint_field(3, static_cast<uint64_t>(timestamp()));
  if (one_in(10)) out += unknown_field();
  return bytes_field(3, out);
}

std::string Generator::a_histogram() {
  const bool is_float = one_in(2);
  const bool custom = one_in(4);
  const bool packed = !one_in(4);
  std::string out;
  uint64_t count = 0;
  const auto buckets = [&](uint32_t spans_field, uint32_t deltas_field, uint32_t counts_field) {
    std::string deltas, counts, result;
    int64_t last = 0;
    uint64_t total = 0;
    for (uint64_t spans = below(3); spans > 0; spans--) {
      const uint64_t length = below(4);
      const int64_t offset =
          !custom && total == 0 && one_in(3) ? -5 : static_cast<int64_t>(below(3));
      result += bytes_field(spans_field, varint_field(1, zigzag(offset)) + varint_field(2, length));
      for (uint64_t i = 0; i < length; i++, total++) {
        const int64_t now = static_cast<int64_t>(below(9)) - (one_in(60) ? 5 : 0);
        const std::string delta = varint(zigzag(now - last));
        const std::string as_double = double_field(1, static_cast<double>(now)).substr(1);
        deltas += packed ? delta : varint(deltas_field << 3) + delta;
        counts += packed ? as_double : varint(counts_field << 3 | 1) + as_double;
        count += static_cast<uint64_t>(now);
        last = now;
      }
    }
    const std::string& numbers = is_float ? counts : deltas;
    const uint32_t field = is_float ? counts_field : deltas_field;
    if (numbers.empty() || !packed) return result + numbers;
    return one_in(2) ? result + bytes_field(field, numbers) : bytes_field(field, numbers) + result;
  };
  out += buckets(11, 12, 13);
  if (!custom || one_in(10)) out += buckets(8, 9, 10);
  const uint64_t zero = custom && !one_in(10) ? 0 : below(3);
  count += zero;
  if (one_in(15)) count += below(3);
  out += is_float ? double_field(2, static_cast<double>(count)) : varint_field(1, count);
  if (zero > 0 || one_in(3)) {
    out +=
        is_float != one_in(20) ? double_field(7, static_cast<double>(zero)) : varint_field(6, zero);
  }
  if (one_in(10)) {
    out += fixed64_field(3, one_in(2) ? 0x7ff0000000000002 : 0x7ff8000000000001);
  } else {
    out += double_field(3, 17.25);
  }
  int64_t schema = custom ? -53 : static_cast<int64_t>(below(13)) - 4;
  if (one_in(15)) schema = static_cast<int64_t>(below(140)) - 70;
  out += varint_field(4, zigzag(schema));
  if (!custom || one_in(10)) out += double_field(5, 1e-128);
  if (custom || one_in(20)) {
    std::string bounds;
    for (uint64_t i = 0, n = 8 + below(5); i < n; i++) {
      const double bound = one_in(100) ? NAN : static_cast<double>(i) - (one_in(60) ? 3 : 0);
      bounds += double_field(1, bound).substr(1);
    }
    out += bytes_field(16, bounds);
  }
  out += varint_field(14, below(4)) + varint_field(15, static_cast<uint64_t>(timestamp()));
  if (one_in(10)) out += unknown_field();
  return bytes_field(4, out);
}

std::string Generator::unknown_field(int depth) {
  const auto field = static_cast<uint32_t>(one_in(5) ? 1 + below((1 << 29) - 1) : 5 + below(30));
  switch (below(depth > 3 ? 4 : 5)) {
    case 0:
      return varint_field(field, random_());
    case 1:
      return fixed64_field(field, random_());
    case 2:
      return bytes_field(field, value());
    case 3:
      return varint(uint64_t{field} << 3 | 5) + "abcd";
    default: {
      std::string out = varint(uint64_t{field} << 3 | 3);
      for (uint64_t n = below(3); n > 0; n--) out += unknown_field(depth + 1);
      return out + varint(uint64_t{field} << 3 | 4);
    }
  }
}

std::string Generator::a_series() {
  std::vector<std::pair<std::string, std::string>> names;
  const uint64_t count = one_in(50) ? below(200) : below(9);
  for (uint64_t n = count; n > 0; n--) {
    const std::string one = name();
    names.emplace_back(one, label(one, value()));
  }
  if (!one_in(15)) names.emplace_back("__name__", label("__name__", one_in(30) ? "" : "up"));
  if (!one_in(6)) std::sort(names.begin(), names.end());
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (!one_in(8)) names.erase(std::unique(names.begin(), names.end(), same), names.end());
  std::vector<std::string> fields;
  for (auto& [unused, encoded] : names) fields.push_back(std::move(encoded));
  if (one_in(20)) fields.push_back(a_label());
  const size_t labels = fields.size();
  for (uint64_t n = one_in(10) ? below(6) : 1; n > 0; n--) fields.push_back(a_sample());
  if (one_in(5)) fields.push_back(an_exemplar());
  if (one_in(4)) fields.push_back(a_histogram());
  if (one_in(10)) fields.push_back(unknown_field());
  if (one_in(10)) {
    std::shuffle(fields.begin(), fields.end(), random_);
  } else {
    std::shuffle(fields.begin() + static_cast<std::ptrdiff_t>(labels), fields.end(), random_);
  }
  std::string out;
  for (const auto& field : fields) out += field;
  return series(out);
}

std::string Generator::request() {
  std::string out;
  for (uint64_t n = below(8); n > 0; n--) {
    out += a_series();
    if (one_in(10)) out += unknown_field();
    if (one_in(10)) {
      out += bytes_field(3, varint_field(1, below(9)) + bytes_field(2, name()) +
                                bytes_field(4, value()) + bytes_field(5, value()));
    }
  }
  return out;
}

model::LabelPlan Generator::plan() {
  std::vector<model::PlannedLabel> labels;
  for (uint64_t n = below(5); n > 0; n--) {
    model::PlannedLabel one;
    one.name = name();
    one.value = value();
    if (one.name.empty() || one.value.empty()) continue;
    one.action = static_cast<model::LabelAction>(below(3));
    labels.push_back(std::move(one));
  }
  return model::LabelPlan(std::move(labels));
}

std::string Generator::mutated(std::string body) {
  for (uint64_t n = 1 + below(3); n > 0 && !body.empty(); n--) {
    const size_t at = below(body.size());
    const size_t length = std::min<size_t>(body.size() - at, 1 + below(20));
    switch (below(6)) {
      case 0:
        body[at] = static_cast<char>(body[at] ^ (1 << below(8)));
        break;
      case 1:
        body[at] = static_cast<char>(below(256));
        break;
      case 2:
        body.erase(at, length);
        break;
      case 3:
        body.insert(below(body.size()), body.substr(at, length));
        break;
      case 4:
        body.insert(at, 1, static_cast<char>(one_in(2) ? 0x80 : 0xff));
        break;
      default:
        if (one_in(4)) body.resize(at);
    }
  }
  return body;
}

}  // namespace tollgate::wire
