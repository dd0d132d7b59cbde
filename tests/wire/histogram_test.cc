#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "generate.h"
#include "oracle.h"
#include "wire/histogram_check.h"

namespace tollgate::wire {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr uint64_t kStaleNaN = 0x7ff0000000000002;

struct Span {
  int64_t offset;
  uint64_t length;
};

// A histogram to encode; what is empty is left out.
struct Spec {
  bool is_float = false;
  double count = 0;
  double sum = 1.5;
  int64_t schema = 0;
  double zero_threshold = 0;
  double zero_count = 0;
  std::vector<Span> negative_spans = {};
  std::vector<double> negative = {};  // counts of the buckets, absolute
  std::vector<Span> positive_spans = {};
  std::vector<double> positive = {};
  std::vector<double> custom_values = {};
};

std::string numbers(uint32_t field, uint32_t wire_type, const std::vector<std::string>& all,
                    bool packed) {
  std::string out;
  for (const std::string& one : all) {
    if (!packed) out += varint(field << 3 | wire_type);
    out += one;
  }
  return packed && !all.empty() ? bytes_field(field, out) : out;
}

std::string fixed(double v) { return double_field(1, v).substr(1); }

std::string buckets(const Spec& h, uint32_t spans_field, const std::vector<Span>& spans,
                    const std::vector<double>& counts, bool packed) {
  std::string out;
  for (const Span& span : spans) {
    out += bytes_field(spans_field,
                       varint_field(1, zigzag(span.offset)) + varint_field(2, span.length));
  }
  std::vector<std::string> all;
  double last = 0;
  for (const double count : counts) {
    all.push_back(h.is_float ? fixed(count) : varint(zigzag(static_cast<int64_t>(count - last))));
    last = count;
  }
  return out + numbers(spans_field + (h.is_float ? 2 : 1), h.is_float ? 1 : 0, all, packed);
}

std::string encode(const Spec& h, bool packed = true) {
  std::string out =
      h.is_float ? double_field(2, h.count) : varint_field(1, static_cast<uint64_t>(h.count));
  out += double_field(3, h.sum) + varint_field(4, zigzag(h.schema));
  out += double_field(5, h.zero_threshold);
  out += h.is_float ? double_field(7, h.zero_count)
                    : varint_field(6, static_cast<uint64_t>(h.zero_count));
  out += buckets(h, 8, h.negative_spans, h.negative, packed);
  out += buckets(h, 11, h.positive_spans, h.positive, packed);
  std::vector<std::string> bounds;
  for (const double bound : h.custom_values) bounds.push_back(fixed(bound));
  out += numbers(16, 1, bounds, packed);
  return out + varint_field(15, 1234);
}

const char* problem(std::string_view bytes) {
  HistogramVerdict verdict;
  Fault fault;
  EXPECT_TRUE(check_histogram(bytes.data(), bytes.data() + bytes.size(), 98, verdict, fault));
  return verdict.problem;
}

struct Case {
  const char* name;
  Spec histogram;
  const char* problem;  // nullptr: sound
};

constexpr const char* kCount = "the count is not the sum of the buckets";
constexpr const char* kMore = "the buckets hold more than the count";
constexpr const char* kNegative = "a bucket count is negative";
constexpr const char* kSpans = "the spans do not cover as many buckets as there are";
constexpr const char* kOffset = "a span other than the first has a negative offset";
constexpr const char* kSchema = "the schema is neither -4 to 8 nor -53";

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"an empty one", {}, nullptr},
      {"a plain one",
       {.count = 13,
        .schema = 3,
        .zero_count = 2,
        .negative_spans = {{0, 1}},
        .negative = {4},
        .positive_spans = {{-3, 2}, {1, 1}},
        .positive = {1, 4, 2}},
       nullptr},
      {"a plain float one",
       {.is_float = true,
        .count = 7.5,
        .zero_count = 2,
        .positive_spans = {{0, 2}},
        .positive = {1, 4.5}},
       nullptr},
      {"count too small", {.count = 1, .zero_count = 2}, kCount},
      {"count too large", {.count = 3, .zero_count = 2}, kCount},
      {"float counts need not add up", {.is_float = true, .count = 3, .zero_count = 2}, nullptr},
      {"the sum is NaN: the count may be larger",
       {.count = 3, .sum = kNaN, .zero_count = 2},
       nullptr},
      {"the sum is NaN: the count may not be smaller",
       {.count = 1, .sum = kNaN, .zero_count = 2},
       kMore},
      {"the sum is infinite", {.count = 2, .sum = kInf, .zero_count = 2}, nullptr},
      {"a negative bucket",
       {.count = 1, .positive_spans = {{0, 3}}, .positive = {1, -1, 1}},
       kNegative},
      {"a negative bucket below zero",
       {.count = 1, .negative_spans = {{0, 3}}, .negative = {1, -1, 1}},
       kNegative},
      {"a negative float bucket",
       {.is_float = true, .positive_spans = {{0, 1}}, .positive = {-0.5}},
       kNegative},
      {"a negative float bucket below zero",
       {.is_float = true, .negative_spans = {{0, 1}}, .negative = {-0.5}},
       kNegative},
      {"spans short of buckets",
       {.count = 2, .positive_spans = {{0, 1}}, .positive = {1, 1}},
       kSpans},
      {"spans beyond the buckets",
       {.count = 1, .positive_spans = {{0, 2}}, .positive = {1}},
       kSpans},
      {"spans beyond the buckets below zero",
       {.count = 1, .negative_spans = {{0, 2}}, .negative = {1}},
       kSpans},
      {"buckets without spans", {.count = 1, .positive = {1}}, kSpans},
      {"float spans short of buckets",
       {.is_float = true, .count = 2, .positive_spans = {{0, 1}}, .positive = {1, 1}},
       kSpans},
      {"a later offset is negative",
       {.count = 2, .positive_spans = {{0, 1}, {-1, 1}}, .positive = {1, 1}},
       kOffset},
      {"a later offset below zero is negative",
       {.count = 2, .negative_spans = {{0, 1}, {-1, 1}}, .negative = {1, 1}},
       kOffset},
      {"the lowest schema", {.schema = -4}, nullptr},
      {"the highest schema", {.schema = 8}, nullptr},
      {"a reserved schema, which receivers scale down", {.schema = 52}, nullptr},
      {"too high a schema", {.schema = 53}, kSchema},
      {"too low a schema", {.schema = -5}, kSchema},
      {"no such schema", {.schema = -52}, kSchema},
      {"custom bounds with an exponential schema",
       {.custom_values = {1}},
       "custom bucket bounds with an exponential schema"},
      {"custom buckets",
       {.count = 6,
        .schema = -53,
        .positive_spans = {{0, 2}, {1, 1}},
        .positive = {1, 2, 3},
        .custom_values = {0.1, 1, 10}},
       nullptr},
      {"float custom buckets",
       {.is_float = true,
        .count = 6,
        .schema = -53,
        .positive_spans = {{0, 4}},
        .positive = {1, 2, 3, 0},
        .custom_values = {-1, 1, 10}},
       nullptr},
      {"custom buckets without bounds",
       {.count = 1, .schema = -53, .positive_spans = {{0, 1}}, .positive = {1}},
       nullptr},
      {"custom buckets past the bounds",
       {.count = 2,
        .schema = -53,
        .positive_spans = {{0, 1}, {1, 1}},
        .positive = {1, 1},
        .custom_values = {1}},
       "the spans reach past the custom bucket bounds"},
      {"custom spans that do not fit the buckets",
       {.count = 1,
        .schema = -53,
        .positive_spans = {{0, 2}},
        .positive = {1},
        .custom_values = {1, 2}},
       kSpans},
      {"bounds that repeat",
       {.schema = -53, .custom_values = {1, 1}},
       "the custom bucket bounds are not increasing"},
      {"bounds that fall",
       {.schema = -53, .custom_values = {2, 1, 3}},
       "the custom bucket bounds are not increasing"},
      {"bounds up to -Inf and onward", {.schema = -53, .custom_values = {-kInf, 1}}, nullptr},
      {"a bound of +Inf",
       {.schema = -53, .custom_values = {1, kInf}},
       "the last custom bucket bound is +Inf, which is implied"},
      {"a bound that is NaN",
       {.schema = -53, .custom_values = {1, kNaN, 2}},
       "a custom bucket bound is NaN"},
      {"custom buckets with a first negative offset",
       {.count = 1,
        .schema = -53,
        .positive_spans = {{-1, 1}},
        .positive = {1},
        .custom_values = {1}},
       "a span of custom buckets has a negative offset"},
      {"custom buckets with a zero bucket",
       {.count = 1, .schema = -53, .zero_count = 1},
       "custom buckets with a zero bucket"},
      {"float custom buckets with a zero bucket",
       {.is_float = true, .count = 1, .schema = -53, .zero_count = 1},
       "custom buckets with a zero bucket"},
      {"custom buckets with a zero threshold",
       {.schema = -53, .zero_threshold = 0.1},
       "custom buckets with a zero threshold"},
      {"custom buckets below zero",
       {.count = 1, .schema = -53, .negative_spans = {{0, 1}}, .negative = {1}},
       "custom buckets with negative buckets"},
      {"custom spans below zero",
       {.schema = -53, .negative_spans = {{0, 0}}},
       "custom buckets with negative buckets"},
  };
  return all;
}

