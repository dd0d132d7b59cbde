#include "record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "load.h"
#include "replay.h"
#include "sink.h"
#include "support.h"
#include "verdict.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT
using testing::HasSubstr;
using testing::Not;

class RecordTest : public testing::Test {
 protected:
  RecordTest() {
    std::string name = (std::filesystem::temp_directory_path() / "bench-record-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~RecordTest() override { std::filesystem::remove_all(directory_); }

  std::string read(const std::string& name) const {
    std::ifstream in(directory_ / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  LoadOptions load_to(uint16_t port) const {
    LoadOptions o;
    o.to = {"127.0.0.1:" + std::to_string(port) + "/api/v1/receive"};
    o.senders = 2;
    o.clusters = 1;
    o.replicas = 1;
    o.series = 200;
    o.samples_per_request = 50;
    o.rate = 2000;
    o.seconds = 0.3;
    o.drain = std::chrono::minutes(2);
    o.histograms = 0.1;
    o.exemplars = 0.1;
    o.bearer = "secret-of-{cluster}";
    return o;
  }

  std::filesystem::path directory_;
};

TEST_F(RecordTest, WhatItStoresCanBeReplayedAndVerified) {
  Sink sink{SinkOptions()};
  RecordOptions options;
  options.directory = directory_;
  options.to = "127.0.0.1:" + std::to_string(sink.port());
  uint64_t requests = 0;
  {
    Recorder recorder(options);
    Load load(load_to(recorder.port()));
    const LoadReport report = load.run();
    requests = report.requests.acknowledged;
    EXPECT_TRUE(report.complete());
    EXPECT_EQ(recorder.stored(), requests);
    EXPECT_TRUE(judge({load.expectation()}, state_of(sink.tally()), "sink", no_name).ok(false));
  }
  ASSERT_GT(requests, 4u);

  Sink second{SinkOptions()};
  LoadOptions o = load_to(second.port());
  o.histograms = o.exemplars = 0;
  o.replay = directory_;
  Load load(o);
  const LoadReport report = load.run();
  EXPECT_TRUE(report.complete());
  const SinkVerdict v = judge({load.expectation()}, state_of(second.tally()), "sink", no_name);
  EXPECT_TRUE(v.ok(false)) << (v.examples.empty() ? "" : v.examples[0]);
  EXPECT_GT(second.counts().exemplars, 0u);
  EXPECT_GT(second.counts().histograms, 0u);
}

TEST_F(RecordTest, CredentialsArePassedOnButNotStored) {
  RecordOptions options;
  options.directory = directory_;
  Recorder recorder(options);
  Load load(load_to(recorder.port()));
  EXPECT_TRUE(load.run().complete());
  const std::string headers = read("000001.headers");
  EXPECT_THAT(headers, HasSubstr("Content-Encoding: snappy\r\n"));
  EXPECT_THAT(headers, Not(HasSubstr("secret")));
}

TEST_F(RecordTest, ContinuesTheNumbersAndStopsAtItsLimit) {
  RecordOptions options;
  options.directory = directory_;
  options.limit = 2;
  for (int i = 0; i < 2; i++) {
    Recorder recorder(options);
    Load load(load_to(recorder.port()));
    EXPECT_TRUE(load.run().complete());
    EXPECT_EQ(recorder.stored(), 2u);
  }
  EXPECT_TRUE(std::filesystem::exists(directory_ / "000004.snappy"));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "000005.snappy"));
}

TEST_F(RecordTest, ADestinationThatIsNotThereIsA502) {
  RecordOptions options;
  options.directory = directory_;
  options.to = "127.0.0.1:1";
  Recorder recorder(options);
  const Reply reply =
      call("127.0.0.1:" + std::to_string(recorder.port()) + "/write", "POST", "", "body");
  EXPECT_EQ(reply.status, 502);
  EXPECT_EQ(read("000001.snappy"), "body");
}

TEST(Replay, ASeriesOfEveryBodyIsEvenlySpacedAndNotShared) {
  const Recording recording = Recording::load(TOLLGATE_SOURCE_DIR "/bench/corpus");
  EXPECT_EQ(recording.samples(), 5000u);
  Tally tally{Rules()};
  Expectation expectation;
  std::vector<std::vector<Body>> copies;
  for (const size_t copy : {0, 1}) {
    auto& bodies = copies.emplace_back(recording.bodies(copy, 1'750'000'000'000, 10));
    EXPECT_EQ(bodies.size(), 10u);
    for (uint64_t pass = 0; pass < 4; pass++) {
      for (Body& body : bodies) {
        ASSERT_TRUE(tally.take(body.raw(pass), "", 1));
        ASSERT_TRUE(decode(body.packed(pass)).SerializeAsString() == body.raw(pass));
      }
    }
    for (const Body& body : bodies) body.expect(4, {}, "", expectation);
  }
  const SinkVerdict v = judge({expectation}, state_of(tally), "sink", no_name);
  EXPECT_TRUE(v.ok(false)) << (v.examples.empty() ? "" : v.examples[0]);
  EXPECT_EQ(tally.counts().series, 2 * recording.series());
  for (const SeriesState& s : state_of(tally).series) ASSERT_TRUE(s.gaps.empty());
}

}  // namespace
}  // namespace tollgate::bench
