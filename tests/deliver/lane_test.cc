// Lanes with a real journal and a scripted destination on loopback.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <set>

#include "deliver/deliver.h"
#include "journal/journal.h"
#include "net/certificates.h"
#include "net/http_server.h"
#include "wire/snappy.h"

namespace tollgate::deliver {
namespace {

using namespace std::chrono_literals;

// What arrives, in order, decoded; and what to answer. Each "series" of these tests is one
// TimeSeries field of known bytes, so that bodies can be compared as multisets of fields.
class ScriptedDestination final : public net::HttpHandler {
 public:
  struct Request {
    std::string raw;
    std::string tenant;
    std::string attempt;
  };

  std::optional<net::Response> on_head(net::Loop&, const net::RequestHead&,
                                       uint64_t& max_body) override {
    max_body = 64 << 20;
    return std::nullopt;
  }
  net::Task<net::Response> on_request(net::Loop& loop, const net::RequestHead& head,
                                      Buffer& body) override {
    Buffer raw;
    net::Response response;
    response.status = 204;
    if (auto s = wire::unpack(body.view(), 64 << 20, raw); !s) {
      response.status = 599;
      co_return response;
    }
    if (delay_.load() > 0ms) {
      Timer timer(loop.context());
      timer.expires_after(delay_.load());
      boost::asio::use_awaitable_t<net::Executor> token;
      co_await timer.async_wait(token);
    }
    std::lock_guard lock(mutex_);
    requests_.push_back({std::string(raw.view()), std::string(head.header("X-Tenant")),
                         std::string(head.header("Retry-Attempt"))});
    if (max_raw_ > 0 && raw.size() > max_raw_) {
      response.status = 413;
    } else if (!answers_.empty()) {
      response = answers_.front();
      answers_.pop_front();
    }
    if (response.status / 100 == 2) delivered_ += raw.view();
    changed_.notify_all();
    co_return response;
  }
  net::Response too_large(const net::RequestHead&, uint64_t) override { return {}; }
  bool reserve(uint64_t) override { return true; }
  void release(uint64_t) override {}
  net::Response overloaded(const net::RequestHead&) override { return {}; }

  void answer(int status, std::string retry_after = "") {
    net::Response response;
    response.status = status;
    response.body = "because the test says so\n";
    if (!retry_after.empty()) response.headers.emplace_back("Retry-After", retry_after);
    std::lock_guard lock(mutex_);
    answers_.push_back(std::move(response));
  }
  void slow_down(std::chrono::milliseconds by) { delay_ = by; }
  void refuse_above(size_t raw) {
    std::lock_guard lock(mutex_);
    max_raw_ = raw;
  }
  std::vector<Request> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string delivered() {
    std::lock_guard lock(mutex_);
    return delivered_;
  }
  bool wait(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (std::chrono::steady_clock::now() < end) {
      if (condition()) return true;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, 5ms);
    }
    return condition();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<net::Response> answers_;
  std::vector<Request> requests_;
  std::string delivered_;
  size_t max_raw_ = 0;
  std::atomic<std::chrono::milliseconds> delay_{0ms};
};

// A TimeSeries field with one label {__name__="s<id>"} and one sample of that value.
std::string field(int id) {
  std::string name = "s" + std::to_string(id);
  std::string label = std::string("\x0a\x08__name__\x12") + static_cast<char>(name.size()) + name;
  std::string series = std::string("\x0a") + static_cast<char>(label.size()) + label;
  const double value = id;
  std::string sample = "\x09" + std::string(reinterpret_cast<const char*>(&value), 8) + "\x10\x01";
  series += std::string("\x12") + static_cast<char>(sample.size()) + sample;
  return std::string("\x0a") + static_cast<char>(series.size()) + series;
}

class LaneTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/lane-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    server_loop_.start();
    net::ServerOptions options;
    options.host = "127.0.0.1";
    auto server = net::HttpServer::start(server_loop_, options, destination_);
    ASSERT_TRUE(server.ok());
    server_ = std::move(server).value();
    start();
  }
  void TearDown() override {
    stop();
    server_->stop_accepting();
    server_loop_.stop();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    journal::Options options;
    options.path = directory_;
    auto journal = journal::Journal::open(options, fs::FileSystem::real(), Clock::real());
    ASSERT_TRUE(journal.ok()) << journal.error().message;
    journal_ = std::move(journal).value();
    loops_ = std::make_unique<net::Loops>(2);
    registry_ = std::make_unique<metrics::Registry>();
    deliver_ = std::make_unique<Deliver>(*loops_, *journal_, *registry_, Clock::real());
    journal_->observe([this](const auto& streams) { deliver_->wake(streams); });
    loops_->start();
    if (configured_) {
      ASSERT_TRUE(deliver_->configure(config_).ok());
    }
  }
  void stop() {
    if (!journal_) return;
    deliver_->stop();
    journal_->close();
    loops_->stop();
    deliver_.reset();
    loops_.reset();
    journal_.reset();
  }

