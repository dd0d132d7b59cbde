#include "wire/histogram_check.h"

#include <bit>
#include <cmath>
#include <limits>

namespace tollgate::wire {
namespace {

constexpr uint64_t kStaleNaN = 0x7ff0000000000002;
constexpr int32_t kMinSchema = -4;
// Schemas above 8 are reserved; Prometheus's receiver takes them and scales them down to 8.
constexpr int32_t kMaxSchema = 52;
constexpr int32_t kCustomBuckets = -53;

double as_double(uint64_t bits) { return std::bit_cast<double>(bits); }

// The buckets of one sign, integer (deltas) and float (counts): which of them counts is known
// only when the whole message was read.
struct Buckets {
  uint64_t spans = 0;
  uint64_t span_length = 0;  // sum of the lengths: how many buckets there have to be
  int64_t span_reach = 0;    // sum of lengths and offsets; saturates far above any real bound
  bool first_offset_negative = false;
  bool later_offset_negative = false;

  uint64_t deltas = 0;
  uint64_t current = 0;  // count of the last bucket; wraps as Prometheus's int64 does
  uint64_t sum = 0;
  bool negative_delta_bucket = false;

  uint64_t counts = 0;
  bool negative_count = false;

  void add_span(int32_t offset, uint32_t length) {
    if (offset < 0) (spans == 0 ? first_offset_negative : later_offset_negative) = true;
    spans++;
    span_length += length;
    span_reach += static_cast<int64_t>(offset) + length;
  }
  void add_delta(uint64_t zigzag) {
    current += zigzag_decode(zigzag);
    if (static_cast<int64_t>(current) < 0) negative_delta_bucket = true;
    sum += current;
    deltas++;
  }
  void add_count(double count) {
    if (count < 0) negative_count = true;
    counts++;
  }
};

struct CustomValues {
  uint64_t size = 0;
  double last = -std::numeric_limits<double>::infinity();
  bool unordered = false;
  bool nan = false;

