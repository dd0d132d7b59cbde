#include "admin/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>

#include "../metrics/promtool.h"
#include "fake_gateway.h"
#include "metrics/registry.h"

namespace tollgate::admin {
namespace {

using model::DropReason;
using testing::HasSubstr;

// The exposition as {line without its value → value}, comments left out.
std::map<std::string, uint64_t> values_of(const std::string& text) {
  std::map<std::string, uint64_t> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line[0] == '#') continue;
    const size_t space = line.rfind(' ');
    EXPECT_TRUE(
        out.emplace(line.substr(0, space), static_cast<uint64_t>(std::atof(line.c_str() + space)))
            .second)
        << "twice: " << line;
  }
  return out;
}

// Two sources and shards of one tenant, another tenant; one destination from the beginning, one
// added later, one removed with samples pending.
class LedgerOf : public testing::Test {
 protected:
  LedgerOf() {
    const auto blue0 = journal_.stream("team", "blue", 0);
    const auto blue1 = journal_.stream("team", "blue", 1);
    const auto green = journal_.stream("team", "green");
    const auto other = journal_.stream("other", "ops");
    journal_.declare("thanos");
    journal_.declare("gone");
    journal_.accept(blue0, 100);
    journal_.accept(blue1, 20);
    journal_.accept(green, 7);
    journal_.declare("amp");
    journal_.accept(green, 3);
    journal_.accept(other, 1);
    journal_.deliver("thanos", blue0, 90);
    journal_.drop("thanos", blue0, 4, DropReason::kRefused);
    journal_.drop("thanos", blue1, 20, DropReason::kCorrupt);
    journal_.deliver("thanos", green, 10);
    journal_.deliver("thanos", other, 1);
    journal_.deliver("amp", green, 3);
    journal_.deliver("gone", blue0, 100);
    journal_.remove("gone");
    journal::Stats stats;
    stats.appended_bytes = 4321;
    stats.size_bytes = 1 << 20;
    stats.segments = 3;
    stats.corrupt_records = 2;
    stats.checkpoint_failures = 1;
    stats.oldest_ms = 1'700'000'000'250;
    journal_.set_stats(stats);
  }
  FakeJournal journal_;
  const AdminHooks hooks_ = hooks_on(journal_, {"amp", "idle", "thanos"});
};

TEST_F(LedgerOf, StreamsIsSummedByDestinationAndTenant) {
  const auto balances = take_ledger(hooks_).by_destination_and_tenant();
  ASSERT_EQ(balances.size(), 6u);
  const Balance& team = balances.at({"thanos", "team"});
  EXPECT_EQ(team.accepted, 130u);
  EXPECT_EQ(team.delivered, 100u);
  EXPECT_EQ(team.dropped_total(), 24u);
  EXPECT_EQ(team.dropped[static_cast<size_t>(DropReason::kRefused)], 4u);
  EXPECT_EQ(team.dropped[static_cast<size_t>(DropReason::kCorrupt)], 20u);
  EXPECT_EQ(team.pending, 6u);
  EXPECT_EQ(team.pending_bytes, 60u);
  EXPECT_EQ(team.oldest_pending_ms, 1'700'000'000'500);
  EXPECT_EQ(balances.at({"thanos", "other"}).accepted, 1u);
  EXPECT_EQ(balances.at({"thanos", "other"}).oldest_pending_ms, 0);
  for (const auto& [key, balance] : balances) {
    EXPECT_TRUE(balance.closes()) << key.first << " " << key.second;
  }
}

TEST_F(LedgerOf, ALateDestinationCountsFromItsBeginning) {
  const auto balances = take_ledger(hooks_).by_destination_and_tenant();
  EXPECT_EQ(balances.at({"amp", "team"}).accepted, 3u);
  EXPECT_EQ(balances.at({"amp", "team"}).pending, 0u);
  EXPECT_EQ(balances.at({"amp", "other"}).pending, 1u);
}

TEST_F(LedgerOf, ARemovedDestinationSaysWhatItDidNotGet) {
  const auto balances = take_ledger(hooks_).by_destination_and_tenant();
  const Balance& gone = balances.at({"gone", "team"});
  EXPECT_EQ(gone.dropped[static_cast<size_t>(DropReason::kDestinationRemoved)], 30u);
  EXPECT_EQ(gone.accepted, 30u);
  EXPECT_TRUE(gone.closes());
  // Under the same name again, it goes on from there.
  journal_.declare("gone");
  journal_.accept(0, 5);
  journal_.deliver("gone", 0, 2);
  const Balance again = take_ledger(hooks_).by_destination_and_tenant().at({"gone", "team"});
  EXPECT_EQ(again.accepted, 35u);
  EXPECT_EQ(again.delivered, 2u);
  EXPECT_EQ(again.pending, 3u);
  EXPECT_TRUE(again.closes());
}