  config::RemoteWrite& remote() {
    if (config_.remote_write.empty()) {
      config::RemoteWrite r;
      r.name = "sink";
      r.url = {"http", "127.0.0.1", server_->port(), "/api/v1/write", "http://sink/"};
      r.tenant_header = "X-Tenant";
      r.batch_send_deadline = 0ms;
      r.min_backoff = 1ms;
      r.max_backoff = 5ms;
      config_.remote_write.push_back(r);
    }
    return config_.remote_write[0];
  }
  void configure() {
    remote();
    configured_ = true;
    ASSERT_TRUE(deliver_->configure(config_).ok());
  }

  journal::StreamId stream(uint32_t shards = 1, uint32_t shard = 0) {
    journal::StreamKey key;
    key.tenant = "team";
    key.source = "blue";
    key.shards = shards;
    key.generation = shards;
    key.shard = shard;
    auto id = journal_->intern(key);
    EXPECT_TRUE(id.ok());
    deliver_->announce(*id, key);
    return *id;
  }

  // Appends one block with the fields first … last and waits until it is durable.
  void append(journal::StreamId id, int first, int last) {
    std::string raw;
    for (int i = first; i <= last; i++) raw += field(i);
    journal::NewBlock block;
    block.stream = id;
    wire::pack_elements(raw, block.elements);
    block.raw_length = static_cast<uint32_t>(raw.size());
    block.samples = block.series = static_cast<uint32_t>(last - first + 1);
    block.min_timestamp = block.max_timestamp = 1;
    std::vector<journal::NewBlock> blocks;
    blocks.push_back(std::move(block));
    std::mutex mutex;
    std::condition_variable done;
    bool ready = false;
    journal_->append(std::move(blocks), [&](const Status& status) {
      EXPECT_TRUE(status.ok());
      std::lock_guard lock(mutex);
      ready = true;
      done.notify_all();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return ready; });
  }
  static std::string fields(int first, int last) {
    std::string raw;
    for (int i = first; i <= last; i++) raw += field(i);
    return raw;
  }
  journal::LedgerRow ledger(journal::StreamId id) {
    EXPECT_TRUE(journal_->checkpoint().ok());
    for (const auto& row : journal_->ledger()) {
      if (row.stream == id) return row;
    }
    ADD_FAILURE() << "no ledger row";
    return {};
  }
  bool settled(journal::StreamId id) {
    return destination_.wait([&] { return ledger(id).pending_samples == 0; });
  }

  std::string directory_;
  ScriptedDestination destination_;
  net::Loops server_loop_{1};
  std::unique_ptr<net::HttpServer> server_;
  config::Config config_;
  bool configured_ = false;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<net::Loops> loops_;
  std::unique_ptr<metrics::Registry> registry_;
  std::unique_ptr<Deliver> deliver_;
};

TEST_F(LaneTest, DeliversInOrderAndSplicesWhatIsPending) {
  const auto id = stream();
  remote().batch_send_deadline = 50ms;
  configure();
  for (int i = 0; i < 20; i++) append(id, i * 10, i * 10 + 9);
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(0, 199));
  EXPECT_LT(destination_.requests().size(), 20u) << "blocks were not coalesced";
  EXPECT_EQ(destination_.requests()[0].tenant, "team");
  const auto row = ledger(id);
  EXPECT_EQ(row.accepted, 200u);
  EXPECT_EQ(row.cursor.delivered, 200u);
}

TEST_F(LaneTest, RetriesTheSameBytesUntilTheyAreTaken) {
  const auto id = stream();
  for (int status : {500, 503, 429, 408}) destination_.answer(status);
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(settled(id));
  const auto requests = destination_.requests();
  ASSERT_EQ(requests.size(), 5u);
  for (const auto& r : requests) EXPECT_EQ(r.raw, fields(0, 9));
  EXPECT_EQ(requests[0].attempt, "");
  EXPECT_EQ(requests[1].attempt, "1");
  EXPECT_EQ(requests[4].attempt, "4");
}

TEST_F(LaneTest, RefusedSamplesAreDroppedAndCountedAndTheNextOnesFlow) {
  const auto id = stream();
  destination_.answer(400);
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(settled(id));
  append(id, 10, 19);
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(10, 19));
  const auto row = ledger(id);
  EXPECT_EQ(row.cursor.delivered, 10u);
  EXPECT_EQ(row.cursor.dropped[static_cast<size_t>(model::DropReason::kRefused)], 10u);
}

