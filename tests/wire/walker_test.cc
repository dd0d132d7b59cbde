#include "wire/walker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "generate.h"

namespace tollgate::wire {
namespace {

using model::LabelAction;
using model::LabelPlan;
using model::RejectReason;
using ::testing::HasSubstr;

constexpr int64_t kNow = 1'700'000'000'000;

const LabelPlan kNoPlan;

LabelPlan plan(std::vector<model::PlannedLabel> labels) { return LabelPlan(std::move(labels)); }

// All that a walk gives. The views in `kept` live as long as the body.
struct Walked {
  std::string bytes;  // everything emitted
  std::vector<SeriesHead> kept;
  std::vector<Refusal> refused;
  int others = 0;
  std::string error;  // of a malformed body
};

Walked walk(std::string_view body, const LabelPlan& with = kNoPlan, HaLabels ha = {}) {
  Walked w;
  Walker walker;
  Buffer out;
  walker.begin(body, with, ha);
  for (;;) {
    switch (walker.next()) {
      case Step::kSeries:
        w.kept.push_back(walker.series());
        walker.emit(out);
        break;
      case Step::kRefused:
        w.refused.push_back(walker.refusal());
        break;
      case Step::kOther:
        w.others++;
        walker.emit(out);
        break;
      case Step::kMalformed:
        w.error = walker.error().message;
        [[fallthrough]];
      case Step::kEnd:
        w.bytes = out.view();
        return w;
    }
  }
}

std::string up(std::string_view more = {}) {
  return label("__name__", "up") + std::string(more) + sample(1, kNow);
}

TEST(Walker, LeavesACleanSeriesBitForBit) {
  const std::string body = series(label("__name__", "up") + label("job", "node") + sample(1, kNow));
  EXPECT_EQ(walk(body).bytes, body);
}

TEST(Walker, AnEmptyBodyIsAnEmptyRequest) {
  const Walked w = walk("");
  EXPECT_EQ(w.error, "");
  EXPECT_EQ(w.bytes, "");
}

TEST(Walker, EnforcedLabelsAreMergedInOrder) {
  const LabelPlan p = plan({{"cluster", "blue", LabelAction::kOverride},
                            {"zone", "a", LabelAction::kReject},
                            {"A", "first", LabelAction::kAddAbsent}});
  const Walked w = walk(series(up(label("job", "node"))), p);
  EXPECT_EQ(w.bytes,
            series(label("A", "first") + label("__name__", "up") + label("cluster", "blue") +
                   label("job", "node") + label("zone", "a") + sample(1, kNow)));
}

TEST(Walker, OverrideReplacesWhatCame) {
  const LabelPlan p = plan({{"cluster", "blue", LabelAction::kOverride}});
  EXPECT_EQ(walk(series(up(label("cluster", "green"))), p).bytes,
            series(up(label("cluster", "blue"))));
  EXPECT_EQ(walk(series(up(label("cluster", "blue"))), p).bytes,
            series(up(label("cluster", "blue"))));
}

TEST(Walker, RejectRefusesAnotherValueAndSaysWhich) {
  const LabelPlan p = plan({{"cluster", "blue", LabelAction::kReject}});
  const Walked w = walk(
      series(up(label("cluster", "green"))) + series(up()) + series(up(label("cluster", "blue"))),
      p);
  ASSERT_EQ(w.refused.size(), 1u);
  EXPECT_EQ(w.refused[0].reason, RejectReason::kSpoofedLabel);
  EXPECT_EQ(w.refused[0].message,
            "label cluster is \"green\", but this source must write \"blue\"");
  EXPECT_EQ(w.refused[0].series, "{__name__=\"up\", cluster=\"green\"}");
  EXPECT_EQ(w.refused[0].samples, 1u);
  const std::string clean = series(up(label("cluster", "blue")));
  EXPECT_EQ(w.bytes, clean + clean) << "absent is added, equal is kept";
}

TEST(Walker, ExternalLabelsYieldToTheSeries) {
  const LabelPlan p = plan({{"cluster", "blue", LabelAction::kAddAbsent}});
  EXPECT_EQ(walk(series(up(label("cluster", "green"))), p).bytes,
            series(up(label("cluster", "green"))));
  EXPECT_EQ(walk(series(up()), p).bytes, series(up(label("cluster", "blue"))));
}

TEST(Walker, AnEmptyValueMeansNoSuchLabel) {
  EXPECT_EQ(walk(series(up(label("job", "")))).bytes, series(up()));
  for (const LabelAction action :
       {LabelAction::kOverride, LabelAction::kReject, LabelAction::kAddAbsent}) {
    const LabelPlan p = plan({{"cluster", "blue", action}});
    EXPECT_EQ(walk(series(up(label("cluster", ""))), p).bytes,
              series(up(label("cluster", "blue"))));
  }
  // gogo's encoders leave an empty value out altogether.
  EXPECT_EQ(walk(series(up(bytes_field(1, bytes_field(1, "job"))))).bytes, series(up()));
}

TEST(Walker, SortsWhatArrivesUnsorted) {
  const Walked w = walk(
      series(label("job", "node") + label("__name__", "up") + label("a", "1") + sample(1, kNow)),
      plan({{"cluster", "blue", LabelAction::kOverride}}));
  EXPECT_EQ(w.bytes, series(label("__name__", "up") + label("a", "1") + label("cluster", "blue") +
                            label("job", "node") + sample(1, kNow)));
}

TEST(Walker, SortsNamesThatShareEightBytes) {
  const std::string sorted = label("__name__", "up") + label("prometheu", "1") +
                             label("prometheus", "2") + label("prometheus_replica", "3");
  const std::string unsorted = label("prometheus_replica", "3") + label("prometheus", "2") +
                               label("prometheu", "1") + label("__name__", "up");
  EXPECT_EQ(walk(series(unsorted + sample(1, kNow))).bytes, series(sorted + sample(1, kNow)));
  // A name that ends where another goes on with a zero byte is not the same name.
  const std::string zero =
      label("__name__", "up") + label("ab", "1") + label(std::string_view("ab\0", 3), "2");
  EXPECT_EQ(walk(series(zero + sample(1, kNow))).bytes, series(zero + sample(1, kNow)));
}

TEST(Walker, RefusesADuplicateNameEvenIfOneIsEmpty) {
  for (const char* second : {"1", "2", ""}) {
    const Walked w = walk(series(up(label("job", "1") + label("job", second))));
    ASSERT_EQ(w.refused.size(), 1u);
    EXPECT_EQ(w.refused[0].reason, RejectReason::kDuplicateLabel);
    EXPECT_EQ(w.refused[0].message, "label \"job\" is there twice");
  }
  // Apart from each other, and not sorted.
  const Walked w = walk(series(label("job", "1") + up(label("job", "1"))));
  ASSERT_EQ(w.refused.size(), 1u);
  EXPECT_EQ(w.refused[0].reason, RejectReason::kDuplicateLabel);
}

TEST(Walker, RefusesASeriesWithoutAName) {
  for (const std::string& labels : {std::string(), label("job", "x"), label("__name__", ""),
                                    label("__name_", "x"), label("__name__x", "x")}) {
    const Walked w = walk(series(labels + sample(1, kNow)));
    ASSERT_EQ(w.refused.size(), 1u) << labels;
    EXPECT_EQ(w.refused[0].reason, RejectReason::kMissingName);
    EXPECT_THAT(w.refused[0].message, HasSubstr("__name__"));
  }
}

TEST(Walker, RefusesLabelsThatAreNotText) {
  const std::vector<std::string> bad = {label("", "x"),
                                        label("a", "\xff"),
                                        label("\xc0\x80", "overlong"),
                                        label("a", "\xed\xa0\x80"),
                                        label("a", "\xf4\x90\x80\x80"),
                                        label("a", "cut \xe6\x97"),
                                        label("", ""),
                                        label("a\x80", "")};
  for (const std::string& one : bad) {
    const Walked w = walk(series(one + up()));
    ASSERT_EQ(w.refused.size(), 1u) << one;
    EXPECT_EQ(w.refused[0].reason, RejectReason::kInvalidLabel);
  }
  const std::string good = series(label("__name__", "üp") + label("a", "日本 \xf4\x8f\xbf\xbf") +
                                  label("name with spaces", "1\n2") + sample(1, kNow));
  EXPECT_EQ(walk(good).bytes, good);
}

TEST(Walker, TheRestOfARequestIsKeptBesideARefusedSeries) {
  const Walked w = walk(series(up()) + series(sample(1, kNow)) + series(up()));
  EXPECT_EQ(w.bytes, series(up()) + series(up()));
  EXPECT_EQ(w.refused.size(), 1u);
}

TEST(Walker, AStaleMarkerKeepsItsSignallingBits) {
  const std::string body = series(label("__name__", "up") + sample_bits(0x7ff0000000000002, kNow));
  const Walked w = walk(body, plan({{"a", "b", LabelAction::kOverride}}));
  EXPECT_THAT(w.bytes, HasSubstr(std::string("\x09\x02\0\0\0\0\0\xf0\x7f\x10", 10)));
}

TEST(Walker, CountsAndTimestampsAreThoseOfTheSeries) {
  const std::string histogram = bytes_field(4, varint_field(15, kNow + 7));
  const std::string exemplar = bytes_field(3, double_field(2, 1) + varint_field(3, 5));
  const std::string no_time = bytes_field(2, double_field(1, 1));
  const Walked w =
      walk(series(up(sample(0, kNow - 5) + histogram + exemplar + exemplar)) +
           series(label("__name__", "up") + exemplar) + series(label("__name__", "up") + no_time));
  ASSERT_EQ(w.kept.size(), 3u);
  EXPECT_EQ(w.kept[0].samples, 2u);
  EXPECT_EQ(w.kept[0].histograms, 1u);
  EXPECT_EQ(w.kept[0].exemplars, 2u);
  EXPECT_EQ(w.kept[0].min_timestamp, kNow - 5);
  EXPECT_EQ(w.kept[0].max_timestamp, kNow + 7);
  EXPECT_EQ(w.kept[1].samples, 0u);
  EXPECT_EQ(w.kept[1].min_timestamp, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(w.kept[1].max_timestamp, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(w.kept[2].min_timestamp, 0);
  EXPECT_EQ(w.kept[2].max_timestamp, 0);
}

TEST(Walker, HaLabelsAreSeenAfterRewriting) {
  const LabelPlan p = plan({{"cluster", "blue", LabelAction::kOverride}});
  const HaLabels ha{"cluster", "prometheus_replica"};
  const std::string body =
      series(up(label("cluster", "x") + label("prometheus_replica", "r0"))) + series(up());
  const Walked w = walk(body, p, ha);
  ASSERT_EQ(w.kept.size(), 2u);
  EXPECT_EQ(w.kept[0].ha_cluster, "blue");
  EXPECT_EQ(w.kept[0].ha_replica, "r0");
  EXPECT_EQ(w.kept[1].ha_cluster, "blue");
  EXPECT_EQ(w.kept[1].ha_replica, "") << "not that of the series before";
}

TEST(Walker, MetadataAndUnknownFieldsAreCopiedBitForBit) {
  const std::string metadata =
      bytes_field(3, varint_field(1, 1) + bytes_field(2, "up") + bytes_field(4, "\xff help"));
  const std::string unknown = varint_field(77, 5) + "\x9b\x06" + varint_field(1, 2) + "\x9c\x06";
  const Walked w = walk(metadata + series(up()) + unknown);
  EXPECT_EQ(w.others, 3);
  EXPECT_EQ(w.bytes, metadata + series(up()) + unknown);
}

TEST(Walker, FieldsBetweenLabelsStayInTheirOrderBehindThem) {
  const std::string strange = varint_field(9, 1);
  const Walked w = walk(series(sample(1, kNow) + label("job", "x") + strange +
                               label("__name__", "up") + sample(2, kNow)));
  EXPECT_EQ(w.bytes, series(label("__name__", "up") + label("job", "x") + sample(1, kNow) +
                            strange + sample(2, kNow)));
}

TEST(Walker, TheLastOfRepeatedFieldsInALabelCounts) {
  const std::string odd =
      bytes_field(1, bytes_field(2, "old") + bytes_field(1, "old") + varint_field(9, 1) +
                         bytes_field(1, "job") + bytes_field(2, "new"));
  const LabelPlan same = plan({{"job", "new", LabelAction::kReject}});
  EXPECT_EQ(walk(series(up(odd)), same).bytes, series(up(odd))) << "kept with all its bytes";
  const LabelPlan other = plan({{"job", "old", LabelAction::kReject}});
  EXPECT_EQ(walk(series(up(odd)), other).refused.size(), 1u);
}

TEST(Walker, AKnownFieldOfAnotherWireTypeIsAnUnknownField) {
  const std::string odd_name = varint_field(1, 7);
  const std::string odd_label = bytes_field(1, odd_name + bytes_field(2, "x"));
  EXPECT_EQ(walk(series(up(odd_label))).refused.size(), 1u) << "its name is empty";
  const std::string odd_sample = varint_field(2, 7);
  const Walked w = walk(series(up(odd_sample)));
  ASSERT_EQ(w.kept.size(), 1u);
  EXPECT_EQ(w.kept[0].samples, 1u);
  EXPECT_EQ(w.bytes, series(label("__name__", "up") + odd_sample + sample(1, kNow)));
  EXPECT_EQ(walk(varint_field(1, 7)).others, 1);
}

TEST(Walker, TheHashIsOfTheRewrittenLabelsAlone) {
  const LabelPlan p = plan({{"cluster", "blue", LabelAction::kOverride}});
  const auto hash = [&](const std::string& body) {
    Walker walker;
    walker.begin(body, p);
    EXPECT_EQ(walker.next(), Step::kSeries);
    return walker.labels_hash();
  };
  const uint64_t h = hash(series(up(label("job", "x"))));
  EXPECT_EQ(hash(series(label("job", "x") + label("cluster", "green") + label("__name__", "up") +
                        sample(5, 7) + sample(6, 8))),
            h);
  EXPECT_NE(hash(series(up(label("job", "y")))), h);
}

TEST(Walker, AMalformedBodyIsToldWithItsPlace) {
  const std::string good = series(up());
  const Walked w = walk(good + "\x0a\x7f");
  EXPECT_EQ(w.kept.size(), 1u) << "what came before was already given";
  EXPECT_EQ(w.error, "bad protobuf at byte " + std::to_string(good.size() + 1) +
                         ": a field reaches past the end of its message");
}

TEST(Walker, BadHistogramsAreRefusedWithTheContradiction) {
  const std::string bad = bytes_field(4, varint_field(1, 5) + varint_field(15, kNow));
  const Walked w = walk(series(up(bad)));
  ASSERT_EQ(w.refused.size(), 1u);
  EXPECT_EQ(w.refused[0].reason, RejectReason::kBadHistogram);
  EXPECT_EQ(w.refused[0].samples, 2u);
  EXPECT_EQ(w.refused[0].message, "bad native histogram: the count is not the sum of the buckets");
}

TEST(Walker, ARefusedSeriesIsShownReadablyAndShort) {
  std::string labels = label("b", "quote\" back\\ line\n \xff\x01");
  labels += label("odd name", std::string(2000, 'x')) + label("zz", "behind");
  const Walked w = walk(series(labels));
  ASSERT_EQ(w.refused.size(), 1u);
  EXPECT_THAT(
      w.refused[0].series,
      ::testing::StartsWith("{b=\"quote\\\" back\\\\ line\\n \\xff\\x01\", \"odd name\"=\"xxx"));
  EXPECT_THAT(w.refused[0].series, ::testing::EndsWith("x…\", …}"));
  EXPECT_LE(w.refused[0].series.size(), 512u);
  EXPECT_GT(w.refused[0].series.size(), 480u);
}

TEST(Walker, OneWalkerServesManyRequestsAndPlans) {
  Walker walker;
  Buffer out;
  for (int i = 0; i < 3; i++) {
    const std::string value = "v" + std::to_string(i);
    const LabelPlan p = plan({{"cluster", value, LabelAction::kOverride}});
    const std::string body = series(up());
    walker.begin(body, p);
    ASSERT_EQ(walker.next(), Step::kSeries);
    out.clear();
    walker.emit(out);
    EXPECT_EQ(out.view(), series(up(label("cluster", value))));
    EXPECT_EQ(walker.next(), Step::kEnd);
  }
}

}  // namespace
}  // namespace tollgate::wire