TEST_F(LedgerOf, AcceptedCountsASampleOnce) {
  const auto accepted = take_ledger(hooks_).accepted;
  EXPECT_EQ(accepted,
            (std::map<std::pair<std::string, std::string>, uint64_t>{
                {{"blue", "team"}, 120}, {{"green", "team"}, 10}, {{"ops", "other"}, 1}}));
}

TEST(Ledger, AcceptedIsThereWithoutDestinations) {
  FakeJournal journal;
  journal.accept(journal.stream("team", "blue"), 12);
  const Ledger ledger = take_ledger(hooks_on(journal, {}));
  EXPECT_TRUE(ledger.rows.empty());
  EXPECT_EQ(ledger.accepted.at({"blue", "team"}), 12u);
}

TEST(Ledger, TheOldestPendingIsTheEarliestOfAll) {
  Balance a, b, none;
  a.oldest_pending_ms = 5;
  b.oldest_pending_ms = 3;
  EXPECT_EQ((Balance{} += a).oldest_pending_ms, 5);
  Balance sum;
  sum += a;
  sum += none;
  sum += b;
  EXPECT_EQ(sum.oldest_pending_ms, 3);
}

TEST_F(LedgerOf, MetricsAreThoseOfTheContract) {
  metrics::Registry registry;
  register_ledger_metrics(registry, hooks_);
  const std::string text = registry.text();
  const std::string expected =
      R"(# HELP tollgate_accepted_samples_total Samples acknowledged as durable, since the journal's directory was created.
# TYPE tollgate_accepted_samples_total counter
tollgate_accepted_samples_total{source="blue",tenant="team"} 120
tollgate_accepted_samples_total{source="green",tenant="team"} 10
tollgate_accepted_samples_total{source="ops",tenant="other"} 1
# HELP tollgate_delivered_samples_total Samples that the destination has taken.
# TYPE tollgate_delivered_samples_total counter
tollgate_delivered_samples_total{destination="amp",tenant="other"} 0
tollgate_delivered_samples_total{destination="amp",tenant="team"} 3
tollgate_delivered_samples_total{destination="gone",tenant="other"} 0
tollgate_delivered_samples_total{destination="gone",tenant="team"} 0
tollgate_delivered_samples_total{destination="thanos",tenant="other"} 1
tollgate_delivered_samples_total{destination="thanos",tenant="team"} 100
# HELP tollgate_destination_accepted_samples_total Samples accepted for the destination since it was declared: always delivered + dropped + pending.
# TYPE tollgate_destination_accepted_samples_total counter
tollgate_destination_accepted_samples_total{destination="amp",tenant="other"} 1
tollgate_destination_accepted_samples_total{destination="amp",tenant="team"} 3
tollgate_destination_accepted_samples_total{destination="gone",tenant="other"} 1
tollgate_destination_accepted_samples_total{destination="gone",tenant="team"} 30
tollgate_destination_accepted_samples_total{destination="thanos",tenant="other"} 1
tollgate_destination_accepted_samples_total{destination="thanos",tenant="team"} 130
# HELP tollgate_destination_oldest_pending_timestamp_seconds When the oldest pending samples were accepted; 0 = nothing is pending.
# TYPE tollgate_destination_oldest_pending_timestamp_seconds gauge
tollgate_destination_oldest_pending_timestamp_seconds{destination="amp"} 1700000000.5
tollgate_destination_oldest_pending_timestamp_seconds{destination="gone"} 0
tollgate_destination_oldest_pending_timestamp_seconds{destination="idle"} 0
tollgate_destination_oldest_pending_timestamp_seconds{destination="thanos"} 1700000000.5
)";
  EXPECT_EQ(text.substr(0, expected.size()), expected);
  const auto values = values_of(text);
  const std::map<std::string, uint64_t> rest = {
      {R"(tollgate_dropped_samples_total{destination="thanos",reason="refused",tenant="team"})", 4},
      {R"(tollgate_dropped_samples_total{destination="thanos",reason="corrupt",tenant="team"})",
       20},
      {R"(tollgate_dropped_samples_total{destination="gone",reason="destination_removed",tenant="team"})",
       30},
      {R"(tollgate_pending_samples{destination="amp",tenant="other"})", 1},
      {R"(tollgate_pending_samples{destination="thanos",tenant="team"})", 6},
      {R"(tollgate_pending_samples{destination="thanos",tenant="other"})", 0},
      {R"(tollgate_pending_bytes{destination="amp"})", 10},
      {R"(tollgate_pending_bytes{destination="gone"})", 0},
      {R"(tollgate_pending_bytes{destination="idle"})", 0},
      {R"(tollgate_pending_bytes{destination="thanos"})", 60},
      {"tollgate_journal_appended_bytes_total", 4321},
      {"tollgate_journal_size_bytes", 1 << 20},
      {"tollgate_journal_segments", 3},
      {"tollgate_journal_oldest_timestamp_seconds", 1700000000},
      {"tollgate_journal_corrupt_records_total", 2},
      {"tollgate_journal_checkpoint_failures_total", 1},
      {"tollgate_journal_healthy", 1},
  };
  for (const auto& [name, value] : rest) {
    ASSERT_EQ(values.count(name), 1u) << name << "\n" << text;
    EXPECT_EQ(values.at(name), value) << name;
  }
  EXPECT_PROMTOOL_LIKES(text);
}

