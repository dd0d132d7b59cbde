#include "metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "promtool.h"

namespace tollgate::metrics {
namespace {

using testing::HasSubstr;

TEST(Registry, WritesTheTextFormat) {
  Registry registry;
  registry.gauge("tollgate_b", "Second.").set(-1.5);
  registry.counter("tollgate_c_total", "Third.", {{"source", "green"}}).add(7);
  registry.counter("tollgate_c_total", "Third.", {{"source", "blue"}, {"code", "204"}}).add();
  Histogram& h = registry.histogram("tollgate_d_seconds", "Fourth.", {{"x", "y"}}, {0.125, 2.5});
  h.observe(0.125);
  h.observe(0.5);
  h.observe(2);
  h.observe(64);
  registry.collect("tollgate_a_total", "First.", Type::kCounter, [](std::vector<Value>& out) {
    out.push_back({{{"zone", "z"}, {"area", "a"}}, 3});
    out.push_back({{}, 4});
  });
  EXPECT_EQ(registry.text(),
            "# HELP tollgate_a_total First.\n"
            "# TYPE tollgate_a_total counter\n"
            "tollgate_a_total{area=\"a\",zone=\"z\"} 3\n"
            "tollgate_a_total 4\n"
            "# HELP tollgate_b Second.\n"
            "# TYPE tollgate_b gauge\n"
            "tollgate_b -1.5\n"
            "# HELP tollgate_c_total Third.\n"
            "# TYPE tollgate_c_total counter\n"
            "tollgate_c_total{code=\"204\",source=\"blue\"} 1\n"
            "tollgate_c_total{source=\"green\"} 7\n"
            "# HELP tollgate_d_seconds Fourth.\n"
            "# TYPE tollgate_d_seconds histogram\n"
            "tollgate_d_seconds_count{x=\"y\"} 4\n"
            "tollgate_d_seconds_sum{x=\"y\"} 66.625\n"
            "tollgate_d_seconds_bucket{x=\"y\",le=\"0.125\"} 1\n"
            "tollgate_d_seconds_bucket{x=\"y\",le=\"2.5\"} 3\n"
            "tollgate_d_seconds_bucket{x=\"y\",le=\"+Inf\"} 4\n");
}

TEST(Registry, EscapesHelpAndLabelValues) {
  Registry registry;
  registry
      .gauge("tollgate_x", "back\\slash \"quote\"\nline", {{"v", "back\\slash \"quote\"\nline"}})
      .set(1);
  EXPECT_EQ(registry.text(),
            "# HELP tollgate_x back\\\\slash \"quote\"\\nline\n"
            "# TYPE tollgate_x gauge\n"
            "tollgate_x{v=\"back\\\\slash \\\"quote\\\"\\nline\"} 1\n");
  EXPECT_PROMTOOL_LIKES(registry.text());
}

TEST(Registry, OneBadByteInALabelDoesNotSpoilTheScrape) {
  Registry registry;
  registry.gauge("tollgate_x", "Help.", {{"source", "caf\xe9 caf\xc3\xa9"}}).set(1);
  EXPECT_THAT(registry.text(), HasSubstr("{source=\"caf\xef\xbf\xbd caf\xc3\xa9\"} 1\n"));
  EXPECT_PROMTOOL_LIKES(registry.text());
}

TEST(Registry, NumbersKeepTheirPrecision) {
  Registry registry;
  registry.counter("tollgate_a_total", "Help.").add((uint64_t{1} << 53) - 1);
  registry.gauge("tollgate_start_timestamp_seconds", "Help.").set(1700000000.123);
  registry.gauge("tollgate_much", "Help.").set(std::numeric_limits<double>::infinity());
  registry.gauge("tollgate_none", "Help.").set(std::numeric_limits<double>::quiet_NaN());
  const std::string text = registry.text();
  EXPECT_THAT(text, HasSubstr("\ntollgate_a_total 9007199254740991\n"));
  EXPECT_THAT(text, HasSubstr("\ntollgate_start_timestamp_seconds 1700000000.123\n"));
  EXPECT_THAT(text, HasSubstr("\ntollgate_much +Inf\n"));
  EXPECT_THAT(text, HasSubstr("\ntollgate_none Nan\n"));
  EXPECT_PROMTOOL_LIKES(text);
}

TEST(Registry, TheOrderOfLabelsDoesNotMatter) {
  Registry registry;
  Counter& one = registry.counter("tollgate_x_total", "Help.", {{"a", "1"}, {"b", "2"}});
  Counter& same = registry.counter("tollgate_x_total", "Help.", {{"b", "2"}, {"a", "1"}});
  Counter& other = registry.counter("tollgate_x_total", "Help.", {{"b", "1"}, {"a", "2"}});
  EXPECT_EQ(&one, &same);
  EXPECT_NE(&one, &other);
}

TEST(Registry, ReferencesSurviveNewMetrics) {
  Registry registry;
  Counter& first = registry.counter("tollgate_x_total", "Help.", {{"n", "first"}});
  for (int i = 0; i < 1000; i++) {
    registry.counter("tollgate_x_total", "Help.", {{"n", std::to_string(i)}}).add();
  }
  first.add(5);
  EXPECT_THAT(registry.text(), HasSubstr("tollgate_x_total{n=\"first\"} 5\n"));
}

TEST(Registry, PreparesOnceBeforeAnyFamilyIsFilled) {
  Registry registry;
  int prepared = 0;
  for (const char* name : {"tollgate_z", "tollgate_a"}) {
    registry.collect(name, "Help.", Type::kGauge, [&prepared](std::vector<Value>& out) {
      out.push_back({{}, static_cast<double>(prepared)});
    });
  }
  registry.on_scrape([&prepared] { prepared++; });
  for (int scrape = 1; scrape <= 3; scrape++) {
    const std::string text = registry.text();
    EXPECT_THAT(text, HasSubstr("\ntollgate_a " + std::to_string(scrape) + "\n"));
    EXPECT_THAT(text, HasSubstr("\ntollgate_z " + std::to_string(scrape) + "\n"));
  }
}

TEST(Registry, AFamilyWithoutValuesIsLeftOut) {
  Registry registry;
  registry.collect("tollgate_x", "Help.", Type::kGauge, [](std::vector<Value>&) {});
  EXPECT_EQ(registry.text(), "");
}

TEST(Registry, CollectorsMayUseTheRegistry) {
  Registry registry;
  registry.on_scrape([&] { registry.counter("tollgate_scrapes_total", "Help.").add(); });
  registry.collect("tollgate_x", "Help.", Type::kGauge, [&](std::vector<Value>& out) {
    out.push_back(
        {{}, static_cast<double>(registry.counter("tollgate_scrapes_total", "").value())});
  });
  EXPECT_THAT(registry.text(), HasSubstr("\ntollgate_x 1\n"));
  EXPECT_THAT(registry.text(), HasSubstr("\ntollgate_scrapes_total 2\n"));
}

TEST(RegistryDeathTest, AnotherTypeForANameIsOurBug) {
  Registry registry;
  registry.counter("tollgate_x_total", "Help.");
  registry.histogram("tollgate_h", "Help.", {}, {1, 2});
  registry.collect("tollgate_much", "Help.", Type::kGauge, [](std::vector<Value>&) {});
  EXPECT_DEATH(registry.gauge("tollgate_x_total", "Help."), "");
  EXPECT_DEATH(registry.histogram("tollgate_x_total", "Help."), "");
  EXPECT_DEATH(registry.collect("tollgate_x_total", "", Type::kCounter, [](auto&) {}), "");
  EXPECT_DEATH(registry.histogram("tollgate_h", "Help.", {}, {1, 3}), "");
  EXPECT_DEATH(registry.gauge("tollgate_much", "Help."), "");
  EXPECT_DEATH(registry.counter("tollgate-x", "Help."), "");
  EXPECT_DEATH(registry.counter("tollgate_y", "Help.", {{"a-b", "c"}}), "");
  EXPECT_DEATH(registry.counter("tollgate_y", "Help.", {{"a", "c"}, {"a", "d"}}), "");
}

TEST(Histogram, ABoundBelongsToItsBucket) {
  Histogram h({1, 2});
  for (const double v : {0.5, 1.0, 1.5, 2.0, 2.5}) h.observe(v);
  EXPECT_EQ(h.counts(), (std::vector<uint64_t>{2, 2, 1}));
  EXPECT_EQ(h.sum(), 7.5);
}

TEST(Histogram, DurationBoundsCoverWhatWeMeasure) {
  const std::vector<double> bounds = duration_bounds();
  EXPECT_EQ(bounds.front(), 100e-6);
  EXPECT_EQ(bounds.back(), 60);
  EXPECT_TRUE(std::is_sorted(bounds.begin(), bounds.end()));
}

TEST(Gauge, AddsAndSets) {
  Gauge g;
  g.set(2);
  g.add(-0.5);
  EXPECT_EQ(g.value(), 1.5);
}

}  // namespace
}  // namespace tollgate::metrics
