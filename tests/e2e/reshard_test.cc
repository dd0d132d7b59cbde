#include <gtest/gtest.h>
#include <signal.h>

#include <random>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

// A stream changes its number of shards under load while sinks fail and the gateway is killed: a
// series then moves from one lane to another, and must not overtake itself.
TEST(Reshard, ChangingTheNumberOfShardsKeepsOrderAndLosesNothing) {
  const uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  TempDir dir;
  Sink good("good", seed), flaky("flaky", seed + 1);
  flaky.set({.kind = Fault::Kind::kStatus, .status = 503, .share = 0.4});
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources = kThreeSources;
  const std::string small =
      "    remote_timeout: 2s\n"
      "    queue_config: {min_backoff: 10ms, max_backoff: 50ms, batch_send_deadline: 10ms, "
      "max_samples_per_send: 50}\n";
  topology.to(good, small).to(flaky, small);
  topology.journal = "  shards: 1\n";
  gateway.configure(topology.yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Senders senders;
  SenderOptions many;
  many.pace = milliseconds(1);
  for (const char* source : {"blue", "green", "ops"}) {
    add_senders(senders, source, 2, gateway.port(), seed, many);
  }
  start(all(senders));
  const char* const counts[] = {"4", "2", "7", "1", "4", "3", "auto", "2"};
  for (const char* count : counts) {
    wait_for_progress(all(senders), 10 + random() % 20);
    topology.journal = std::string("  shards: ") + count + "\n";
    gateway.configure(topology.yaml(gateway));
    if (random() % 3 == 0) {
      gateway.kill9();
      ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
    } else {
      const Answer answer = http(gateway.admin_port(), "POST", "/-/reload");
      EXPECT_EQ(answer.status, 200) << answer.body;
    }
  }
  wait_for_progress(all(senders), 20);
  stop(all(senders));
  flaky.set({});
  wait_for_everything(all_const(senders), {&good, &flaky});
  expect_delivered(all_const(senders), {&good, &flaky});
  expect_ledger_closes(gateway.admin_port(), {"good", "flaky"});
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