TEST_F(LaneTest, MisconfigurationHoldsAndAReloadGoesOnAtOnce) {
  const auto id = stream();
  for (int i = 0; i < 8; i++) destination_.answer(403);
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(
      destination_.wait([&] { return deliver_->destinations()[0].health.state == "held"; }));
  EXPECT_EQ(ledger(id).pending_samples, 10u);
  const auto health = deliver_->destinations()[0].health;
  EXPECT_EQ(health.last_status, 403);
  EXPECT_EQ(health.last_error, "403: because the test says so");
  // Each reload ends the wait of (at least) 5 s.
  ASSERT_TRUE(destination_.wait([&] {
    EXPECT_TRUE(deliver_->configure(config_).ok());
    return ledger(id).pending_samples == 0;
  }));
  EXPECT_EQ(destination_.delivered(), fields(0, 9));
  EXPECT_TRUE(destination_.wait([&] { return deliver_->destinations()[0].health.state == "ok"; }));
}

TEST_F(LaneTest, TooLargeIsSplitDownToOneSeries) {
  const auto id = stream();
  destination_.refuse_above(field(100).size());  // one series a request
  configure();
  append(id, 100, 131);
  append(id, 132, 163);
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(100, 163));
  EXPECT_EQ(ledger(id).cursor.delivered, 64u);
}

TEST_F(LaneTest, ASeriesThatIsTooLargeAloneIsDroppedAlone) {
  const auto id = stream();
  destination_.refuse_above(field(1).size());  // three-digit names are one or two bytes too long
  configure();
  std::string expected;
  append(id, 5, 14);
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(5, 9));
  const auto row = ledger(id);
  EXPECT_EQ(row.cursor.delivered, 5u);
  EXPECT_EQ(row.cursor.dropped[static_cast<size_t>(model::DropReason::kRefused)], 5u);
}

TEST_F(LaneTest, ABlockOverMaxSamplesPerSendGoesInParts) {
  const auto id = stream();
  remote().max_samples_per_send = 7;
  configure();
  append(id, 0, 99);
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(0, 99));
  EXPECT_GE(destination_.requests().size(), 15u);
}

TEST_F(LaneTest, WhatIsPendingSurvivesARestart) {
  const auto id = stream();
  for (int i = 0; i < 200; i++) destination_.answer(503);
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(destination_.wait([&] { return destination_.requests().size() > 2; }));
  stop();
  destination_.refuse_above(0);
  start();
  EXPECT_EQ(ledger(id).pending_samples, 10u);
  // The remaining 503s are used up by retries.
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(0, 9));
}

TEST_F(LaneTest, AReshardedStreamKeepsItsOrder) {
  // Old lane (one shard) holds block A; then two shards take over with B and C; then the old
  // count comes back with D. The destination must see A, then B and C in any order, then D.
  for (int i = 0; i < 5; i++) destination_.answer(503);
  const auto one = stream(1, 0);
  const auto two_a = stream(2, 0);
  const auto two_b = stream(2, 1);
  configure();
  append(one, 0, 9);
  append(two_a, 10, 19);
  append(two_b, 20, 29);
  append(one, 30, 39);
  ASSERT_TRUE(settled(one));
  ASSERT_TRUE(settled(two_a));
  ASSERT_TRUE(settled(two_b));
  const std::string all = destination_.delivered();
  EXPECT_EQ(all.size(), fields(0, 39).size());
  EXPECT_LT(all.find(fields(0, 9)), all.find(fields(10, 19)));
  EXPECT_LT(all.find(fields(0, 9)), all.find(fields(20, 29)));
  EXPECT_LT(all.find(fields(10, 19)), all.find(fields(30, 39)));
  EXPECT_LT(all.find(fields(20, 29)), all.find(fields(30, 39)));
}

// A lane of which no block was ever written is not known after a restart, so that the streams of
// two shard counts may add up to one of them: they are still siblings.
TEST_F(LaneTest, AReshardedStreamKeepsItsOrderAlsoWithoutALaneThatNeverHadABlock) {
  for (int i = 0; i < 50; i++) destination_.answer(503);
  const auto one = stream(1, 0);
  const auto two_b = stream(2, 1);
  configure();
  append(one, 0, 9);
  append(two_b, 20, 29);
  ASSERT_TRUE(settled(one));
  ASSERT_TRUE(settled(two_b));
  EXPECT_EQ(destination_.delivered(), fields(0, 9) + fields(20, 29));
  const auto requests = destination_.requests();
  for (size_t i = 0; i < 50; i++) EXPECT_EQ(requests[i].raw, fields(0, 9)) << i;
}

