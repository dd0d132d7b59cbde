#include <gtest/gtest.h>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

TEST(Steady, ThreeSourcesReachThreeSinksExactlyOnce) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink a("a", seed), b("b", seed + 1), c("c", seed + 2);
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources = kThreeSources;
  gateway.configure(
      topology.to(a, kQuickRetry).to(b, kQuickRetry).to(c, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Senders senders;
  for (const char* source : {"blue", "green", "ops"}) {
    add_senders(senders, source, 4, gateway.port(), seed);
  }
  start(all(senders));
  wait_for_progress(all(senders), 30);
  const Deadline end = in(test_duration(5));
  while (Clock::now() < end) wait_for_progress(all(senders), 20);
  stop(all(senders));
  wait_for_everything(all_const(senders), {&a, &b, &c});
  expect_delivered(all_const(senders), {&a, &b, &c}, {.repeats = false});
  for (const auto& sender : senders) EXPECT_EQ(sender->retries(0), 0u);

  const Ledger ledger = expect_ledger_closes(gateway.admin_port(), {"a", "b", "c"});
  const Scrape metrics = scrape(gateway.admin_port());
  for (const Sink* sink : {&a, &b, &c}) {
    for (const std::string tenant : {"team-blue", "team-green", "team-lime", "platform"}) {
      const auto row = ledger.find({sink->name(), tenant});
      ASSERT_NE(row, ledger.end()) << sink->name() << " " << tenant;
      EXPECT_EQ(row->second.delivered, sink->samples_of(tenant)) << sink->name() << " " << tenant;
      EXPECT_EQ(row->second.accepted,
                metrics.sum("tollgate_accepted_samples_total", {{"tenant", tenant}}));
    }
  }
  EXPECT_TRUE(metrics.problems().empty()) << metrics.problems()[0];
  EXPECT_EQ(metrics.sum("tollgate_accepted_samples_total"), static_cast<double>(a.samples()));
  EXPECT_EQ(metrics.sum("tollgate_received_samples_total"), static_cast<double>(a.samples()));
  EXPECT_EQ(metrics.sum("tollgate_rejected_samples_total"), 0);
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
