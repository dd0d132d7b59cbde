#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "page.h"
#include "plots.h"
#include "results.h"
#include "svg.h"
#include "table.h"

namespace tollgate::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr const char* kResults = R"({
 "schema": 1, "started": "2026-01-02 03:04 UTC", "mode": "short", "seconds": 512,
 "machine": {"cpu": "A <fast> one", "cores": 2},
 "settings": {"rate": "200000", "seconds": 3.5, "rounds": 5},
 "peers": [{"name": "tollgate", "title": "Tollgate", "version": "0.1.0",
            "command": "tollgate serve", "configuration": "a: <b>\n"}],
 "capacity": [{"sinks": 1, "samples_per_second": 1500000}],
 "scenarios": [
  {"name": "destinations", "title": "1, 2, 3 destinations", "cells": [
   {"name": "tollgate-1", "peer": "tollgate", "title": "Tollgate, 1 destination",
    "destinations": 1, "rounds": [{"round": 1}, {"round": 2}],
    "discarded": [{"round": 3, "why": "verdict failed: 3 lost"}],
    "summary": {"cpu_ns_per_sample": {"median": 321, "low": 300, "high": 350}},
    "timeline": {"seconds": [0.5, 1.0, 1.5], "rss_mib": [20.5, null, 21]}},
   {"name": "vmagent-1", "peer": "vmagent", "title": "vmagent, 1 destination",
    "destinations": 1, "rounds": [], "discarded": [], "summary": {}}]}],
 "ratios": [
  {"name": "cpu", "title": "CPU: vmagent / Tollgate", "unit": "x", "better": "higher", "must": 3.5,
   "aim": 5, "median": 4.25, "low": 4, "high": 4.5, "rounds": [4, 4.25, 4.5], "reached": "must",
   "note": ""},
  {"name": "drain", "title": "drain", "unit": "x", "better": "higher", "must": 4, "aim": null,
   "rounds": [], "reached": "not measured", "note": "only with --full"}],
 "skipped": ["nginx: not installed"], "failed": ["destinations / tollgate-1, round 3: 3 lost"]
})";

TEST(Results, KeepWhatTheFileSays) {
  const Results results = parse_results(kResults);
  EXPECT_EQ(results.mode, "short");
  EXPECT_THAT(results.machine,
              ElementsAre(std::pair("cpu", "A <fast> one"), std::pair("cores", "2")));
  EXPECT_THAT(results.settings, ElementsAre(std::pair("rate", "200000"),
                                            std::pair("seconds", "3.5"), std::pair("rounds", "5")));
  ASSERT_EQ(results.scenarios.size(), 1U);
  const Cell& cell = results.scenarios[0].cells[0];
  EXPECT_EQ(cell.rounds, 2);
  EXPECT_EQ(cell.figures.at("cpu_ns_per_sample").median, 321);
  EXPECT_THAT(cell.discarded, ElementsAre("round 3: verdict failed: 3 lost"));
  EXPECT_EQ(cell.timeline.columns.at("rss_mib")[1], std::nullopt);
  ASSERT_EQ(results.ratios.size(), 2U);
  EXPECT_EQ(results.ratios[0].aim, 5);
  EXPECT_EQ(results.ratios[0].rounds, 3);
  EXPECT_FALSE(results.ratios[1].value);
  EXPECT_FALSE(results.ratios[1].aim);
}

