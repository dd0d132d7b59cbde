#include "sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <snappy.h>

#include <boost/json.hpp>
#include <thread>

#include "http.h"
#include "stream.h"
#include "support.h"

namespace tollgate::bench {
namespace {

using namespace testing_support;  // NOLINT
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr int64_t kT0 = 1'750'000'000'000;

std::string body_of(int64_t k) {
  prometheus::WriteRequest request;
  add_sample(request, {{"__name__", "up"}, {"job", "node"}}, kT0 + k * 1000);
  std::string packed;
  const std::string raw = request.SerializeAsString();
  snappy::Compress(raw.data(), raw.size(), &packed);
  return packed;
}

class SinkTest : public testing::Test {
 protected:
  Reply post(int64_t k, milliseconds timeout = std::chrono::seconds(30)) {
    return call(url("/api/v1/write"), "POST", "Content-Encoding: snappy\r\n", body_of(k), timeout);
  }
  std::string url(const std::string& path) {
    return "127.0.0.1:" + std::to_string(sink_.port()) + path;
  }
  void fault(const std::string& json) { sink_.set(Faults::parse(json)); }

  Sink sink_{SinkOptions()};
};

TEST_F(SinkTest, CountsWhatItTakes) {
  for (int64_t k = 0; k < 5; k++) EXPECT_EQ(post(k).status, 204);
  EXPECT_EQ(sink_.counts().samples, 5u);
  const auto stats = boost::json::parse(call(url("/stats"), "GET", "", "").body);
  EXPECT_EQ(stats.at("requests").to_number<int>(), 5);
  EXPECT_EQ(stats.at("samples").to_number<int>(), 5);
  EXPECT_EQ(stats.at("answers").at("204").to_number<int>(), 5);
  EXPECT_EQ(stats.at("bytes").to_number<size_t>(), 5 * body_of(0).size());
  EXPECT_GE(stats.at("last_ms").to_number<int64_t>(), stats.at("first_ms").to_number<int64_t>());
  const SinkState state = SinkState::decode(call(url("/state"), "GET", "", "").body);
  EXPECT_EQ(state.series.at(0).received, 5u);
  EXPECT_EQ(call(url("/reset"), "POST", "", "").status, 204);
  EXPECT_EQ(sink_.counts().samples, 0u);
}

TEST_F(SinkTest, AStatusIsAnsweredAndNothingTaken) {
  fault(R"({"status_mix": "503:1", "retry_after": "7"})");
  const Reply reply = post(0);
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(header(reply.head, "Retry-After"), "7");
  EXPECT_EQ(sink_.counts().samples, 0u);
  fault("{}");
  EXPECT_EQ(post(0).status, 204);
}

TEST_F(SinkTest, AMixIsAMix) {
  fault(R"({"status_mix": "503:0.4,429:0.2"})");
  int counts[3] = {0, 0, 0};
  for (int64_t k = 0; k < 300; k++) {
    const int status = post(k).status;
    counts[status == 503 ? 0 : (status == 429 ? 1 : 2)]++;
  }
  // With the fixed seed it is always the same draw.
  EXPECT_NEAR(counts[0], 120, 40);
  EXPECT_NEAR(counts[1], 60, 30);
  EXPECT_NEAR(counts[2], 120, 40);
  EXPECT_EQ(sink_.counts().samples, static_cast<uint64_t>(counts[2]));
}

TEST_F(SinkTest, ALostAnswerWasTaken) {
  fault(R"({"lose_answer": 1})");
  EXPECT_THROW(post(0), std::runtime_error);
  EXPECT_EQ(sink_.counts().samples, 1u);
}

TEST_F(SinkTest, AResetWasNotTaken) {
  fault(R"({"reset": 1})");
  EXPECT_THROW(post(0), std::runtime_error);
  EXPECT_EQ(sink_.counts().samples, 0u);
}

TEST_F(SinkTest, AHangIsNeverAnswered) {
  fault(R"({"hang": 1})");
  EXPECT_THROW(post(0, milliseconds(300)), std::runtime_error);
  EXPECT_EQ(sink_.counts().samples, 0u);
}

TEST_F(SinkTest, ALieIsAcknowledgedAndNotTaken) {
  fault(R"({"lie": 1})");
  EXPECT_EQ(post(0).status, 204);
  EXPECT_EQ(sink_.counts().samples, 0u);
}

TEST_F(SinkTest, LatencyDelaysTheAnswer) {
  fault(R"({"latency": 200})");
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(post(0).status, 204);
  EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(195));
}

TEST_F(SinkTest, InAnOutageThePortRefuses) {
  EXPECT_EQ(post(0).status, 204);
  fault(R"({"outage": "0s+1h"})");
  // The accepting thread gets to it soon.
  bool refused = false;
  for (int i = 0; i < 3000 && !refused; i++) {
    try {
      call(url("/stats"), "GET", "", "", milliseconds(1000));
      std::this_thread::sleep_for(milliseconds(10));
    } catch (const std::runtime_error&) {
      refused = true;
    }
  }
  EXPECT_TRUE(refused);
  EXPECT_THROW(post(1, milliseconds(2000)), std::runtime_error);
  fault("{}");
  bool back = false;
  for (int i = 0; i < 3000 && !back; i++) {
    try {
      back = post(1).status == 204;
    } catch (const std::runtime_error&) {
      std::this_thread::sleep_for(milliseconds(10));
    }
  }
  EXPECT_TRUE(back);
  EXPECT_EQ(sink_.counts().samples, 2u);
}

TEST(Sink, AControlPortOutlivesAnOutage) {
  SinkOptions options;
  options.server.control_port = 0;
  options.server.threads = 2;
  options.faults.outage = Faults::Outage{milliseconds(0), std::chrono::hours(1)};
  Sink sink(options);
  ASSERT_NE(sink.port(), sink.control_port());
  const std::string control = "127.0.0.1:" + std::to_string(sink.control_port());
  EXPECT_EQ(call(control + "/stats", "GET", "", "").status, 200);
  EXPECT_EQ(call(control + "/fault", "POST", "", R"({"status_mix": "500"})").status, 204);
}

TEST_F(SinkTest, FaultsAreSetOverHttpAndJudged) {
  EXPECT_EQ(call(url("/fault"), "POST", "", R"({"status-mix": "429"})").status, 204);
  EXPECT_EQ(post(0).status, 429);
  for (const char* bad :
       {"", "[]", R"({"lies": 1})", R"({"lie": 2})", R"({"status_mix": "503:0.6,500:0.6"})",
        R"({"status_mix": "99"})", R"({"outage": "10s"})", R"({"latency": "soon"})"}) {
    const Reply reply = call(url("/fault"), "POST", "", bad);
    EXPECT_EQ(reply.status, 400) << bad;
    EXPECT_FALSE(reply.body.empty());
  }
  EXPECT_EQ(call(url("/nothing"), "GET", "", "").status, 404);
}

TEST_F(SinkTest, WhatIsNotRemoteWriteIsRefusedAndCounted) {
  EXPECT_EQ(call(url("/api/v1/write"), "POST", "", "nonsense").status, 400);
  EXPECT_EQ(call(url("/api/v1/write"), "POST", "Content-Encoding: zstd\r\n", "x").status, 415);
  EXPECT_EQ(sink_.counts().malformed, 1u);
}

TEST_F(SinkTest, ReadsRequestsInPieces) {
  auto stream = Stream::connect(resolve("127.0.0.1", sink_.port()), nullptr, "");
  std::string two;
  for (int64_t k = 0; k < 2; k++) {
    const std::string body = body_of(k);
    two += "POST / HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  for (size_t at = 0; at < two.size();) {
    const iovec part{two.data() + at, 1};
    const ssize_t n = stream->write(&part, 1);
    ASSERT_NE(n, Stream::kBroken) << stream->why();
    if (n == 1) at++;
    std::this_thread::yield();
  }
  for (int i = 0; i < 3000 && sink_.counts().samples < 2; i++) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_EQ(sink_.counts().samples, 2u);
}

}  // namespace
}  // namespace tollgate::bench
