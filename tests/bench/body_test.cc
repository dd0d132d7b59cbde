#include "body.h"

#include <gtest/gtest.h>

#include "series_model.h"
#include "support.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT

constexpr int64_t kT0 = 1'750'000'000'000;

std::string unpacked(std::string_view packed) {
  std::string raw;
  EXPECT_TRUE(snappy::Uncompress(packed.data(), packed.size(), &raw));
  return raw;
}

Body model_body(size_t series, std::vector<int64_t> t0, int64_t step, size_t variants) {
  ModelOptions options;
  options.series = series;
  options.variants = variants;
  options.histograms = 0.1;
  options.exemplars = 0.1;
  auto entries = make_series(options);
  for (size_t i = 0; i < entries.size(); i++) {
    entries[i].group = static_cast<uint32_t>(i * t0.size() / entries.size());
  }
  return Body(std::move(entries), std::move(t0), step, variants);
}

TEST(Body, EveryPassHasItsTimestampsAndValues) {
  Body body({sample_entry({{"__name__", "a"}}, {1.5, 0}, 0),
             sample_entry({{"__name__", "b"}}, {7, 8}, 1)},
            {kT0, kT0 + 111}, 1000, 2);
  for (const uint64_t pass : {0, 1, 2, 5, 4, 1'000'000}) {
    const auto request = decode(body.packed(pass));
    ASSERT_EQ(request.timeseries_size(), 2);
    const auto& a = request.timeseries(0).samples(0);
    const auto& b = request.timeseries(1).samples(0);
    EXPECT_EQ(a.timestamp(), kT0 + static_cast<int64_t>(pass) * 1000);
    EXPECT_EQ(b.timestamp(), kT0 + 111 + static_cast<int64_t>(pass) * 1000);
    EXPECT_EQ(a.value(), pass % 2 == 0 ? 1.5 : 0);
    EXPECT_EQ(b.value(), pass % 2 == 0 ? 7 : 8);
  }
}

// The claim that makes load cheap: patching compressed bytes gives the bytes of the right request.
TEST(Body, PatchedBytesDecodeToTheRequestOfThePass) {
  Body body = model_body(500, {kT0, kT0 + 1234, kT0 + 9876}, 15'000, 3);
  body.prepare();
  uint64_t passes = 0;
  for (uint64_t pass = 0; pass < 3000; pass += 1 + pass / 7, passes++) {
    ASSERT_TRUE(unpacked(body.packed(pass)) == body.raw(pass)) << "pass " << pass;
  }
  // And it is patching that does it, nearly always.
  EXPECT_LT(body.remakes(), passes / 2);
}

TEST(Body, PatchesSurviveEveryCarry) {
  // Timestamps just below where 1, 2 and 3 varint bytes of two clocks change at different passes.
  const int64_t edge = kT0 / (1 << 21) * (1 << 21);
  Body body = model_body(60, {edge - 3, edge - 1}, 1, 2);
  for (uint64_t pass = 0; pass < 300; pass++) {
    ASSERT_TRUE(unpacked(body.packed(pass)) == body.raw(pass)) << "pass " << pass;
  }
}

TEST(Body, IsWhatProtobufMakesOfIt) {
  Body body = model_body(200, {kT0}, 1000, 2);
  const std::string raw = body.raw(3);
  prometheus::WriteRequest request;
  ASSERT_TRUE(request.ParseFromString(raw));
  EXPECT_TRUE(request.SerializeAsString() == raw);  // too long to print
  EXPECT_EQ(static_cast<size_t>(request.timeseries_size()), body.samples() + body.exemplars());
}

TEST(Body, ARenamedSeriesStartsAnew) {
  Body body({sample_entry({{"__name__", "a"}, {"pod", "x-1"}}, {1}),
             sample_entry({{"__name__", "b"}}, {2})},
            {kT0}, 1000, 1);
  body.packed(0);
  body.rename(0, fields({{"__name__", "a"}, {"pod", "x-2"}}), 4);
  EXPECT_EQ(decode(body.packed(4)).timeseries(0).labels(1).value(), "x-2");
  Expectation expectation;
  body.expect(10, {}, "", expectation);
  ASSERT_EQ(expectation.series.size(), 3u);
  EXPECT_EQ(expectation.series[0].count, 6u);
  EXPECT_EQ(expectation.series[0].t0, kT0 + 4000);
  EXPECT_EQ(expectation.series[1].count, 10u);
  EXPECT_EQ(expectation.series[2].count, 4u);
  EXPECT_EQ(expectation.series[2].t0, kT0);
  EXPECT_EQ(expectation.acknowledged, 20u);
}

TEST(Body, RefusesTimestampsThatAreNotOfOurDays) {
  EXPECT_THROW(Body({sample_entry({{"__name__", "a"}}, {1})}, {12}, 1, 1), std::runtime_error);
}

TEST(Expectation, SurvivesItsFile) {
  Body body = model_body(50, {kT0}, 1000, 2);
  Expectation before;
  body.expect(7, {{2, true}, {3, false}}, "t0001", before);
  before.unknown = 4;
  const Expectation after = Expectation::decode(before.encode());
  EXPECT_EQ(after.encode(), before.encode());
  EXPECT_EQ(after.series.size(), before.series.size());
  EXPECT_EQ(after.acknowledged, 5 * body.samples());
  EXPECT_THROW(Expectation::decode(before.encode().substr(0, 100)), std::runtime_error);
  EXPECT_THROW(Expectation::decode("something else"), std::runtime_error);
}

}  // namespace
}  // namespace tollgate::bench