TEST_F(LaneTest, ALaneThatCannotKeepUpAsksForTwiceItsShards) {
  const auto id = stream(2, 0);
  remote().max_samples_per_send = 10;
  destination_.slow_down(5ms);
  std::atomic<uint32_t> wanted{0};
  deliver_->on_saturated(
      [&](const journal::StreamKey& key, uint32_t n) {
        EXPECT_EQ(key.source, "blue");
        wanted = n;
      },
      100ms);
  configure();
  for (int i = 0; i < 100; i++) append(id, 0, 9);
  EXPECT_TRUE(destination_.wait([&] { return wanted == 4; }));
  destination_.slow_down(0ms);
  ASSERT_TRUE(settled(id));
}

TEST_F(LaneTest, AReloadThatChangesNothingKeepsTheConnection) {
  const auto id = stream();
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(settled(id));
  ASSERT_EQ(server_->connections(), 1u);
  for (int i = 0; i < 5; i++) {
    ASSERT_TRUE(deliver_->configure(config_).ok());
    append(id, 10 * i + 10, 10 * i + 19);
    ASSERT_TRUE(settled(id));
  }
  EXPECT_EQ(server_->connections(), 1u);
  EXPECT_EQ(destination_.delivered(), fields(0, 59));
}

TEST_F(LaneTest, StopDoesNotWaitForARequestUnderFormerSettings) {
  const auto id = stream();
  destination_.slow_down(1h);
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(destination_.wait([&] { return server_->connections() == 1; }));
  remote().url.target = "/elsewhere";
  ASSERT_TRUE(deliver_->configure(config_).ok());
  const auto before = std::chrono::steady_clock::now();
  deliver_->stop();
  // Its patience with requests that cannot be cancelled is 5 s.
  EXPECT_LT(std::chrono::steady_clock::now() - before, 4s);
}

TEST_F(LaneTest, ARemovedDestinationIsForgottenAndCounted) {
  const auto id = stream();
  for (int i = 0; i < 100'000; i++) destination_.answer(503);
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(destination_.wait([&] { return destination_.requests().size() > 2; }));
  config_.remote_write.clear();
  ASSERT_TRUE(deliver_->configure(config_).ok());
  EXPECT_TRUE(deliver_->destinations().empty());
  EXPECT_TRUE(journal_->ledger().empty());
  const auto after = destination_.requests().size();
  append(id, 10, 19);
  EXPECT_LE(destination_.requests().size(), after + 1) << "a removed destination is still written";
}

TEST_F(LaneTest, DrainSendsWithoutWaitingToFillRequests) {
  const auto id = stream();
  remote().batch_send_deadline = 1h;
  configure();
  append(id, 0, 9);
  EXPECT_TRUE(deliver_->drain(20s));
  EXPECT_EQ(destination_.delivered(), fields(0, 9));
}

TEST_F(LaneTest, HttpsDestinationsAreVerifiedAndNothingIsDroppedWhenTheyAreNot) {
  net::Certificates certificates;
  const std::string good = certificates.ca("good");
  const std::string other = certificates.ca("other");
  certificates.issue("server", "good", "IP:127.0.0.1");
  net::ServerOptions options;
  options.host = "127.0.0.1";
  auto tls = net::ServerTlsContext::make(certificates.cert("server"), certificates.key("server"),
                                         "", net::ServerTlsContext::ClientAuth::kNone);
  ASSERT_TRUE(tls.ok()) << tls.error().message;
  options.tls = *tls;
  auto server = net::HttpServer::start(server_loop_, options, destination_);
  ASSERT_TRUE(server.ok());

  const auto id = stream();
  remote().url = {"https", "127.0.0.1", (*server)->port(), "/api/v1/write", "https://sink/"};
  remote().tls.ca_file = other;
  configure();
  append(id, 0, 9);
  ASSERT_TRUE(destination_.wait([&] {
    return deliver_->destinations()[0].health.last_error.find("certificate") != std::string::npos;
  })) << deliver_->destinations()[0].health.last_error;
  EXPECT_EQ(ledger(id).pending_samples, 10u);
  EXPECT_TRUE(destination_.requests().empty());

  remote().tls.ca_file = directory_ + "/missing.pem";
  Status broken = deliver_->configure(config_);
  ASSERT_FALSE(broken.ok()) << "a missing CA file must not replace the settings";
  EXPECT_NE(broken.error().message.find("missing.pem"), std::string::npos);

  remote().tls.ca_file = good;
  ASSERT_TRUE(deliver_->configure(config_).ok());
  ASSERT_TRUE(settled(id));
  EXPECT_EQ(destination_.delivered(), fields(0, 9));
  stop();
  (*server)->stop_accepting();
}

}  // namespace
}  // namespace tollgate::deliver
