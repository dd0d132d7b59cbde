#include <gtest/gtest.h>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

// Progress, not time: the healthy sink has everything while the others have not.
TEST(Isolation, ADeadAndASlowSinkDelayNoOther) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink healthy("healthy", seed), dead("dead", seed), slow("slow", seed), hung("hung", seed);
  dead.vanish();
  slow.set({.kind = Fault::Kind::kSlow, .delay = milliseconds(1500)});
  hung.set({.kind = Fault::Kind::kHang});
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources = kThreeSources;
  const std::string queue =
      "    queue_config: {min_backoff: 10ms, max_backoff: 200ms, max_samples_per_send: 100}\n";
  topology.to(dead, queue).to(slow, queue).to(hung, queue).to(healthy, queue);
  gateway.configure(topology.yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Senders senders;
  for (const char* source : {"blue", "green", "ops"}) {
    add_senders(senders, source, 2, gateway.port(), seed);
  }
  start(all(senders));
  wait_for_progress(all(senders), 300);
  stop(all(senders));
  wait_for_everything(all_const(senders), {&healthy});
  EXPECT_EQ(dead.samples(), 0u);
  EXPECT_EQ(hung.samples(), 0u);
  EXPECT_LT(slow.samples(), healthy.samples());
  const Scrape metrics = scrape(gateway.admin_port());
  const double accepted = metrics.sum("tollgate_accepted_samples_total");
  EXPECT_EQ(metrics.sum("tollgate_pending_samples", {{"destination", "dead"}}), accepted);
  EXPECT_EQ(metrics.sum("tollgate_pending_samples", {{"destination", "hung"}}), accepted);
  EXPECT_GT(metrics.sum("tollgate_pending_samples", {{"destination", "slow"}}), 0);
  EXPECT_GT(metrics.sum("tollgate_pending_bytes", {{"destination", "dead"}}), 0);

  // And when they are back, each gets what it missed.
  dead.come_back();
  slow.set({});
  hung.set({});
  wait_for_everything(all_const(senders), {&dead, &slow, &hung});
  expect_delivered(all_const(senders), {&healthy}, {.repeats = false});
  expect_delivered(all_const(senders), {&dead, &slow, &hung});
  expect_ledger_closes(gateway.admin_port(), {"healthy", "dead", "slow", "hung"});
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
