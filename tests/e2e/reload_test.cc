#include <gtest/gtest.h>
#include <signal.h>

#include <regex>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

std::string blue(const std::string& enforced) {
  return "sources:\n  - name: blue\n    auth: {bearer: {token: blue-token}}\n"
         "    tenant: team-blue\n    enforced_labels: {" +
         enforced + "}\n";
}

constexpr const char* kLateSource =
    "  - name: late\n    auth: {bearer: {token: late-token}}\n    tenant: team-late\n"
    "    enforced_labels: {cluster: late}\n";

class Reload : public testing::Test {
 protected:
  void SetUp() override {
    SenderOptions options;
    options.port = gateway_.port();
    options.authorization = "Bearer blue-token";
    options.tenant = "team-blue";
    options.treatments = {{{{"cluster", "blue"}}, {}},
                          {{{"cluster", "blue"}, {"region", "eu"}}, {}}};
    for (int i = 0; i < 4; ++i) {
      options.name = "blue-" + std::to_string(i);
      options.seed = seed_ + static_cast<uint64_t>(i);
      senders_.push_back(std::make_unique<Sender>(options));
    }
    topology_.journal = "  shards: 1\n";  // new labels must not move a series to another shard
    topology_.sources = blue("cluster: blue");
    topology_.to(a_, kQuickRetry).to(b_, kQuickRetry);
    gateway_.configure(topology_.yaml(gateway_));
    gateway_.start_ready();
  }

  Answer reload() { return http(gateway_.admin_port(), "POST", "/-/reload"); }
  double last_reload_successful() {
    return scrape(gateway_.admin_port()).sum("tollgate_config_last_reload_successful");
  }
  bool everywhere(const std::string& name, const std::string& value, const Sink& sink) {
    const auto received = sink.received();
    for (const auto& sender : senders_) {
      for (const std::string& series : sender->series()) {
        const auto found = received.find(series);
        if (found == received.end()) return false;
        bool there = false;
        for (const Labels& labels : found->second.label_sets) {
          for (const auto& label : labels) there |= label == std::pair(name, value);
        }
        if (!there) return false;
      }
    }
    return true;
  }

  const uint64_t seed_ = test_seed();
  TempDir dir_;
  Sink a_{"a", seed_}, b_{"b", seed_ + 1}, c_{"c", seed_ + 2};
  Gateway gateway_{dir_.path()};
  Topology topology_;
  Senders senders_;
};

