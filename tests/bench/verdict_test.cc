#include "verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>

#include "support.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT
using testing::Contains;
using testing::HasSubstr;

constexpr int64_t kT0 = 1'750'000'000'000;
constexpr uint64_t kPasses = 10;

Rules rules_of_the_sink() {
  Rules rules;
  rules.require("cluster=blue");
  return rules;
}

// A body of two series, ten passes of it, and a sink to which a gateway that adds `cluster` has
// delivered them as the test wants.
class VerdictTest : public testing::Test {
 protected:
  VerdictTest() : tally_(rules_of_the_sink()) {}

  Body body_{{sample_entry({{"__name__", "a"}, {"job", "x"}}, {1, 2, 3}),
              sample_entry({{"__name__", "b"}, {"job", "x"}}, {4, 4, 4})},
             {kT0},
             1000,
             3};

  void deliver(uint64_t pass, const std::function<void(prometheus::WriteRequest&)>& spoil = {}) {
    prometheus::WriteRequest request = decode(body_.packed(pass));
    for (auto& series : *request.mutable_timeseries()) {
      auto* cluster = series.add_labels();
      cluster->set_name("cluster");
      cluster->set_value("blue");
      std::swap(*series.mutable_labels(1), *series.mutable_labels(2));  // before `job`
    }
    if (spoil) spoil(request);
    tally_.take(request.SerializeAsString(), "", 100);
  }
  SinkVerdict verdict(const std::vector<ExceptionalPass>& exceptions = {}) {
    Expectation expectation;
    body_.expect(kPasses, exceptions, "", expectation);
    return judge({expectation}, state_of(tally_), "sink",
                 [this](uint64_t who) { return tally_.name_of(who); });
  }

  Tally tally_;
};

TEST_F(VerdictTest, EverythingOnceAndInOrderIsOk) {
  for (uint64_t p = 0; p < kPasses; p++) deliver(p);
  const SinkVerdict v = verdict();
  EXPECT_TRUE(v.ok(false)) << v.examples.at(0);
  EXPECT_EQ(v.received, 20u);
}

TEST_F(VerdictTest, SeesALossInTheMiddle) {
  for (uint64_t p = 0; p < kPasses; p++) {
    if (p != 5) deliver(p);
  }
  const SinkVerdict v = verdict();
  EXPECT_FALSE(v.ok(true));
  EXPECT_EQ(v.lost, 2u);
  EXPECT_THAT(v.examples, Contains(HasSubstr("lost 1 of 10 samples, the first is number 5")));
}

TEST_F(VerdictTest, SeesALossAtEitherEnd) {
  for (uint64_t p = 2; p < kPasses - 1; p++) deliver(p);
  EXPECT_EQ(verdict().lost, 6u);
}

TEST_F(VerdictTest, SeesThatEverySecondSampleIsLost) {
  for (uint64_t p = 0; p < kPasses; p += 2) deliver(p);
  EXPECT_EQ(verdict().lost, 10u);
}

TEST_F(VerdictTest, SeesThatNothingArrived) {
  EXPECT_EQ(verdict().lost, 20u);
  EXPECT_FALSE(verdict().ok(true));
}

TEST_F(VerdictTest, SeesThatOneSeriesIsLost) {
  for (uint64_t p = 0; p < kPasses; p++) {
    deliver(p, [](auto& request) { request.mutable_timeseries()->RemoveLast(); });
  }
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.lost, 10u);
  EXPECT_THAT(v.examples, Contains(HasSubstr("\"b\"")));
}

TEST_F(VerdictTest, DuplicatesAreAllowedOnlyWhereSaid) {
  for (const uint64_t p : {0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9}) deliver(p);
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.duplicates, 4u);
  EXPECT_FALSE(v.ok(false));
  EXPECT_TRUE(v.ok(true));
}

TEST_F(VerdictTest, ReorderingIsNeverAllowed) {
  for (const uint64_t p : {0, 1, 3, 2, 4, 5, 6, 7, 8, 9}) deliver(p);
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.reordered, 2u);
  EXPECT_EQ(v.lost, 0u);
  EXPECT_FALSE(v.ok(true));
}

TEST_F(VerdictTest, ReorderingOfTheVeryFirstIsSeen) {
  for (const uint64_t p : {1, 0, 2, 3, 4, 5, 6, 7, 8, 9}) deliver(p);
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.reordered, 2u);
  EXPECT_EQ(v.lost, 0u);
}

TEST_F(VerdictTest, WrongLabelsAreSeen) {
  for (uint64_t p = 0; p < kPasses; p++) {
    deliver(p, [](auto& request) {
      request.mutable_timeseries(0)->mutable_labels(1)->set_value("green");
    });
  }
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.wrong_labels, 10u);
  EXPECT_EQ(v.lost, 0u);  // it is still known who they are
  EXPECT_FALSE(v.ok(true));
}