TEST_F(LedgerOf, EveryReasonIsAlwaysThere) {
  metrics::Registry registry;
  register_ledger_metrics(registry, hooks_);
  const auto values = values_of(registry.text());
  for (size_t i = 0; i < model::kDropReasons; i++) {
    for (const char* tenant : {"team", "other"}) {
      const std::string name = "tollgate_dropped_samples_total{destination=\"amp\",reason=\"" +
                               std::string(model::name(static_cast<DropReason>(i))) +
                               "\",tenant=\"" + tenant + "\"}";
      ASSERT_EQ(values.count(name), 1u) << name;
      EXPECT_EQ(values.at(name), 0u);
    }
  }
}

TEST_F(LedgerOf, AnUnhealthyJournalShows) {
  journal::Stats stats;
  stats.healthy = false;
  journal_.set_stats(stats);
  metrics::Registry registry;
  register_ledger_metrics(registry, hooks_);
  EXPECT_THAT(registry.text(), HasSubstr("\ntollgate_journal_healthy 0\n"));
  EXPECT_THAT(registry.text(), HasSubstr("\ntollgate_journal_oldest_timestamp_seconds 0\n"));
}

// Not even once: two clocks that are read one after the other would show more delivered than
// accepted.
TEST(LedgerMetrics, CloseInEveryScrapeWhileNumbersMove) {
  FakeJournal journal;
  std::vector<journal::StreamId> streams;
  for (const char* source : {"blue", "green"}) {
    for (uint32_t shard = 0; shard < 2; shard++) {
      streams.push_back(journal.stream("team", source, shard));
    }
  }
  journal.declare("a");
  journal.declare("b");
  journal.accept(streams[0], 1000);
  journal.declare("late");
  metrics::Registry registry;
  register_ledger_metrics(registry, hooks_on(journal, {"a", "b", "late"}));

  std::atomic<bool> stop{false};
  std::thread mover([&] {
    std::mt19937 random(7);
    while (!stop) {
      const auto stream = streams[random() % streams.size()];
      journal.accept(stream, random() % 50);
      for (const char* name : {"a", "b", "late"}) {
        journal.deliver_up_to(name, streams[random() % streams.size()], random() % 60);
      }
    }
  });
  uint64_t last = 0, changes = 0;
  for (int scrape = 0; scrape < 2000 || changes < 20; scrape++) {
    const auto values = values_of(registry.text());
    uint64_t accepted = 0;
    for (const auto& [name, value] : values) {
      if (name.rfind("tollgate_accepted_samples_total{", 0) == 0) accepted += value;
    }
    for (const std::string destination : {"a", "b", "late"}) {
      const std::string labels = "{destination=\"" + destination + "\",tenant=\"team\"}";
      const uint64_t mine = values.at("tollgate_destination_accepted_samples_total" + labels);
      ASSERT_EQ(mine, values.at("tollgate_delivered_samples_total" + labels) +
                          values.at("tollgate_pending_samples" + labels))
          << destination;
      ASSERT_EQ(mine + (destination == "late" ? 1000 : 0), accepted) << destination;
    }
    ASSERT_GE(accepted, last);
    changes += accepted != last;
    last = accepted;
  }
  stop = true;
  mover.join();
}

}  // namespace
}  // namespace tollgate::admin
