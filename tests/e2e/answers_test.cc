#include <gtest/gtest.h>
#include <snappy.h>

#include "scenario.h"

// Every row of the answers to senders (design §5): the status, the sentence, the counter, and that
// nothing arrives that was refused.
namespace tollgate::e2e {
namespace {

constexpr const char* kSources = R"(sources:
  - name: blue
    auth: {bearer: {token: blue-token}}
    tenant: {header: THANOS-TENANT, allow: [team-a, team-b]}
    enforced_labels: {cluster: blue}
  - name: strict
    auth: {basic: {username: strict, password: secret}}
    tenant: team-strict
    enforced_labels: {cluster: strict}
    on_conflict: reject
)";

class Answers : public testing::Test {
 protected:
  void SetUp() override {
    topology_.ingest = "  max_request_size: 64KB\n  max_decoded_size: 256KB\n";
    topology_.sources = kSources;
    gateway_.configure(topology_.to(sink_, kQuickRetry).yaml(gateway_));
    gateway_.start_ready();
  }
  void TearDown() override {
    EXPECT_TRUE(gateway_.running()) << gateway_.log_tail();
    for (const std::string& a : sink_.anomalies()) ADD_FAILURE() << a;
    if (!HasFatalFailure()) gateway_.stop_gracefully();
  }

  Headers blue(const std::string& tenant = "team-a") const {
    return {{"Authorization", "Bearer blue-token"}, {"THANOS-TENANT", tenant}};
  }
  Headers strict() const { return {{"Authorization", "Basic " + base64("strict:secret")}}; }
  static prometheus::WriteRequest good(int value = 1) {
    prometheus::WriteRequest request;
    add_series(request, {{"__name__", "m"}, {"sender", "s"}, {"series", "0"}}, value, now_ms());
    return request;
  }
  static std::string good_body() { return compress(good()); }