TEST_F(VerdictTest, AChangedLabelIsALossAndAnInvention) {
  for (uint64_t p = 0; p < kPasses; p++) {
    deliver(
        p, [](auto& request) { request.mutable_timeseries(0)->mutable_labels(2)->set_value("y"); });
  }
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.lost, 10u);
  EXPECT_EQ(v.unexpected, 10u);
  EXPECT_THAT(v.examples, Contains(HasSubstr("job=\"y\"} was never offered")));
}

TEST_F(VerdictTest, InventedSamplesAreSeen) {
  for (uint64_t p = 0; p < kPasses + 3; p++) deliver(p);
  EXPECT_EQ(verdict().unexpected, 6u);
  EXPECT_FALSE(verdict().ok(true));
}

TEST_F(VerdictTest, AChangedTimestampIsSeen) {
  for (uint64_t p = 0; p < kPasses; p++) {
    deliver(p, [p](auto& request) {
      auto* sample = request.mutable_timeseries(0)->mutable_samples(0);
      if (p == 4) sample->set_timestamp(sample->timestamp() + 1);
    });
  }
  const SinkVerdict v = verdict();
  EXPECT_FALSE(v.ok(true));
  EXPECT_GE(v.lost + v.unexpected, 1u);
}

TEST_F(VerdictTest, AChangedValueIsSeen) {
  for (uint64_t p = 0; p < kPasses; p++) {
    deliver(p, [p](auto& request) {
      if (p == 4) request.mutable_timeseries(1)->mutable_samples(0)->set_value(4.0000001);
    });
  }
  const SinkVerdict v = verdict();
  EXPECT_EQ(v.wrong_values, 1u);
  EXPECT_FALSE(v.ok(true));
}

TEST_F(VerdictTest, WhatWasNotAcknowledgedMayBeThereOrNot) {
  for (uint64_t p = 0; p < kPasses; p++) {
    if (p != 5) deliver(p);
  }
  EXPECT_TRUE(verdict({{5, true}}).ok(false));
  // Pass 7 arrived though its outcome is not known.
  EXPECT_TRUE(verdict({{5, true}, {7, true}}).ok(false));
}

TEST_F(VerdictTest, EverySinkHasToHaveEverything) {
  for (uint64_t p = 0; p < kPasses; p++) deliver(p);
  Expectation expectation;
  body_.expect(kPasses, {}, "", expectation);
  Tally empty{rules_of_the_sink()};
  const Verdict both = judge_all({expectation},
                                 {judge({expectation}, state_of(tally_), "one", no_name),
                                  judge({expectation}, state_of(empty), "two", no_name)},
                                 false);
  EXPECT_FALSE(both.ok);
  EXPECT_EQ(both.acknowledged, 20u);
  const auto json = boost::json::parse(both.json());
  EXPECT_FALSE(json.at("ok").as_bool());
  EXPECT_EQ(json.at("sinks").at(0).at("lost").to_number<int>(), 0);
  EXPECT_EQ(json.at("sinks").at(1).at("lost").to_number<int>(), 20);
  EXPECT_EQ(json.at("sinks").at(1).at("address").as_string(), "two");
}

TEST_F(VerdictTest, ATenantIsPartOfTheBargain) {
  Rules rules = rules_of_the_sink();
  rules.tenant_header = "THANOS-TENANT";
  for (const char* tenant : {"t0001", "t0002"}) {
    Tally tally{rules};
    for (uint64_t p = 0; p < 3; p++) {
      take(tally, {{"__name__", "a"}, {"cluster", "blue"}}, kT0 + static_cast<int64_t>(p) * 1000, 1,
           tenant);
    }
    Body body({sample_entry({{"__name__", "a"}}, {1})}, {kT0}, 1000, 1);
    Expectation expectation;
    body.expect(3, {}, "t0001", expectation);
    const SinkVerdict v = judge({expectation}, state_of(tally), "sink", no_name);
    EXPECT_EQ(v.wrong_labels, std::string_view(tenant) == "t0001" ? 0u : 3u);
  }
}

// A recorded series that stands in several bodies is one series at the sink.
TEST(Verdict, OneSeriesMayComeFromSeveralBodies) {
  const Pairs labels = {{"__name__", "a"}};
  Body first({sample_entry(labels, {1})}, {kT0}, 2000, 1);
  Body second({sample_entry(labels, {2})}, {kT0 + 1000}, 2000, 1);
  Tally tally{Rules()};
  for (int64_t k = 0; k < 8; k++) take(tally, labels, kT0 + k * 1000, k % 2 == 0 ? 1 : 2);
  Expectation expectation;
  first.expect(4, {}, "", expectation);
  second.expect(4, {}, "", expectation);
  const SinkVerdict v = judge({expectation}, state_of(tally), "sink", no_name);
  EXPECT_TRUE(v.ok(false));
  EXPECT_EQ(v.received, 8u);
}

}  // namespace
}  // namespace tollgate::bench
