#include "tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "support.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT
using testing::HasSubstr;

constexpr int64_t kT0 = 1'750'000'000'000;
const Pairs kSeries = {{"__name__", "up"}, {"job", "node"}};

TEST(Tally, ASeriesInOrderIsFine) {
  Tally tally{Rules()};
  for (int64_t k = 0; k < 100; k++) take(tally, kSeries, kT0 + k * 1000);
  const Counts c = tally.counts();
  EXPECT_EQ(c.samples, 100u);
  EXPECT_EQ(c.series, 1u);
  EXPECT_EQ(c.duplicates + c.reordered + c.wrong_labels + c.malformed + c.unsorted, 0u);
  const SinkState state = state_of(tally);
  EXPECT_EQ(state.series.at(0).received, 100u);
  EXPECT_EQ(state.series[0].step, 1000);
  EXPECT_TRUE(state.series[0].gaps.empty());
}

TEST(Tally, ARepeatIsADuplicate) {
  Tally tally{Rules()};
  for (const int64_t k : {0, 1, 2, 1, 2, 3}) take(tally, kSeries, kT0 + k * 1000);
  EXPECT_EQ(tally.counts().duplicates, 2u);
  EXPECT_EQ(tally.counts().reordered, 0u);
  EXPECT_EQ(state_of(tally).series[0].received, 4u);
}

TEST(Tally, AGapThatIsFilledLaterIsReordering) {
  Tally tally{Rules()};
  for (const int64_t k : {0, 1, 4, 2, 3, 5, 3}) take(tally, kSeries, kT0 + k * 1000);
  EXPECT_EQ(tally.counts().reordered, 2u);
  EXPECT_EQ(tally.counts().duplicates, 1u);
  EXPECT_TRUE(state_of(tally).series[0].gaps.empty());
  EXPECT_THAT(tally.examples().at(0), HasSubstr("arrived after"));
}

// The first two samples that arrive are not neighbours: what looked like the step was two of them.
TEST(Tally, ALateSampleOffTheGridFillsTheGapThatItReveals) {
  Tally tally{Rules()};
  for (const int64_t k : {0, 2, 1, 3}) take(tally, kSeries, kT0 + k * 1000);
  EXPECT_EQ(tally.counts().reordered, 1u);
  EXPECT_EQ(tally.counts().duplicates, 0u);
  const SinkState state = state_of(tally);
  EXPECT_EQ(state.series.at(0).received, 4u);
  EXPECT_EQ(state.series[0].step, 1000);
  EXPECT_TRUE(state.series[0].gaps.empty());
}

TEST(Tally, AGapThatStaysIsKept) {
  Tally tally{Rules()};
  for (const int64_t k : {0, 1, 2, 6, 7}) take(tally, kSeries, kT0 + k * 1000);
  const auto gaps = state_of(tally).series[0].gaps;
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].first, kT0 + 3000);
  EXPECT_EQ(gaps[0].last, kT0 + 5000);
}

TEST(Tally, AGapRightAfterTheFirstSampleIsFoundToo) {
  Tally tally{Rules()};
  for (const int64_t k : {0, 3, 4, 5}) take(tally, kSeries, kT0 + k * 1000);
  const SeriesState s = state_of(tally).series[0];
  EXPECT_EQ(s.step, 1000);
  ASSERT_EQ(s.gaps.size(), 1u);
  EXPECT_EQ(s.gaps[0].first, kT0 + 1000);
  EXPECT_EQ(s.gaps[0].last, kT0 + 2000);
}

TEST(Tally, ASampleBeforeTheFirstIsReordering) {
  Tally tally{Rules()};
  for (const int64_t k : {2, 3, 0}) take(tally, kSeries, kT0 + k * 1000);
  EXPECT_EQ(tally.counts().reordered, 1u);
  EXPECT_EQ(state_of(tally).series[0].gaps.size(), 1u);
}