  void add(double bound) {
    if (std::isnan(bound)) nan = true;
    if (size > 0 && bound <= last) unordered = true;
    last = bound;
    size++;
  }
};

struct Parts {
  bool is_float = false;
  uint64_t count_int = 0;
  uint64_t sum_bits = 0;
  int32_t schema = 0;
  double zero_threshold = 0;
  bool zero_is_float = false;
  uint64_t zero_count_int = 0;
  double zero_count_float = 0;
  Buckets negative;
  Buckets positive;
  CustomValues custom;
};

const char* span_problem(const Buckets& b, bool is_float) {
  if (b.later_offset_negative) return "a span other than the first has a negative offset";
  if (b.span_length != (is_float ? b.counts : b.deltas)) {
    return "the spans do not cover as many buckets as there are";
  }
  return nullptr;
}

const char* custom_problem(const Parts& h) {
  if (h.custom.nan) return "a custom bucket bound is NaN";
  if (h.custom.unordered) return "the custom bucket bounds are not increasing";
  if (h.custom.last == std::numeric_limits<double>::infinity()) {
    return "the last custom bucket bound is +Inf, which is implied";
  }
  if (h.positive.first_offset_negative) return "a span of custom buckets has a negative offset";
  if (const char* problem = span_problem(h.positive, h.is_float)) return problem;
  if (h.positive.span_reach > static_cast<int64_t>(h.custom.size) + 1) {
    return "the spans reach past the custom bucket bounds";
  }
  const double zero_count = h.is_float        ? (h.zero_is_float ? h.zero_count_float : 0)
                            : h.zero_is_float ? 0
                                              : static_cast<double>(h.zero_count_int);
  if (zero_count != 0) return "custom buckets with a zero bucket";
  if (h.zero_threshold != 0) return "custom buckets with a zero threshold";
  if (h.negative.spans > 0 || (h.is_float ? h.negative.counts : h.negative.deltas) > 0) {
    return "custom buckets with negative buckets";
  }
  return nullptr;
}

const char* problem_of(const Parts& h) {
  if (h.sum_bits == kStaleNaN) return nullptr;
  if (h.schema == kCustomBuckets) {
    if (const char* problem = custom_problem(h)) return problem;
  } else if (h.schema >= kMinSchema && h.schema <= kMaxSchema) {
    if (const char* problem = span_problem(h.positive, h.is_float)) return problem;
    if (const char* problem = span_problem(h.negative, h.is_float)) return problem;
    if (h.custom.size > 0) return "custom bucket bounds with an exponential schema";
  } else {
    return "the schema is neither -4 to 8 nor -53";
  }
  if (h.is_float) {
    if (h.positive.negative_count || h.negative.negative_count) return "a bucket count is negative";
    return nullptr;
  }
  if (h.positive.negative_delta_bucket || h.negative.negative_delta_bucket) {
    return "a bucket count is negative";
  }
  const uint64_t buckets =
      h.positive.sum + h.negative.sum + (h.zero_is_float ? 0 : h.zero_count_int);
  if (std::isnan(as_double(h.sum_bits))) {
    return buckets > h.count_int ? "the buckets hold more than the count" : nullptr;
  }
  return buckets != h.count_int ? "the count is not the sum of the buckets" : nullptr;
}

bool read_span(const char* p, const char* end, int depth, Buckets& buckets, Fault& fault) {
  uint64_t offset = 0;
  uint64_t length = 0;
  while (p < end) {
    const char* tag_at = p;
    uint32_t tag;
    p = read_tag(p, end, tag, fault);
    if (p == nullptr) return false;
    if (tag == field_tag(1, kVarint)) {
      p = read_varint(p, end, offset, fault);
    } else if (tag == field_tag(2, kVarint)) {
      p = read_varint(p, end, length, fault);
    } else {
      p = skip_value(tag_at, p, end, tag, depth, fault);
    }
    if (p == nullptr) return false;
  }
  const uint32_t zigzag = static_cast<uint32_t>(offset);
  buckets.add_span(static_cast<int32_t>((zigzag >> 1) ^ (~(zigzag & 1) + 1)),
                   static_cast<uint32_t>(length));
  return true;
}

const char* read_fixed64(const char* p, const char* end, uint64_t& value, Fault& fault) {
  if (end - p < 8) return fault.set(p, "the message ends inside a number");
  value = load64(p);
  return p + 8;
}

// Packed varints or doubles: `add` gets each as 64 bits.
template <bool kVarints, typename Add>
const char* read_packed(const char* p, const char* end, Fault& fault, Add add) {
  uint32_t length;
  p = read_length(p, end, length, fault);
  if (p == nullptr) return nullptr;
  const char* stop = p + length;
  while (p < stop) {
    uint64_t value;
    p = kVarints ? read_varint(p, stop, value, fault) : read_fixed64(p, stop, value, fault);
    if (p == nullptr) return nullptr;
    add(value);
  }
  return p;
}

}  // namespace

bool check_histogram(const char* p, const char* end, int depth, HistogramVerdict& verdict,
                     Fault& fault) {
  Parts h;
  while (p < end) {
    const char* tag_at = p;
    uint32_t tag;
    p = read_tag(p, end, tag, fault);
    if (p == nullptr) return false;
    const uint32_t field = tag >> 3;
    Buckets& side = field >= 11 ? h.positive : h.negative;
    const auto add_delta = [&side](uint64_t v) { side.add_delta(v); };
    const auto add_count = [&side](uint64_t v) { side.add_count(as_double(v)); };
    const auto add_bound = [&h](uint64_t v) { h.custom.add(as_double(v)); };
    uint64_t number = 0;
    switch (tag) {
      case field_tag(1, kVarint):
        p = read_varint(p, end, h.count_int, fault);
        h.is_float = false;
        break;
      case field_tag(2, kFixed64):
        p = read_fixed64(p, end, number, fault);
        h.is_float = true;
        break;
      case field_tag(3, kFixed64):
        p = read_fixed64(p, end, h.sum_bits, fault);
        break;
      case field_tag(4, kVarint):
        p = read_varint(p, end, number, fault);
        h.schema = static_cast<int32_t>(static_cast<uint32_t>(number) >> 1 ^
                                        (~(static_cast<uint32_t>(number) & 1) + 1));
        break;
      case field_tag(5, kFixed64):
        p = read_fixed64(p, end, number, fault);
        h.zero_threshold = as_double(number);
        break;
      case field_tag(6, kVarint):
        p = read_varint(p, end, h.zero_count_int, fault);
        h.zero_is_float = false;
        break;
      case field_tag(7, kFixed64):
        p = read_fixed64(p, end, number, fault);
        h.zero_count_float = as_double(number);
        h.zero_is_float = true;
        break;
      case field_tag(8, kLength):
      case field_tag(11, kLength): {
        uint32_t length;
        p = read_length(p, end, length, fault);
        if (p == nullptr || !read_span(p, p + length, depth - 1, side, fault)) return false;
        p += length;
        break;
      }
      case field_tag(9, kLength):
      case field_tag(12, kLength):
        p = read_packed<true>(p, end, fault, add_delta);
        break;
      case field_tag(9, kVarint):
      case field_tag(12, kVarint):
        p = read_varint(p, end, number, fault);
        if (p != nullptr) add_delta(number);
        break;
      case field_tag(10, kLength):
      case field_tag(13, kLength):
        p = read_packed<false>(p, end, fault, add_count);
        break;
      case field_tag(10, kFixed64):
      case field_tag(13, kFixed64):
        p = read_fixed64(p, end, number, fault);
        if (p != nullptr) add_count(number);
        break;
      case field_tag(15, kVarint):
        p = read_varint(p, end, number, fault);
        verdict.timestamp = static_cast<int64_t>(number);
        break;
      case field_tag(16, kLength):
        p = read_packed<false>(p, end, fault, add_bound);
        break;
      case field_tag(16, kFixed64):
        p = read_fixed64(p, end, number, fault);
        if (p != nullptr) add_bound(number);
        break;
      default:
        p = skip_value(tag_at, p, end, tag, depth, fault);
    }
    if (p == nullptr) return false;
  }
  verdict.problem = problem_of(h);
  return true;
}

}  // namespace tollgate::wire
