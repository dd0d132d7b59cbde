#include "load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "http.h"
#include "record.h"
#include "sink.h"
#include "stream.h"
#include "support.h"
#include "verdict.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT
using std::chrono::milliseconds;
using testing::HasSubstr;

LoadOptions small_load(const Sink& sink) {
  LoadOptions o;
  o.to = {"127.0.0.1:" + std::to_string(sink.port())};
  o.senders = 4;
  o.series = 60;
  o.samples_per_request = 20;
  o.clusters = 2;
  o.rate = 20'000;
  o.seconds = 0.5;
  o.drain = std::chrono::minutes(2);  // a busy machine is no failure
  return o;
}

SinkVerdict judge_run(const Load& load, const Sink& sink) {
  return judge({load.expectation()}, state_of(sink.tally()), "sink", no_name);
}

TEST(Load, EverythingOfferedArrives) {
  Sink sink{SinkOptions()};
  Load load(small_load(sink));
  const LoadReport report = load.run();
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.samples.offered, report.requests.acknowledged * 20);
  EXPECT_NEAR(static_cast<double>(report.samples.offered), 10'000, 200);
  EXPECT_EQ(report.latencies.size(), report.requests.acknowledged);
  const SinkVerdict v = judge_run(load, sink);
  EXPECT_TRUE(v.ok(false)) << (v.examples.empty() ? "" : v.examples[0]);
  EXPECT_EQ(v.received, report.samples.acknowledged);
}

TEST(Load, ChurnHistogramsExemplarsAndTenantsAreVerifiedToo) {
  SinkOptions options;
  options.rules.tenant_header = "X-Scope-OrgID";
  Sink sink{options};
  LoadOptions o = small_load(sink);
  o.churn = 60;
  o.histograms = 0.2;
  o.exemplars = 0.2;
  o.tenants = 5;
  o.tenant_header = "X-Scope-OrgID";
  o.threads = 2;
  Load load(o);
  const LoadReport report = load.run();
  const SinkVerdict v = judge_run(load, sink);
  EXPECT_TRUE(v.ok(false)) << (v.examples.empty() ? "" : v.examples[0]);
  EXPECT_GT(sink.counts().histograms, 0u);
  EXPECT_GT(sink.counts().exemplars, 0u);
  EXPECT_EQ(sink.counts().exemplars, report.exemplars);
  EXPECT_GT(sink.counts().series, 4 * 60u);  // the churn
}

TEST(Load, RetriesTheSameBodyUntilItIsTaken) {
  SinkOptions options;
  options.faults.status_mix = {{503, 0.2}, {429, 0.1}};
  options.faults.reset = 0.05;
  Sink sink{options};
  LoadOptions o = small_load(sink);
  o.rate = 4000;
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_TRUE(report.complete());
  EXPECT_GT(report.requests.retried, 0u);
  const SinkVerdict v = judge_run(load, sink);
  EXPECT_TRUE(v.ok(false)) << (v.examples.empty() ? "" : v.examples[0]);
}

TEST(Load, ALostAnswerMakesADuplicateAndIsReported) {
  SinkOptions options;
  options.faults.lose_answer = 0.2;
  Sink sink{options};
  LoadOptions o = small_load(sink);
  o.rate = 4000;
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_TRUE(report.complete());
  EXPECT_GT(report.requests.unknown, 0u);
  const SinkVerdict v = judge_run(load, sink);
  EXPECT_GT(v.duplicates, 0u);
  EXPECT_FALSE(v.ok(false));
  EXPECT_TRUE(v.ok(true));
}

TEST(Load, DropsWhatIsRefusedAndSaysSo) {
  SinkOptions options;
  options.faults.status_mix = {{400, 0.3}};
  Sink sink{options};
  Load load(small_load(sink));
  const LoadReport report = load.run();
  EXPECT_FALSE(report.complete());
  EXPECT_GT(report.requests.refused, 0u);
  EXPECT_EQ(report.requests.retried, 0u);
  EXPECT_EQ(report.samples.offered, report.samples.acknowledged + report.samples.refused);
  EXPECT_THAT(report.first_refusal, HasSubstr("400 refused on purpose"));
  // What was refused is not missed.
  EXPECT_TRUE(judge_run(load, sink).ok(false));
}

TEST(Load, ALyingSinkIsFound) {
  SinkOptions options;
  options.faults.lie = 0.1;
  Sink sink{options};
  Load load(small_load(sink));
  EXPECT_TRUE(load.run().complete());
  const SinkVerdict v = judge_run(load, sink);
  EXPECT_GT(v.lost, 0u);
  EXPECT_FALSE(v.ok(true));
}

