#include "series_model.h"

#include <gtest/gtest.h>

#include <set>

#include "support.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT

std::vector<Entry> series_of(Profile profile, size_t n = 4000) {
  ModelOptions options;
  options.profile = profile;
  options.series = n;
  return make_series(options);
}

class EachProfile : public testing::TestWithParam<Profile> {};
INSTANTIATE_TEST_SUITE_P(Profiles, EachProfile,
                         testing::Values(Profile::kNode, Profile::kKubernetes, Profile::kMixed));

TEST_P(EachProfile, LabelsAreSortedUniqueAndNotEmpty) {
  for (const Entry& e : series_of(GetParam())) {
    LabelViews labels;
    ASSERT_TRUE(read_labels(e.labels, labels));
    bool has_name = false;
    for (size_t i = 0; i < labels.size(); i++) {
      ASSERT_FALSE(labels[i].first.empty());
      ASSERT_FALSE(labels[i].second.empty()) << render(labels);
      if (i > 0) {
        ASSERT_LT(labels[i - 1].first, labels[i].first) << render(labels);
      }
      has_name = has_name || labels[i].first == "__name__";
    }
    ASSERT_TRUE(has_name);
  }
}

TEST_P(EachProfile, NoSeriesOccursTwice) {
  std::set<std::string> seen;
  const auto series = series_of(GetParam(), 20'000);
  for (const Entry& e : series) {
    ASSERT_TRUE(seen.insert(e.labels).second) << render_fields(e.labels, 1000);
  }
  EXPECT_EQ(series.size(), 20'000u);
}

TEST_P(EachProfile, TheSameSeedMeansTheSameSeries) {
  const auto a = series_of(GetParam(), 1000);
  const auto b = series_of(GetParam(), 1000);
  for (size_t i = 0; i < a.size(); i++) {
    ASSERT_EQ(a[i].labels, b[i].labels);
    ASSERT_EQ(a[i].values, b[i].values);
  }
}

// About as in recorded bodies: most samples of a scrape have not changed, and those that have make
// the bytes that cost.
TEST_P(EachProfile, SomeValuesMoveAndMostStay) {
  size_t moving = 0;
  const auto series = series_of(GetParam());
  for (const Entry& e : series) moving += e.values.front() != e.values.back();
  EXPECT_GT(moving, series.size() / 8);
  EXPECT_LT(moving, series.size() / 2);
}

TEST(SeriesModel, KubernetesHasItsManyLabels) {
  size_t labels_of_all = 0;
  LabelViews labels;
  const auto series = series_of(Profile::kKubernetes);
  for (const Entry& e : series) {
    ASSERT_TRUE(read_labels(e.labels, labels));
    labels_of_all += labels.size();
  }
  const double mean = static_cast<double>(labels_of_all) / static_cast<double>(series.size());
  EXPECT_GE(mean, 10);
  EXPECT_LE(mean, 14);
}

TEST(SeriesModel, ReplicasDifferInTheirReplicaLabelOnly) {
  ModelOptions options;
  options.series = 500;
  const auto first = make_series(options);
  options.replica = 1;
  const auto second = make_series(options);
  ASSERT_EQ(first.size(), second.size());
  for (size_t i = 0; i < first.size(); i++) {
    ASSERT_NE(first[i].labels, second[i].labels);
    LabelViews a;
    LabelViews b;
    read_labels(first[i].labels, a);
    read_labels(second[i].labels, b);
    ASSERT_EQ(identity(a, {"prometheus_replica"}), identity(b, {"prometheus_replica"}));
  }
}

TEST(SeriesModel, HistogramsAndExemplarsComeAsAsked) {
  ModelOptions options;
  options.series = 2000;
  options.histograms = 0.2;
  options.exemplars = 0.1;
  const auto entries = make_series(options);
  size_t histograms = 0;
  size_t exemplars = 0;
  for (const Entry& e : entries) {
    histograms += e.kind == Entry::Kind::kHistogram;
    exemplars += e.kind == Entry::Kind::kExemplar;
  }
  EXPECT_EQ(entries.size() - exemplars, 2000u);
  EXPECT_NEAR(static_cast<double>(histograms), 400, 100);
  EXPECT_NEAR(static_cast<double>(exemplars), 200, 70);
}

// A native histogram whose count is not the sum of its buckets is refused by Prometheus.
TEST(SeriesModel, NativeHistogramsAddUp) {
  ModelOptions options;
  options.series = 500;
  options.histograms = 1;
  for (const Entry& e : make_series(options)) {
    ASSERT_EQ(e.kind, Entry::Kind::kHistogram);
    for (const std::string& payload : e.payloads) {
      prometheus::Histogram h;
      ASSERT_TRUE(h.ParseFromString(payload));
      int64_t total = static_cast<int64_t>(h.zero_count_int());
      int64_t bucket = 0;
      for (const int64_t delta : h.positive_deltas()) {
        bucket += delta;
        ASSERT_GE(bucket, 0);
        total += bucket;
      }
      ASSERT_EQ(h.count_int(), static_cast<uint64_t>(total));
      ASSERT_EQ(h.positive_spans(0).length(), static_cast<uint32_t>(h.positive_deltas_size()));
    }
  }
}

TEST(SeriesModel, ARenamedSeriesIsAnotherPod) {
  const std::string before =
      fields({{"__name__", "up"}, {"namespace", "shop"}, {"pod", "checkout-7d9f-x2x4z"}});
  const std::string after = rename_series(before, 12345);
  LabelViews labels;
  ASSERT_TRUE(read_labels(after, labels));
  ASSERT_EQ(labels.size(), 3u);
  EXPECT_TRUE(labels[2].second.starts_with("checkout-7d9f-"));
  EXPECT_NE(after, before);
  EXPECT_NE(rename_series(before, 12346), after);
}

TEST(SeriesModel, AProfileHasToBeKnown) {
  EXPECT_THROW(parse_profile("nodes"), std::runtime_error);
}

}  // namespace
}  // namespace tollgate::bench
