#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "generate.h"
#include "oracle.h"
#include "wire/walker.h"

namespace tollgate::wire {
namespace {

using model::LabelAction;
using model::LabelPlan;
using model::RejectReason;

constexpr int64_t kNow = 1'700'000'000'000;

const LabelPlan& two_labels() {
  static const LabelPlan plan(
      {{"cluster", "blue", LabelAction::kOverride}, {"tenant", "team-blue", LabelAction::kReject}});
  return plan;
}

// A request with everything in it, on an exact heap allocation, so that the sanitizer sees a read
// of one byte too many.
std::string rich_request() {
  const std::string span = varint_field(1, zigzag(-2)) + varint_field(2, 2);
  const std::string histogram = bytes_field(
      4, varint_field(1, 5) + double_field(3, 2) + varint_field(4, 2) + bytes_field(11, span) +
             bytes_field(12, varint(4) + varint(1)) + varint_field(6, 2) + varint_field(15, kNow));
  const std::string exemplar =
      bytes_field(3, label("trace_id", "abc") + double_field(2, 1) + varint_field(3, kNow));
  const std::string group = "\x53" + varint_field(1, 5) + "\x5b" + bytes_field(2, "x") + "\x5c\x54";
  return series(label("__name__", "up") + label("job", "node") + sample(1, kNow) + exemplar +
                group) +
         series(label("__name__", "h") + histogram) +
         bytes_field(3, varint_field(1, 1) + bytes_field(2, "up"));
}

std::string judged(const std::string& body) {
  const std::vector<char> exact(body.begin(), body.end());
  return differs_from_libprotobuf({exact.data(), exact.size()}, two_labels(),
                                  {"cluster", "prometheus_replica"});
}

Step last_step(std::string_view body) {
  Walker walker;
  walker.begin(body, two_labels());
  for (;;) {
    const Step step = walker.next();
    if (step == Step::kEnd || step == Step::kMalformed) return step;
  }
}

TEST(Hostile, EveryOneByteBody) {
  for (int byte = 0; byte < 256; byte++) {
    const std::string body(1, static_cast<char>(byte));
    EXPECT_EQ(judged(body), "") << byte;
    EXPECT_EQ(last_step(body), Step::kMalformed) << byte;
  }
}

TEST(Hostile, EveryTwoByteBody) {
  for (int i = 0; i < 65536; i++) {
    const std::string body = {static_cast<char>(i >> 8), static_cast<char>(i)};
    ASSERT_EQ(judged(body), "") << i;
  }
}

TEST(Hostile, TruncationAtEveryByte) {
  const std::string body = rich_request();
  ASSERT_EQ(last_step(body), Step::kEnd);
  for (size_t n = 0; n <= body.size(); n++) ASSERT_EQ(judged(body.substr(0, n)), "") << n;
}

TEST(Hostile, EveryByteReplacedByEveryOther) {
  const std::string body = rich_request();
  for (size_t at = 0; at < body.size(); at++) {
    for (int byte = 0; byte < 256; byte++) {
      std::string bad = body;
      bad[at] = static_cast<char>(byte);
      ASSERT_EQ(judged(bad), "") << "byte " << at << " = " << byte;
    }
  }
}

TEST(Hostile, LengthsPastTheEndAtEveryLevel) {
  for (const uint64_t length : {uint64_t{0x7f}, uint64_t{0x7fffffff}, uint64_t{0x80000000},
                                uint64_t{0xffffffff}, ~uint64_t{0}}) {
    const std::string huge = varint(length) + "abc";
    for (const std::string& body :
         {"\x0a" + huge, series("\x0a" + huge), series(bytes_field(1, "\x0a" + huge)),
          series("\x12" + huge), series("\x1a" + huge), series("\x22" + huge),
          series(bytes_field(4, "\x5a" + huge)), series(bytes_field(4, "\x62" + huge)),
          series(bytes_field(4, "\x6a" + huge)), "\x1a" + huge, bytes_field(3, "\x12" + huge)}) {
      EXPECT_EQ(last_step(body), Step::kMalformed);
      EXPECT_EQ(judged(body), "");
    }
  }
}

TEST(Hostile, VarintsAreAtMostTenBytesAndTagsFive) {
  for (size_t n = 1; n <= 12; n++) {
    const std::string long_zero = std::string(n - 1, '\x80') + std::string(1, '\0');
    const std::string long_one = "\x81" + std::string(n - 1, '\x80') + std::string(1, '\0');
    EXPECT_EQ(judged("\x28" + long_zero), "") << "value " << n;
    EXPECT_EQ(judged("\x2a" + long_zero), "") << "length " << n;
    EXPECT_EQ(judged("\xa8" + long_zero + "\x01"), "") << "tag " << n;
    EXPECT_EQ(judged("\x0a" + long_zero), "") << "series " << n;
    EXPECT_EQ(judged(series("\x0a" + long_zero + label("__name__", "up"))), "") << "label " << n;
    EXPECT_EQ(judged(series(bytes_field(2, "\x10" + long_one))), "") << "timestamp " << n;
    EXPECT_EQ(judged(series(bytes_field(4, "\x08" + long_one))), "") << "count " << n;
  }
  EXPECT_EQ(last_step("\x28" + std::string(9, '\xff') + "\x7f"), Step::kEnd);
  EXPECT_EQ(last_step("\x28" + std::string(10, '\xff') + "\x01"), Step::kMalformed);
}

TEST(Hostile, TagsOfMoreThan32BitsLoseTheUpperBits) {
  // 5 bytes: bits 28 to 34; those above 31 are dropped, so this is tag 0x0a again.
  const std::string wide = "\x8a\x80\x80\x80\x70";
  EXPECT_EQ(judged(wide + varint(3) + "abc"), "");
  EXPECT_EQ(judged(series(wide + label("__name__", "up").substr(1) + sample(1, kNow))), "");
  EXPECT_EQ(judged("\x80\x80\x80\x80\x70"), "") << "field 0 after that";
}

TEST(Hostile, FieldZeroAndUnknownWireTypesAreMalformed) {
  for (const char* bad : {"\x01", "\x02", "\x03", "\x04", "\x05", "\x06", "\x07", "\x0e", "\x0f"}) {
    const std::string tail = bad + std::string(20, '\0');
    EXPECT_EQ(last_step(tail), Step::kMalformed);
    EXPECT_EQ(last_step(series(tail)), Step::kMalformed);
    EXPECT_EQ(last_step(series(bytes_field(1, tail))), Step::kMalformed);
    EXPECT_EQ(last_step(series(bytes_field(2, tail))), Step::kMalformed);
    EXPECT_EQ(last_step(series(bytes_field(4, tail))), Step::kMalformed);
  }
}

TEST(Hostile, GroupsNestAHundredDeepAndNoDeeper) {
  const auto nested = [](size_t depth) {
    std::string out;
    for (size_t i = 0; i < depth; i++) out += '\x53';
    for (size_t i = 0; i < depth; i++) out += '\x54';
    return out;
  };
  for (size_t depth = 95; depth <= 103; depth++) {
    EXPECT_EQ(judged(nested(depth)), "") << depth;
    EXPECT_EQ(judged(series(nested(depth))), "") << depth;
    EXPECT_EQ(judged(series(bytes_field(1, nested(depth)))), "") << depth;
    EXPECT_EQ(judged(series(bytes_field(2, nested(depth)))), "") << depth;
    EXPECT_EQ(judged(series(bytes_field(3, nested(depth)))), "") << depth;
    EXPECT_EQ(judged(series(bytes_field(3, bytes_field(1, nested(depth))))), "") << depth;
    EXPECT_EQ(judged(series(bytes_field(4, nested(depth)))), "") << depth;
    EXPECT_EQ(judged(series(bytes_field(4, bytes_field(8, nested(depth))))), "") << depth;
    EXPECT_EQ(judged(bytes_field(3, nested(depth))), "") << depth;
  }
  EXPECT_EQ(last_step(nested(100)), Step::kEnd);
  EXPECT_EQ(last_step(nested(101)), Step::kMalformed);
  EXPECT_EQ(last_step(std::string(1'000'000, '\x53')), Step::kMalformed);
  EXPECT_EQ(last_step("\x53\x5c"), Step::kMalformed) << "the end of another group";
}

TEST(Hostile, SixtyFourThousandLabels) {
  std::string sorted = label("__name__", "up");
  std::string reversed;
  for (int i = 0; i < 65536; i++) {
    char name[16];
    std::snprintf(name, sizeof name, "label_%05d", i);
    sorted += label(name, "x");
    reversed = label(name, "x") + reversed;
  }
  EXPECT_EQ(judged(series(sorted + sample(1, kNow))), "");
  reversed += label("__name__", "up");
  EXPECT_EQ(judged(series(reversed + sample(1, kNow))), "");
  EXPECT_EQ(last_step(series(reversed + sample(1, kNow))), Step::kEnd);
}

TEST(Hostile, LabelsWithoutEndAreRefusedAndNotRemembered) {
  std::string labels = label("__name__", "up");
  const std::string one = label("a", "");
  const std::string two = label("b", "");
  for (int i = 0; i < 300'000; i++) labels += i % 2 == 0 ? one : two;
  const std::string body =
      series(labels + sample(1, kNow)) + series(label("__name__", "up") + sample(1, kNow));
  Walker walker;
  walker.begin(body, two_labels());
  ASSERT_EQ(walker.next(), Step::kRefused);
  EXPECT_EQ(walker.refused_reason(), RejectReason::kInvalidLabel);
  EXPECT_EQ(walker.refusal().message, "it has more than 131072 labels");
  EXPECT_EQ(walker.series().samples, 1u);
  EXPECT_EQ(walker.next(), Step::kSeries) << "the next one is judged on its own";
  EXPECT_EQ(walker.next(), Step::kEnd);
}

TEST(Hostile, LongStringsTakeTheirLengthsFromMoreBytes) {
  for (const size_t n :
       {size_t{126}, size_t{127}, size_t{128}, size_t{16383}, size_t{16384}, size_t{3'000'000}}) {
    const std::string text(n, 'n');
    EXPECT_EQ(judged(series(label("__name__", text) + label(text, text) + sample(1, kNow))), "");
  }
}

}  // namespace
}  // namespace tollgate::wire
