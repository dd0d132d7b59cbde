#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>
#include <set>
#include <string>
#include <thread>

#include "../metrics/promtool.h"
#include "admin/admin.h"
#include "client.h"
#include "fake_gateway.h"
#include "net/loop.h"

namespace tollgate::admin {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Admin behind a real server on a loop of its own.
class Endpoints : public testing::Test {
 protected:
  Endpoints() {
    const auto stream = journal_.stream("team", "blue");
    journal_.declare("thanos");
    journal_.accept(stream, 10);
    journal_.deliver("thanos", stream, 8);
    hooks_ = hooks_on(journal_, {"thanos"});
    hooks_.not_ready = [this] { return *not_ready_.lock(); };
    hooks_.reload = [this] { return (*reload_.lock())(); };
    hooks_.flags = [] {
      return std::vector<std::pair<std::string, std::string>>{{"config.file", "tollgate.yml"}};
    };
    hooks_.sources = [] {
      SourceStatus blue;
      blue.name = "blue";
      return std::vector<SourceStatus>{blue};
    };
  }
  void SetUp() override {
    metrics::add_process_metrics(registry_);
    admin_.emplace(registry_, hooks_, clock_);
    net::ServerOptions options;
    options.host = "127.0.0.1";
    auto server = net::HttpServer::start(*loops_, options, *admin_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
    loops_->start();
  }
  void TearDown() override {
    if (!server_) return;
    server_->stop_accepting();
    loops_->stop();
    server_.reset();
    admin_.reset();
  }
  Answer call(const std::string& method, const std::string& target, const std::string& body = "") {
    return http(server_->port(), method, target, body);
  }
  boost::json::value data(const std::string& target) {
    const Answer answer = call("GET", target);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.headers.at("content-type"), "application/json");
    const boost::json::value envelope = boost::json::parse(answer.body);
    EXPECT_EQ(envelope.at("status"), "success");
    return envelope.at("data");
  }

  FakeClock clock_;
  FakeJournal journal_;
  Guarded<std::optional<std::string>> not_ready_;
  Guarded<std::function<Status()>> reload_{[] { return Status(Ok{}); }};
  AdminHooks hooks_;
  metrics::Registry registry_;
  std::optional<net::Loops> loops_{1};
  std::optional<Admin> admin_;
  std::unique_ptr<net::HttpServer> server_;
};

TEST_F(Endpoints, Healthy) {
  const Answer answer = call("GET", "/-/healthy");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "Tollgate is Healthy.\n");
  EXPECT_THAT(answer.headers.at("content-type"), StartsWith("text/plain"));
  EXPECT_EQ(call("HEAD", "/-/healthy").status, 200);
  EXPECT_EQ(call("HEAD", "/-/healthy").body, "");
}

TEST_F(Endpoints, ReadySaysWhyNot) {
  EXPECT_EQ(call("GET", "/-/ready").status, 200);
  EXPECT_EQ(call("GET", "/-/ready").body, "Tollgate is Ready.\n");
  EXPECT_EQ(call("HEAD", "/-/ready").status, 200);
  *not_ready_.lock() = "the journal refuses writes: fdatasync: Input/output error";
  const Answer answer = call("GET", "/-/ready");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body,
            "Tollgate is not ready: the journal refuses writes: fdatasync: Input/output error.\n");
  EXPECT_EQ(call("HEAD", "/-/ready").status, 503);
  EXPECT_EQ(call("GET", "/-/healthy").status, 200);
}

TEST_F(Endpoints, ReloadByPostAndPut) {
  int reloads = 0;
  *reload_.lock() = [&reloads] {
    reloads++;
    return Status(Ok{});
  };
  EXPECT_EQ(call("POST", "/-/reload").status, 200);
  EXPECT_EQ(call("PUT", "/-/reload").status, 200);
  EXPECT_EQ(call("POST", "/-/reload", "a body that means nothing").status, 200);
  EXPECT_EQ(reloads, 3);
  for (const char* method : {"GET", "HEAD", "DELETE"}) {
    const Answer answer = call(method, "/-/reload");
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.headers.at("allow"), "POST, PUT");
  }
  EXPECT_EQ(call("GET", "/-/reload").body, "Only POST or PUT requests allowed\n");
  EXPECT_EQ(reloads, 3);
}

TEST_F(Endpoints, AFailedReloadSaysWhere) {
  const std::string sentence = "tollgate.yml:3:5: unknown key \"lables\"; did you mean \"labels\"?";
  *reload_.lock() = [&] { return Status(our_error(Code::kInvalid, sentence)); };
  const Answer answer = call("POST", "/-/reload");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body, sentence + "\n");
}

TEST_F(Endpoints, OthersAreAnsweredDuringAReload) {
  std::promise<void> started, finish;
  *reload_.lock() = [&] {
    started.set_value();
    finish.get_future().wait();
    return Status(Ok{});
  };
  Answer reloaded, config;
  std::thread reloader([&] { reloaded = call("POST", "/-/reload"); });
  started.get_future().wait();
  // The configuration waits for the reload, and holds up nobody either.
  std::thread reader([&] { config = call("GET", "/api/v1/status/config"); });
  EXPECT_EQ(call("GET", "/-/healthy").status, 200);
  EXPECT_EQ(call("GET", "/metrics").status, 200);
  EXPECT_EQ(call("GET", "/api/v1/status/ledger").status, 200);
  finish.set_value();
  reloader.join();
  reader.join();
  EXPECT_EQ(reloaded.status, 200);
  EXPECT_EQ(config.status, 200);
}