// Any order of any samples of a regular series, against a set.
TEST(Tally, AgreesWithASetOnRegularSeries) {
  for (uint64_t seed = 1; seed <= 200; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Tally tally{Rules()};
    // The step is known after the first two; that they are neighbours is what load does.
    std::set<int64_t> seen = {0, 1};
    take(tally, kSeries, kT0);
    take(tally, kSeries, kT0 + 1000);
    uint64_t duplicates = 0;
    uint64_t reordered = 0;
    for (int i = 0; i < 60; i++) {
      const auto k = static_cast<int64_t>(random() % 40);
      take(tally, kSeries, kT0 + k * 1000);
      if (seen.contains(k)) {
        duplicates++;
      } else if (k < *seen.rbegin()) {
        reordered++;
      }
      seen.insert(k);
    }
    EXPECT_EQ(tally.counts().duplicates, duplicates);
    EXPECT_EQ(tally.counts().reordered, reordered);
    const SeriesState s = state_of(tally).series[0];
    EXPECT_EQ(s.received, seen.size());
    std::set<int64_t> missing;
    for (const Gap& g : s.gaps) {
      for (int64_t t = g.first; t <= g.last; t += 1000) missing.insert((t - kT0) / 1000);
    }
    for (int64_t k = 0; k <= *seen.rbegin(); k++) {
      EXPECT_NE(seen.contains(k), missing.contains(k)) << "sample " << k;
    }
  }
}

TEST(Tally, WrongLabelsAreCountedPerSample) {
  Rules rules;
  rules.require("cluster=blue");
  const std::vector<std::pair<Pairs, std::string>> cases = {
      {{{"__name__", "up"}, {"job", "node"}}, "cluster is missing"},
      {{{"__name__", "up"}, {"cluster", "green"}}, "cluster is \"green\""},
      {{{"cluster", "blue"}, {"__name__", "up"}}, "comes after"},
      {{{"__name__", "up"}, {"cluster", "blue"}, {"cluster", "blue"}}, "twice"},
      {{{"__name__", "up"}, {"cluster", "blue"}, {"job", ""}}, "is empty"},
      {{{"", "x"}, {"__name__", "up"}, {"cluster", "blue"}}, "without a name"},
      {{{"cluster", "blue"}, {"job", "node"}}, "no __name__"},
  };
  for (const auto& [labels, words] : cases) {
    Tally tally{rules};
    for (int64_t k = 0; k < 5; k++) take(tally, labels, kT0 + k * 1000);
    EXPECT_EQ(tally.counts().wrong_labels, 5u) << words;
    ASSERT_FALSE(tally.examples().empty()) << words;
    EXPECT_THAT(tally.examples()[0], HasSubstr(words));
  }
  Tally tally{rules};
  for (int64_t k = 0; k < 5; k++) {
    take(tally, {{"__name__", "up"}, {"cluster", "blue"}}, kT0 + k * 1000);
  }
  EXPECT_EQ(tally.counts().wrong_labels, 0u);
}

TEST(Tally, ARequirementMayDependOnAnotherLabel) {
  Rules rules;
  rules.require("cluster=blue@prometheus=monitoring/blue");
  rules.require("cluster=green@prometheus=monitoring/green");
  Tally tally{rules};
  take(tally, {{"__name__", "a"}, {"cluster", "blue"}, {"prometheus", "monitoring/blue"}}, kT0);
  take(tally, {{"__name__", "a"}, {"cluster", "green"}, {"prometheus", "monitoring/green"}}, kT0);
  EXPECT_EQ(tally.counts().wrong_labels, 0u);
  take(tally, {{"__name__", "b"}, {"cluster", "blue"}, {"prometheus", "monitoring/green"}}, kT0);
  EXPECT_EQ(tally.counts().wrong_labels, 1u);
  EXPECT_THROW(rules.require("cluster"), std::runtime_error);
  EXPECT_THROW(rules.require("cluster=blue@prometheus"), std::runtime_error);
}

TEST(Tally, UnsortedLabelsMayBeAllowedAndAreCounted) {
  Rules rules;
  rules.allow_unsorted = true;
  Tally tally{rules};
  take(tally, {{"job", "node"}, {"__name__", "up"}}, kT0);
  take(tally, {{"job", "node"}, {"__name__", "up"}}, kT0 + 1000);
  EXPECT_EQ(tally.counts().unsorted, 2u);
  EXPECT_EQ(tally.counts().wrong_labels, 0u);
  // The order of labels says nothing about who a series is.
  take(tally, {{"__name__", "up"}, {"job", "node"}}, kT0 + 2000);
  EXPECT_EQ(tally.counts().series, 1u);
  EXPECT_EQ(state_of(tally).series[0].received, 3u);
}

TEST(Tally, ASeriesMayNotChangeItsTenant) {
  Rules rules;
  rules.tenant_header = "THANOS-TENANT";
  Tally tally{rules};
  take(tally, kSeries, kT0, 1, "t0001");
  take(tally, kSeries, kT0 + 1000, 1, "t0001");
  EXPECT_EQ(tally.counts().wrong_labels, 0u);
  take(tally, kSeries, kT0 + 2000, 1, "t0002");
  EXPECT_EQ(tally.counts().wrong_labels, 1u);
}