std::string complaint(std::string_view text) {
  try {
    parse_results(text);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "none";
}

TEST(Results, SayWhatIsWrongWithAFile) {
  EXPECT_THAT(complaint("{"), HasSubstr("not JSON"));
  EXPECT_THAT(complaint("[]"), HasSubstr("not an object"));
  EXPECT_THAT(complaint("{}"), HasSubstr("schema"));
  EXPECT_THAT(complaint(R"({"schema": 2})"), HasSubstr("schema 2 is not 1"));
  EXPECT_THAT(complaint(R"({"schema": 1, "scenarios": [{"title": "x"}]})"),
              HasSubstr("no \"name\""));
  EXPECT_THAT(complaint(R"({"schema": 1, "scenarios": 7})"), HasSubstr("is not a list"));
  EXPECT_THAT(complaint(R"({"schema": 1, "seconds": "x"})"), HasSubstr("is not a number"));
}

TEST(Report, RatiosTableHasEachTargetAndWhatWasReached) {
  const Table table = ratios_table(parse_results(kResults));
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_THAT(table.rows[0], ElementsAre("CPU: vmagent / Tollgate", "4.25 x", "4.00..4.50", "3",
                                         ">= 3.5 x", ">= 5 x", "must"));
  EXPECT_THAT(table.rows[1], ElementsAre("drain", "-", "-", "-", ">= 4 x", "-", "not measured"));
}

TEST(Report, ScenarioTableShowsMedianSpreadAndFailedRounds) {
  const Table table = scenario_table(parse_results(kResults).scenarios[0], Detail::kAll);
  EXPECT_THAT(table.header, ElementsAre("", "rounds", "CPU ns/sample"));
  EXPECT_THAT(table.rows[0],
              ElementsAre("Tollgate, 1 destination", "2, 1 failed", "321 (300..350)"));
  EXPECT_THAT(table.rows[1], ElementsAre("vmagent, 1 destination", "0", "-"));
}

TEST(Report, SaysWhatFailedAndWhatWasSkipped) {
  const std::string text = text_report(parse_results(kResults));
  EXPECT_THAT(text, HasSubstr("FAILED: destinations / tollgate-1, round 3: 3 lost"));
  EXPECT_THAT(text, HasSubstr("Skipped: nginx: not installed"));
  EXPECT_THAT(text, HasSubstr("drain: only with --full"));
}

TEST(Report, SaysWhereTollgateLoses) {
  Results results = parse_results(kResults);
  EXPECT_THAT(where_it_loses(results), IsEmpty());
  results.ratios[0].reached = "missed";
  Cell& own = results.scenarios[0].cells[0];
  Cell& peer = results.scenarios[0].cells[1];
  own.figures["peak_rss_mib"] = peer.figures["cpu_ns_per_sample"] = {100, 100, 100};
  own.figures["p99_ms"] = {1.02, 1, 1};
  peer.figures["p99_ms"] = {1, 1, 1};  // within 5 %
  EXPECT_THAT(where_it_loses(results),
              ElementsAre("target missed: CPU: vmagent / Tollgate: 4.25 x instead of >= 3.5 x",
                          "destinations: CPU ns/sample: Tollgate, 1 destination 321, vmagent, 1 "
                          "destination 100"));
  peer.name = "vmagent-3";  // another load
  EXPECT_THAT(where_it_loses(results), SizeIs(1));
}

TEST(Report, PageStandsAloneAndEscapesWhatItShows) {
  const std::string page = html_report(parse_results(kResults));
  EXPECT_THAT(page, HasSubstr("<svg "));
  EXPECT_THAT(page, HasSubstr("A &lt;fast&gt; one"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  EXPECT_THAT(page, Not(HasSubstr("<link")));
  EXPECT_THAT(page, Not(HasSubstr("<fast>")));
}

TEST(Report, MarkdownRefersToThePlotsThatExist) {
  const Results results = parse_results(kResults);
  const std::string page = markdown_report(results, "benchmarks");
  const auto plots = plots_of(results);
  ASSERT_EQ(plots.size(), 2U);  // CPU by destinations, memory in a round
  for (const auto& plot : plots) {
    EXPECT_THAT(page, HasSubstr("](benchmarks/" + plot.name + ".svg)"));
  }
  EXPECT_THAT(page, HasSubstr("| Tollgate, 1 destination | 2, 1 failed | 321 (300..350) |"));
}

TEST(Table, AlignsTextByCharactersAndEscapesMarkdown) {
  const Table table{{"", "n"}, {{"über", "1"}, {"a|b", "1,000"}}};
  EXPECT_EQ(to_text(table), "          n\nüber      1\na|b   1,000\n");
  EXPECT_THAT(to_markdown(table), HasSubstr("| a\\|b | 1,000 |"));
  EXPECT_THAT(to_html({{"<&>\""}, {}}), HasSubstr("&lt;&amp;&gt;&quot;"));
}

TEST(Table, NumbersHaveThousandsAndDecimals) {
  EXPECT_EQ(format_number(0, 0), "0");
  EXPECT_EQ(format_number(999, 0), "999");
  EXPECT_EQ(format_number(1234567.8, 0), "1,234,568");
  EXPECT_EQ(format_number(-1000, 2), "-1,000.00");
  EXPECT_EQ(format_number(0.125, 2), "0.12");
}

TEST(Svg, AxisMarksCoverTheRangeInRoundSteps) {
  EXPECT_THAT(axis_marks(0, 100, 5), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_THAT(axis_marks(0, 7, 5), ElementsAre(0, 2, 4, 6, 8));
  for (const double high : {1e-6, 0.3, 1.0, 999.0, 1e9, 3.7e12}) {
    const auto marks = axis_marks(0, high, 5);
    EXPECT_GE(marks.back(), high * (1 - 1e-9)) << high;
    EXPECT_LE(marks.size(), 8U) << high;
  }
  EXPECT_GE(axis_marks(5, 5, 5).size(), 2U);  // a single value is no range
}

TEST(Svg, GapsAndNothingAtAllAreDrawnAsSuch) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::string gap = to_svg(LinePlot{"t", "x", "y", {{"l", {0, 1, 2, 3}, {1, 1, nan, 1}}}});
  EXPECT_THAT(gap, Not(HasSubstr("nan")));
  const auto path = gap.substr(gap.find("d=\"M"));
  EXPECT_EQ(std::count(path.begin(), path.begin() + static_cast<long>(path.find("\"/>")), 'M'), 2);
  EXPECT_THAT(to_svg(LinePlot{"t", "x", "y", {}}), HasSubstr("nothing measured"));
  EXPECT_THAT(to_svg(BarPlot{"t", "y", {"g"}, {{"b", {nan}, {}, {}}}}),
              HasSubstr("nothing measured"));
  EXPECT_THAT(to_svg(BarPlot{"t", "y", {"g"}, {{"b", {0}, {0}, {0}}}}), Not(HasSubstr("nan")));
}

TEST(Svg, LogarithmicAxisLeavesOutWhatHasNoLogarithm) {
  const std::string svg =
      to_svg(LinePlot{"t", "x", "y", {{"l", {1, 2, 3}, {0.5, 20, 300}, true}}, true});
  EXPECT_THAT(svg, HasSubstr(">0.1<"));
  EXPECT_THAT(svg, HasSubstr(">1k<"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

}  // namespace
}  // namespace tollgate::bench