  // Posts to the write path and expects the status, the words in the answer's body, and that the
  // counter of the status went up by one.
  Answer expect(int status, const std::vector<std::string>& words, const Headers& headers,
                std::string_view body, const std::string& path = "/api/v1/write",
                const std::string& method = "POST") {
    const Scrape::LabelMap code = {{"code", std::to_string(status)}};
    const double before = scrape(gateway_.admin_port()).sum("tollgate_ingest_requests_total", code);
    const Answer answer = http(gateway_.port(), method, path, headers, body);
    EXPECT_EQ(answer.status, status) << answer.body;
    for (const std::string& word : words) {
      EXPECT_NE(answer.body.find(word), std::string::npos)
          << "'" << word << "' is not in: " << answer.body;
    }
    const double after = scrape(gateway_.admin_port()).sum("tollgate_ingest_requests_total", code);
    EXPECT_EQ(after, before + 1) << "tollgate_ingest_requests_total{code=\"" << status << "\"}";
    return answer;
  }
  Headers with(Headers headers, const Headers& more) const {
    headers.insert(headers.end(), more.begin(), more.end());
    return headers;
  }
  double rejected(const std::string& reason) {
    return scrape(gateway_.admin_port())
        .sum("tollgate_rejected_samples_total", {{"reason", reason}});
  }
  void expect_arrives(const std::string& series, uint64_t value) {
    EXPECT_TRUE(
        eventually(in(milliseconds(15'000)), [&] { return sink_.highest(series) >= value; }))
        << series << " did not arrive";
  }

  TempDir dir_;
  Sink sink_{"sink"};
  Gateway gateway_{dir_.path()};
  Topology topology_;
};

TEST_F(Answers, JournaledIs204OnAllFourPaths) {
  uint64_t value = 0;
  for (const char* path :
       {"/api/v1/write", "/api/v1/receive", "/api/v1/push", "/api/v1/remote_write"}) {
    const Answer answer = expect(204, {}, with(write_headers(), blue()),
                                 compress(good(static_cast<int>(++value))), path);
    for (const char* written : {"samples", "histograms", "exemplars"}) {
      EXPECT_EQ(
          answer.headers.count("x-prometheus-remote-write-" + std::string(written) + "-written"),
          0u)
          << "never on remote write 1.0";
    }
  }
  expect_arrives("s/0", value);
}

TEST_F(Answers, OtherMethodsAre405) {
  for (const char* method : {"GET", "PUT", "DELETE"}) {
    expect(405, {}, with(write_headers(), blue()), "", "/api/v1/write", method);
  }
}

TEST_F(Answers, UnknownTypesAndEncodingsAre415BeforeDecoding) {
  // The body is no snappy: had it been decoded, the answer would be 400.
  const std::string junk = "\xff\xff\xff\xffjunk";
  const Headers auth = blue();
  expect(415, {"application/json"},
         with(auth, {{"Content-Type", "application/json"}, {"Content-Encoding", "snappy"}}), junk);
  expect(415, {"gzip"},
         with(auth, {{"Content-Type", "application/x-protobuf"}, {"Content-Encoding", "gzip"}}),
         junk);
  expect(
      415, {"io.prometheus.write.v9.Request"},
      with(auth, {{"Content-Type", "application/x-protobuf;proto=io.prometheus.write.v9.Request"},
                  {"Content-Encoding", "snappy"}}),
      junk);
  const Answer fine =
      http(gateway_.port(), "POST", "/api/v1/write",
           with(auth, {{"Content-Type", "application/x-protobuf; proto=prometheus.WriteRequest"},
                       {"Content-Encoding", "snappy"}}),
           good_body());
  EXPECT_EQ(fine.status, 204) << fine.body;
}

TEST_F(Answers, ABodyOverTheLimitIs413) {
  expect(413, {"max_request_size"}, with(write_headers(), blue()), std::string(65 * 1024, 'x'));
  // Announced only: the answer does not wait for the body.
  std::string head = render_request("POST", "/api/v1/write", with(write_headers(), blue()), "");
  head.replace(head.find("Content-Length: 0"), 17, "Content-Length: 99999999999");
  EXPECT_EQ(raw_exchange(gateway_.port(), head).status, 413);
  // Not even announced: in chunks that go on and on.
  const Scrape::LabelMap code = {{"code", "413"}};
  const double before = scrape(gateway_.admin_port()).sum("tollgate_ingest_requests_total", code);
  head.replace(head.find("Content-Length: 99999999999"), 27, "Transfer-Encoding: chunked");
  for (int i = 0; i < 9; ++i) head += "2000\r\n" + std::string(0x2000, 'x') + "\r\n";
  EXPECT_EQ(raw_exchange(gateway_.port(), head).status, 413);
  EXPECT_EQ(scrape(gateway_.admin_port()).sum("tollgate_ingest_requests_total", code), before + 1);
}

TEST_F(Answers, AHostileDeclaredLengthIs400) {
  const auto rss = [&] {
    return scrape(gateway_.admin_port()).sum("process_resident_memory_bytes");
  };
  const double before = rss();
  for (const std::string& length :
       {std::string("\xff\xff\xff\xff\x0f"), std::string("\x81\x80\x10")}) {
    expect(400, {"limit of 262144"}, with(write_headers(), blue()),
           length +
               "\x04"
               "ab");
  }
  expect(400, {}, with(write_headers(), blue()), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  EXPECT_LT(rss(), before + 100e6);
}

TEST_F(Answers, BadSnappyIs400) {
  std::string body = good_body();
  for (const std::string& bad :
       {std::string(), body.substr(0, body.size() / 2), body + "tail", std::string("\x10"),
        std::string("\x05\x0e\x01\x00\x00\x00", 6) /* copies from before the beginning */}) {
    expect(400, {}, with(write_headers(), blue()), bad);
  }
  expect(400, {"framed"}, with(write_headers(), blue()),
         std::string("\xff\x06\x00\x00sNaPpY", 10) + "whatever");
}

TEST_F(Answers, BadProtobufIs400AndNothingOfItIsKept) {
  std::string raw = good(77).SerializeAsString();
  raw += '\x0a';  // one more TimeSeries …
  raw += '\x7f';  // … of 127 bytes, which are not there
  std::string body;
  snappy::Compress(raw.data(), raw.size(), &body);
  expect(400, {"protobuf"}, with(write_headers(), blue()), body);
  EXPECT_EQ(write(gateway_.port(), good(1), blue()).status, 204);
  expect_arrives("s/0", 1);
  EXPECT_EQ(sink_.highest("s/0"), 1u) << "77 was in a request that was refused as a whole";
}

TEST_F(Answers, BadHttpIsAClearAnswerAndNeverTheEnd) {
  for (const std::string& bytes :
       {std::string("\r\n\r\n\r\n"), std::string("GET\r\n\r\n"), std::string(100'000, 'a'),
        std::string("POST /api/v1/write HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string(
            "POST /api/v1/write HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        std::string("POST /api/v1/write HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11)}) {
    const Answer answer = raw_exchange(gateway_.port(), bytes, milliseconds(700));
    EXPECT_TRUE(answer.status == 0 || answer.status / 100 == 4) << answer.status;
  }
  expect(204, {}, with(write_headers(), blue()), good_body());
  const Answer lost =
      http(gateway_.port(), "POST", "/nowhere", with(write_headers(), blue()), good_body());
  EXPECT_EQ(lost.status, 404) << lost.body;
}

TEST_F(Answers, InvalidSeriesAreRefusedAndTheRestIsKept) {
  const int64_t t = now_ms();
  prometheus::WriteRequest request;
  add_series(request, {{"__name__", "m"}, {"sender", "part"}, {"series", "0"}}, 1, t);
  add_series(request, {{"job", "nameless-one"}, {"sender", "part"}}, 1, t);
  add_series(request, {{"__name__", "m"}, {"a", "1"}, {"a", "2"}, {"sender", "part"}}, 1, t);
  add_series(request, {{"job", "nameless-two"}, {"sender", "part"}}, 1, t);
  auto* broken = request.add_timeseries();
  for (const auto& [name, value] : Labels{{"__name__", "h"}, {"sender", "part"}}) {
    auto* label = broken->add_labels();
    label->set_name(name);
    label->set_value(value);
  }
  auto* histogram = broken->add_histograms();
  histogram->set_timestamp(t);
  histogram->set_count_int(5);
  histogram->add_positive_spans()->set_length(3);
  histogram->add_positive_deltas(5);  // the spans promise three buckets
  add_series(request, {{"__name__", "m"}, {"sender", "part"}, {"series", "1"}}, 1, t);
  const double accepted = scrape(gateway_.admin_port()).sum("tollgate_accepted_samples_total");
  const double received = scrape(gateway_.admin_port()).sum("tollgate_received_samples_total");

  // The first offender by its labels, and how many there are of each kind.
  expect(400, {"nameless-one", "4 of 6", "2 missing_name", "1 duplicate_label", "1 bad_histogram"},
         with(write_headers(), blue("team-b")), compress(request));
  EXPECT_EQ(rejected("missing_name"), 2);
  EXPECT_EQ(rejected("duplicate_label"), 1);
  EXPECT_EQ(rejected("bad_histogram"), 1);
  const Scrape after = scrape(gateway_.admin_port());
  EXPECT_EQ(after.sum("tollgate_accepted_samples_total"), accepted + 2);
  EXPECT_EQ(after.sum("tollgate_received_samples_total"), received + 6);
  expect_arrives("part/0", 1);
  expect_arrives("part/1", 1);
  EXPECT_EQ(sink_.samples(), 2u);
  EXPECT_EQ(sink_.samples_of("team-b"), 2u);
}

TEST_F(Answers, SpoofedLabelsAreOverriddenOrRefused) {
  const int64_t t = now_ms();
  prometheus::WriteRequest request;
  add_series(request, {{"__name__", "m"}, {"cluster", "green"}, {"sender", "x"}, {"series", "0"}},
             1, t);
  expect(204, {}, with(write_headers(), blue()), compress(request));
  expect_arrives("x/0", 1);
  const Labels expected = {
      {"__name__", "m"}, {"cluster", "blue"}, {"sender", "x"}, {"series", "0"}};
  EXPECT_EQ(sink_.received().at("x/0").label_sets, std::set<Labels>{expected});

  request.Clear();
  add_series(request, {{"__name__", "m"}, {"cluster", "green"}, {"sender", "y"}, {"series", "0"}},
             1, t);
  add_series(request, {{"__name__", "m"}, {"cluster", "strict"}, {"sender", "y"}, {"series", "1"}},
             1, t);
  add_series(request, {{"__name__", "m"}, {"sender", "y"}, {"series", "2"}}, 1, t);
  expect(400, {"cluster", "green", "1 spoofed_label"}, with(write_headers(), strict()),
         compress(request));
  expect_arrives("y/1", 1);
  expect_arrives("y/2", 1);
  EXPECT_EQ(sink_.highest("y/0"), 0u);
  EXPECT_EQ(rejected("spoofed_label"), 1);
}

TEST_F(Answers, CredentialsDecide401And403) {
  const std::string body = good_body();
  expect(401, {}, write_headers(), body);
  for (const std::string& wrong :
       {std::string("Bearer wrong"), std::string("Bearer "), std::string("Bearer blue-token2"),
        std::string("Bearer blue-toke"), std::string("Basic blue-token"),
        "Basic " + base64("strict:wrong"), "Basic " + base64("nobody:secret"),
        "Basic " + base64("strict"), std::string("Digest x")}) {
    expect(401, {}, with(write_headers(), {{"Authorization", wrong}}), body);
  }
  for (const std::string& tenant : {std::string("team-c"), std::string(""), std::string("../x"),
                                    std::string(".."), std::string("a|b"), std::string(151, 'a')}) {
    const Answer answer = expect(403, {"blue"}, with(write_headers(), blue(tenant)), body);
    EXPECT_EQ(answer.body.find("blue-token"), std::string::npos) << "a secret in an answer";
  }
  expect(403, {}, with(write_headers(), {{"Authorization", "Bearer blue-token"}}), body);
  EXPECT_EQ(sink_.samples(), 0u);
  EXPECT_EQ(gateway_.log().find("blue-token"), std::string::npos) << "a secret in the log";
  const Answer config = http(gateway_.admin_port(), "GET", "/api/v1/status/config");
  EXPECT_EQ(config.status, 200);
  EXPECT_EQ(config.body.find("blue-token"), std::string::npos) << config.body;
  EXPECT_NE(config.body.find("<secret>"), std::string::npos) << config.body;
}

TEST(AnswersUnderPressure, TooManyBytesInFlightAre503) {
  TempDir dir;
  Sink sink("sink");
  Gateway gateway(dir.path());
  Topology topology;
  topology.ingest = "  max_inflight_size: 64KB\n  max_request_size: 64KB\n";
  gateway.configure(topology.to(sink).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  const std::string big =
      render_request("POST", "/api/v1/write", write_headers(), std::string(60'000, 'x'));
  // Two bodies begun and not ended: 40 kB each are being read.
  std::vector<Socket> open;
  for (int i = 0; i < 2; ++i) {
    open.push_back(connect_to(gateway.port(), in(milliseconds(5'000))));
    ASSERT_TRUE(
        send_all(open.back(), std::string_view(big).substr(0, 40'000), in(milliseconds(5'000))));
  }
  Answer answer;
  EXPECT_TRUE(eventually(in(milliseconds(20'000)),
                         [&] {
                           answer = raw_exchange(gateway.port(), big);
                           return answer.status == 503;
                         }))
      << answer.status << " " << answer.body;
  EXPECT_NE(answer.body.find("max_inflight_size"), std::string::npos) << answer.body;
  EXPECT_EQ(answer.headers.count("retry-after"), 1u);
  EXPECT_GE(scrape(gateway.admin_port()).sum("tollgate_ingest_requests_total", {{"code", "503"}}),
            1);
  open.clear();
  // The bytes of those who went away are given back.
  prometheus::WriteRequest request;
  add_series(request, {{"__name__", "m"}, {"sender", "s"}, {"series", "0"}}, 1, now_ms());
  EXPECT_TRUE(eventually(in(milliseconds(20'000)),
                         [&] { return write(gateway.port(), request).status == 204; }));
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