TEST(Tally, ARequestMayNotMixReplicas) {
  Rules rules;
  rules.same = {"replica"};
  Tally tally{rules};
  prometheus::WriteRequest request;
  add_sample(request, {{"__name__", "a"}, {"replica", "0"}}, kT0);
  add_sample(request, {{"__name__", "b"}, {"replica", "0"}}, kT0);
  tally.take(request.SerializeAsString(), "", 1);
  EXPECT_EQ(tally.counts().mixed, 0u);
  add_sample(request, {{"__name__", "c"}, {"replica", "1"}}, kT0);
  for (auto& series : *request.mutable_timeseries()) {
    series.mutable_samples(0)->set_timestamp(kT0 + 1000);
  }
  tally.take(request.SerializeAsString(), "", 1);
  EXPECT_EQ(tally.counts().mixed, 1u);
}

TEST(Tally, ReadsWhatIsNotTheUsualSample) {
  Tally tally{Rules()};
  prometheus::WriteRequest request;
  add_sample(request, kSeries, kT0, 0);  // zero: the value is left out
  request.mutable_timeseries(0)->add_samples()->set_timestamp(kT0 + 1000);
  auto* histogram = request.add_timeseries();
  histogram->add_labels()->set_name("__name__");
  histogram->mutable_labels(0)->set_value("h");
  histogram->add_histograms()->set_timestamp(kT0);
  auto* exemplar = request.add_timeseries();
  exemplar->add_labels()->set_name("__name__");
  exemplar->mutable_labels(0)->set_value("h");
  exemplar->add_exemplars()->set_value(1);
  request.add_metadata()->set_help("x");
  ASSERT_TRUE(tally.take(request.SerializeAsString(), "", 1));
  const Counts c = tally.counts();
  EXPECT_EQ(c.samples, 3u);
  EXPECT_EQ(c.histograms, 1u);
  EXPECT_EQ(c.exemplars, 1u);
  EXPECT_EQ(c.metadata, 1u);
  EXPECT_EQ(c.series, 2u);
  take(tally, kSeries, kT0 + 2000, 0);
  take(tally, kSeries, kT0 + 3000, 5);
  EXPECT_EQ(state_of(tally).counts.samples, 5u);
  EXPECT_EQ(tally.counts().series, 2u);
}

TEST(Tally, WhatIsNotRemoteWriteIsMalformed) {
  Tally tally{Rules()};
  EXPECT_FALSE(tally.take("\x0a\x7f", "", 1));
  EXPECT_FALSE(tally.take("\x0a\x02\x0a\x7f", "", 1));
  EXPECT_EQ(tally.counts().malformed, 2u);
  EXPECT_EQ(tally.counts().requests, 0u);
}

TEST(Tally, ForgetsOnRequest) {
  Tally tally{Rules()};
  take(tally, kSeries, kT0);
  tally.forget();
  EXPECT_EQ(tally.counts().samples, 0u);
  EXPECT_TRUE(state_of(tally).series.empty());
  take(tally, kSeries, kT0);
  EXPECT_EQ(tally.counts().duplicates, 0u);
}

// The tenant of the last request before is known no more.
TEST(Tally, ForgetsItsTenantsToo) {
  Tally tally{Rules()};
  take(tally, kSeries, kT0, 1, "team-a");
  take(tally, kSeries, kT0 + 1000, 1, "team-a");
  tally.forget();
  take(tally, kSeries, kT0 + 2000, 1, "team-a");
  EXPECT_EQ(state_of(tally).series.size(), 1u);
  EXPECT_EQ(tally.counts().wrong_labels, 0u);
}

TEST(Tally, ItsStateSurvivesTheNetwork) {
  Rules rules;
  rules.require("job=node");
  Tally tally{rules};
  for (const int64_t k : {0, 1, 4, 5}) take(tally, kSeries, kT0 + k * 1000, 2.5);
  const SinkState after = state_of(tally);
  EXPECT_EQ(after.counts.samples, 4u);
  EXPECT_EQ(tally.name_of(after.series.at(0).identity), "{__name__=\"up\", job=\"node\"}");
  EXPECT_EQ(after.series[0].gaps.size(), 1u);
  EXPECT_TRUE(after.required_names.contains("job"));
  EXPECT_THROW(SinkState::decode("nonsense"), std::runtime_error);
}

}  // namespace
}  // namespace tollgate::bench