// Ten requests of one sender are due 20 ms after one another, and each takes 200 ms: the last one
// waits for the nine before it. A closed loop would report 200 ms for each.
TEST(Load, LatencyCountsFromTheIntendedTime) {
  SinkOptions options;
  options.faults.latency = milliseconds(200);
  Sink sink{options};
  LoadOptions o = small_load(sink);
  o.senders = 1;
  o.clusters = 1;
  o.replicas = 1;
  o.series = 20;
  o.rate = 1000;
  o.seconds = 0.2;
  Load load(o);
  const LoadReport report = load.run();
  ASSERT_EQ(report.requests.acknowledged, 10u);
  EXPECT_GE(report.latencies.front(), 195);
  EXPECT_GE(report.latencies.back(), 10 * 195 - 9 * 20);
  EXPECT_GE(report.behind_seconds, 9 * 0.195 - 9 * 0.02);
}

TEST(Load, AsFastAsItGoesCountsFromTheSending) {
  SinkOptions options;
  options.faults.latency = milliseconds(50);
  Sink sink{options};
  LoadOptions o = small_load(sink);
  o.rate = 0;
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_FALSE(report.open_loop);
  EXPECT_GT(report.requests.acknowledged, 0u);
  EXPECT_EQ(report.behind_seconds, 0);
  EXPECT_TRUE(judge_run(load, sink).ok(false));
}

TEST(Load, WhatNobodyAnswersIsOfferedAndNotAcknowledged) {
  SinkOptions options;
  options.faults.hang = 1;
  Sink sink{options};
  LoadOptions o = small_load(sink);
  o.drain = milliseconds(100);
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_FALSE(report.complete());
  EXPECT_EQ(report.samples.acknowledged, 0u);
  EXPECT_NEAR(static_cast<double>(report.samples.offered), 10'000, 200);
  EXPECT_TRUE(judge_run(load, sink).ok(false));
}

TEST(Load, EveryBodyGoesToEachDestination) {
  Sink one{SinkOptions()};
  Sink two{SinkOptions()};
  LoadOptions o = small_load(one);
  o.to.push_back("http://127.0.0.1:" + std::to_string(two.port()) + "/api/v1/receive");
  Load load(o);
  EXPECT_TRUE(load.run().complete());
  EXPECT_TRUE(judge_run(load, one).ok(false));
  EXPECT_TRUE(judge_run(load, two).ok(false));
}

TEST(Load, ReconnectsWithoutLosingAnything) {
  Sink sink{SinkOptions()};
  LoadOptions o = small_load(sink);
  o.reconnect_every = milliseconds(1);
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_GT(report.connections, 4 * 2u);
  EXPECT_EQ(report.requests.unknown, 0u);
  EXPECT_TRUE(judge_run(load, sink).ok(false));
}

TEST(Load, ItsReportIsOneLineOfJson) {
  Sink sink{SinkOptions()};
  Load load(small_load(sink));
  const std::string text = load.run().json();
  EXPECT_EQ(text.find('\n'), std::string::npos);
  const auto json = boost::json::parse(text);
  EXPECT_EQ(json.at("mode").as_string(), "open");
  EXPECT_EQ(json.at("protocol").as_string(), "rw1");
  EXPECT_EQ(json.at("samples").at("offered"), json.at("samples").at("acknowledged"));
  for (const char* key : {"p50", "p90", "p99", "p999", "max"}) {
    EXPECT_TRUE(json.at("latency_ms").at(key).is_number()) << key;
  }
  for (const char* key : {"acknowledged", "refused", "retried", "unknown"}) {
    EXPECT_TRUE(json.at("requests").at(key).is_number()) << key;
  }
}

TEST(Load, SaysWhatItCannotDo) {
  Sink sink{SinkOptions()};
  LoadOptions o = small_load(sink);
  o.tenants = 1000;
  EXPECT_THROW(Load{o}, std::runtime_error);
  o = small_load(sink);
  o.bearer_file = "/nonexistent/{cluster}.token";
  EXPECT_THROW(Load{o}, std::runtime_error);
  o = small_load(sink);
  o.replay = "/nonexistent";
  EXPECT_THROW(Load{o}, std::runtime_error);
}

TEST(Load, ReplaysTheCorpusVerifiably) {
  Sink sink{SinkOptions()};
  LoadOptions o = small_load(sink);
  o.replay = TOLLGATE_SOURCE_DIR "/bench/corpus";
  o.senders = 3;
  o.rate = 60'000;
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_TRUE(report.complete());
  const SinkVerdict v = judge_run(load, sink);
  EXPECT_TRUE(v.ok(false)) << (v.examples.empty() ? "" : v.examples[0]);
  EXPECT_GT(report.series, 1000u);
}

}  // namespace
}  // namespace tollgate::bench