TEST(Histogram, IsJudgedAsPrometheusJudgesIt) {
  for (const Case& c : cases()) {
    for (const bool packed : {true, false}) {
      const std::string bytes = encode(c.histogram, packed);
      EXPECT_STREQ(problem(bytes), c.problem) << c.name << (packed ? ", packed" : ", unpacked");
      const std::string body = series(label("__name__", "h") + bytes_field(4, bytes));
      EXPECT_EQ(differs_from_libprotobuf(body, {}), "") << c.name;
    }
  }
}

TEST(Histogram, AStaleMarkerIsSoundWhateverElseItSays) {
  for (const Case& c : cases()) {
    EXPECT_EQ(problem(encode(c.histogram) + fixed64_field(3, kStaleNaN)), nullptr) << c.name;
  }
  // Another NaN is not a stale marker.
  EXPECT_STREQ(problem(varint_field(1, 1) + varint_field(6, 2) + fixed64_field(3, kStaleNaN + 1)),
               kMore);
}

TEST(Histogram, TheLastOfAOneofDecidesIntegerOrFloat) {
  const std::string integer = varint_field(1, 5);
  const std::string floating = double_field(2, 5);
  EXPECT_STREQ(problem(floating + integer), kCount);
  EXPECT_EQ(problem(integer + floating), nullptr);
  // A zero count of the other kind is not there.
  EXPECT_EQ(problem(varint_field(6, 5) + double_field(7, 5)), nullptr);
  EXPECT_STREQ(problem(double_field(7, 5) + varint_field(6, 5)), kCount);
}