TEST_F(Endpoints, StoppingWaitsForAReloadInProgress) {
  std::promise<void> started;
  std::promise<void> finish;
  std::atomic<bool> done{false};
  *reload_.lock() = [&] {
    started.set_value();
    finish.get_future().wait();
    done = true;
    return Status(Ok{});
  };
  std::thread caller([&] { call("POST", "/-/reload"); });
  started.get_future().wait();
  server_->stop_accepting();
  loops_->stop();
  server_.reset();
  std::thread later([&] { finish.set_value(); });
  admin_.reset();
  EXPECT_TRUE(done);
  later.join();
  loops_.reset();  // closes the caller's connection, which gets no answer
  caller.join();
}

TEST_F(Endpoints, MetricsAreThoseOfTheRegistryAndTheLedger) {
  registry_.counter("tollgate_ingest_requests_total", "Help.", {{"code", "204"}}).add(3);
  const Answer answer = call("GET", "/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(answer.body, HasSubstr("\ntollgate_ingest_requests_total{code=\"204\"} 3\n"));
  EXPECT_THAT(answer.body, HasSubstr("\nprocess_open_fds "));
  EXPECT_THAT(answer.body, HasSubstr("\ntollgate_build_info{"));
  EXPECT_THAT(answer.body,
              HasSubstr("\ntollgate_pending_samples{destination=\"thanos\",tenant=\"team\"} 2\n"));
  EXPECT_PROMTOOL_LIKES(answer.body);
}

TEST_F(Endpoints, TheStatusApiAnswersInTheEnvelope) {
  EXPECT_EQ(data("/api/v1/status/config").at("yaml"), "ingest: {}\n");
  EXPECT_EQ(data("/api/v1/status/flags").at("config.file"), "tollgate.yml");
  EXPECT_EQ(data("/api/v1/status/buildinfo").as_object().size(), 3u);
  const auto ledger = data("/api/v1/status/ledger");
  EXPECT_EQ(ledger.at("destinations").at(0).at("pending").as_int64(), 2);
  EXPECT_EQ(ledger.at("totals").at("delivered").as_int64(), 8);
  EXPECT_EQ(data("/api/v1/sources").at("sources").at(0).at("accepted").as_int64(), 10);
  EXPECT_EQ(data("/api/v1/tenants").at("tenants").at(0).at("name"), "team");
  const auto destination = data("/api/v1/destinations").at("destinations").at(0);
  EXPECT_EQ(destination.at("name"), "thanos");
  // 1'700'000'000'500 was the oldest pending, the clock says 1'700'000'000'000 + 2 s.
  clock_.advance(std::chrono::seconds(2));
  EXPECT_EQ(
      data("/api/v1/destinations").at("destinations").at(0).at("lag_seconds").to_number<double>(),
      1.5);
}

TEST_F(Endpoints, AQueryStringChangesNothing) {
  EXPECT_EQ(call("GET", "/-/healthy?x=y").status, 200);
  EXPECT_EQ(call("GET", "/metrics?name[]=x").status, 200);
}

TEST_F(Endpoints, ReadingIsAllThatIsAllowedElsewhere) {
  for (const std::string path :
       {"/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status/config",
        "/api/v1/status/buildinfo", "/api/v1/status/flags", "/api/v1/status/ledger",
        "/api/v1/sources", "/api/v1/tenants", "/api/v1/destinations"}) {
    EXPECT_EQ(call("HEAD", path).status, 200) << path;
    for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
      const Answer answer = call(method, path);
      EXPECT_EQ(answer.status, 405) << method << " " << path;
      EXPECT_EQ(answer.headers.at("allow"), "GET, HEAD") << path;
      if (path.rfind("/api/", 0) == 0) {
        EXPECT_EQ(boost::json::parse(answer.body).at("errorType"), "bad_data") << path;
      } else {
        EXPECT_EQ(answer.body, "Only GET or HEAD requests allowed\n") << path;
      }
    }
  }
}

TEST_F(Endpoints, UnknownPathsAre404) {
  const Answer api = call("GET", "/api/v1/nonsense");
  EXPECT_EQ(api.status, 404);
  EXPECT_EQ(api.headers.at("content-type"), "application/json");
  EXPECT_EQ(boost::json::parse(api.body), boost::json::parse(R"({"status": "error",
      "errorType": "not_found", "error": "no such path: /api/v1/nonsense"})"));
  for (const char* path : {"/nonsense", "/metrics/", "/-/", "//", "/apis", "/index.html"}) {
    const Answer answer = call("GET", path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body, std::string("no such path: ") + path + "\n");
  }
  EXPECT_EQ(call("POST", "/api/v1/write", std::string(1 << 20, 'x')).status, 404);
}

TEST_F(Endpoints, BodiesAreSmallAndFew) {
  EXPECT_EQ(call("POST", "/-/reload", std::string(Admin::kMaxBody, 'x')).status, 200);
  const Answer answer = call("POST", "/-/reload", std::string(Admin::kMaxBody + 1, 'x'));
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr("4096 bytes"));
  EXPECT_TRUE(admin_->reserve(Admin::kMaxBodies));
  EXPECT_EQ(call("POST", "/-/reload", "x").status, 503);
  admin_->release(Admin::kMaxBodies);
  EXPECT_EQ(call("POST", "/-/reload", "x").status, 200);
}

TEST_F(Endpoints, EveryLinkOfTheIndexLeadsSomewhere) {
  const Answer index = call("GET", "/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.headers.at("content-type"), "text/html; charset=utf-8");
  std::set<std::string> links;
  for (size_t at = 0; (at = index.body.find("href=\"", at)) != std::string::npos;) {
    at += 6;
    links.insert(index.body.substr(at, index.body.find('"', at) - at));
  }
  EXPECT_EQ(links.size(), 10u);
  for (const std::string& link : links) EXPECT_EQ(call("GET", link).status, 200) << link;
}

}  // namespace
}  // namespace tollgate::admin