TEST_F(Reload, UnderLoadLosesAndRepeatsNothing) {
  start(all(senders_));
  wait_for_progress(all(senders_), 30);

  // Other labels, by signal.
  topology_.sources = blue("cluster: blue, region: eu");
  gateway_.configure(topology_.yaml(gateway_));
  gateway_.signal(SIGHUP);
  EXPECT_TRUE(eventually(in(milliseconds(20'000)), [&] { return everywhere("region", "eu", a_); }));

  // One more source and one more destination, by request.
  const Headers late = {{"Authorization", "Bearer late-token"}};
  prometheus::WriteRequest request;
  add_series(request, {{"__name__", "late"}, {"sender", "late"}, {"series", "0"}}, 1, now_ms());
  EXPECT_EQ(write(gateway_.port(), request, late).status, 401);
  topology_.sources += kLateSource;
  topology_.to(c_, kQuickRetry);
  gateway_.configure(topology_.yaml(gateway_));
  const Answer good = reload();
  EXPECT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(write(gateway_.port(), request, late).status, 204);
  EXPECT_TRUE(eventually(in(milliseconds(20'000)), [&] { return everywhere("region", "eu", c_); }));
  EXPECT_TRUE(eventually(in(milliseconds(20'000)), [&] { return c_.highest("late/0") == 1; }));
  wait_for_progress(all(senders_), 30);

  // A destination goes away; the others do not notice.
  topology_.destinations.erase(topology_.destinations.begin() + 1);
  gateway_.configure(topology_.yaml(gateway_));
  EXPECT_EQ(reload().status, 200);
  wait_for_progress(all(senders_), 30);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(reload().status, 200) << "nothing changed";
    wait_for_progress(all(senders_), 3);
  }

  stop(all(senders_));
  wait_for_everything(all_const(senders_), {&a_, &c_});
  expect_ledger_closes(gateway_.admin_port(), {"a", "c"}, /*drops_allowed=*/true);
  expect_delivered(all_const(senders_), {&a_}, {.repeats = false});
  expect_delivered(all_const(senders_), {&c_}, {.repeats = false, .from_start = false});
  expect_delivered(all_const(senders_), {&b_}, {.repeats = false, .to_end = false});
  const Scrape metrics = scrape(gateway_.admin_port());
  EXPECT_EQ(metrics.sum("tollgate_dropped_samples_total", {{"destination", "a"}}), 0);
  EXPECT_EQ(metrics.sum("tollgate_dropped_samples_total", {{"destination", "c"}}), 0);
  gateway_.stop_gracefully();
}

// Removed and declared again while it fails and the gateway is killed: it starts where it is
// declared, keeps its order, and the others do not notice.
TEST_F(Reload, ADestinationMayComeAndGo) {
  start(all(senders_));
  for (int round = 0; round < 6; ++round) {
    wait_for_progress(all(senders_), 10);
    b_.set({.kind = round % 2 == 0 ? Fault::Kind::kStatus : Fault::Kind::kHang, .share = 0.5});
    Topology without = topology_;
    without.destinations.pop_back();
    gateway_.configure(without.yaml(gateway_));
    EXPECT_EQ(reload().status, 200);
    if (round == 3) {
      gateway_.kill9();
      ASSERT_NO_FATAL_FAILURE(gateway_.start_ready());
    }
    if (round % 3 != 0) wait_for_progress(all(senders_), 5);
    gateway_.configure(topology_.yaml(gateway_));
    EXPECT_EQ(reload().status, 200);
  }
  b_.set({});
  const uint64_t before = b_.samples();
  EXPECT_TRUE(eventually(in(milliseconds(20'000)), [&] { return b_.samples() > before; }));
  wait_for_progress(all(senders_), 20);
  stop(all(senders_));
  wait_for_everything(all_const(senders_), {&a_, &b_});
  expect_delivered(all_const(senders_), {&a_});
  expect_delivered(all_const(senders_), {&b_}, {.gaps = true});
  expect_ledger_closes(gateway_.admin_port(), {"a", "b"}, /*drops_allowed=*/true);
  EXPECT_EQ(
      scrape(gateway_.admin_port()).sum("tollgate_dropped_samples_total", {{"destination", "a"}}),
      0);
  gateway_.stop_gracefully();
}

TEST_F(Reload, ABrokenFileChangesNothingAndSaysWhere) {
  start(all(senders_));
  wait_for_progress(all(senders_), 10);
  EXPECT_EQ(last_reload_successful(), 1);
  Topology broken = topology_;
  broken.sources = blue("cluster: purple") + "    enforced_lables: {a: b}\n";
  gateway_.configure(broken.yaml(gateway_));
  const Answer answer = reload();
  EXPECT_NE(answer.status / 100, 2);
  EXPECT_TRUE(std::regex_search(answer.body, std::regex("tollgate\\.yml:[0-9]+:[0-9]+: ")))
      << answer.body;
  EXPECT_NE(answer.body.find("enforced_labels"), std::string::npos)
      << "the nearest known key is named: " << answer.body;
  EXPECT_EQ(last_reload_successful(), 0);
  wait_for_progress(all(senders_), 10);
  EXPECT_EQ(http(gateway_.admin_port(), "GET", "/-/ready").status, 200);

  gateway_.configure(topology_.yaml(gateway_));
  EXPECT_EQ(reload().status, 200);
  EXPECT_EQ(last_reload_successful(), 1);
  gateway_.configure(broken.yaml(gateway_));
  gateway_.signal(SIGHUP);
  EXPECT_TRUE(eventually(in(milliseconds(20'000)), [&] { return last_reload_successful() == 0; }));
  wait_for_progress(all(senders_), 10);
  stop(all(senders_));
  wait_for_everything(all_const(senders_), {&a_, &b_});
  expect_delivered(all_const(senders_), {&a_, &b_}, {.repeats = false});  // nowhere purple
  expect_ledger_closes(gateway_.admin_port(), {"a", "b"});
  gateway_.stop_gracefully();
}

// What needs a restart stays as it is, with a warning that names the key, and everything goes on.
TEST_F(Reload, TheJournalCannotMove) {
  start(all(senders_));
  wait_for_progress(all(senders_), 5);
  Topology moved = topology_;
  moved.journal_path = (dir_.path() / "elsewhere").string();
  gateway_.configure(moved.yaml(gateway_));
  (void)reload();
  EXPECT_NE(gateway_.log().find("journal.path"), std::string::npos) << gateway_.log_tail();
  wait_for_progress(all(senders_), 5);
  EXPECT_FALSE(std::filesystem::exists(moved.journal_path));
  stop(all(senders_));
  wait_for_everything(all_const(senders_), {&a_, &b_});
  expect_delivered(all_const(senders_), {&a_, &b_}, {.repeats = false});
  gateway_.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