TEST(Histogram, BucketsMayComeInPiecesAndBeforeTheirSpans) {
  const std::string spans = bytes_field(11, varint_field(2, 3));
  const std::string bytes = bytes_field(12, varint(zigzag(1)) + varint(zigzag(1))) +
                            varint(12 << 3) + varint(zigzag(-1)) + spans + varint_field(1, 4);
  EXPECT_EQ(problem(bytes), nullptr);
}

TEST(Histogram, HugeCountsDoNotOverflowIntoSoundness) {
  const uint64_t most = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const std::string spans = bytes_field(11, varint_field(2, 2));
  EXPECT_STREQ(problem(spans + bytes_field(12, varint(zigzag(static_cast<int64_t>(most))) +
                                                   varint(zigzag(1)))),
               kNegative);
  // Offsets and lengths at their limits.
  std::string many;
  for (int i = 0; i < 4; i++) {
    many += bytes_field(11, varint_field(1, zigzag(std::numeric_limits<int32_t>::max())) +
                                varint_field(2, std::numeric_limits<uint32_t>::max()));
  }
  EXPECT_STREQ(problem(many), kSpans);
}

TEST(Histogram, GivesItsTimestamp) {
  const std::string bytes = encode({});
  HistogramVerdict verdict;
  Fault fault;
  ASSERT_TRUE(check_histogram(bytes.data(), bytes.data() + bytes.size(), 98, verdict, fault));
  EXPECT_EQ(verdict.timestamp, 1234);
}

TEST(Histogram, PackedNumbersThatDoNotFitTheirLengthAreMalformed) {
  for (const std::string& bad :
       {bytes_field(13, "1234567"), bytes_field(10, "123456789"), bytes_field(16, "1"),
        bytes_field(12, "\x80"), bytes_field(9, "\x01\xff"), bytes_field(11, "\x10"),
        bytes_field(8, "\x08\x80")}) {
    HistogramVerdict verdict;
    Fault fault;
    EXPECT_FALSE(check_histogram(bad.data(), bad.data() + bad.size(), 98, verdict, fault));
    EXPECT_NE(fault.at, nullptr);
    EXPECT_EQ(differs_from_libprotobuf(series(bytes_field(4, bad)), {}), "");
  }
}

}  // namespace
}  // namespace tollgate::wire
