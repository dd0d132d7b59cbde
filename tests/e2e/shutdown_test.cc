#include <gtest/gtest.h>
#include <signal.h>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

TEST(Shutdown, SigtermUnderLoadIsCleanAndRestartDeliversTheRest) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink good("good", seed), dead("dead", seed);
  dead.vanish();
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources = kThreeSources;
  gateway.configure(topology.to(good, kQuickRetry).to(dead, kQuickRetry).yaml(gateway));
  gateway.set_flags({"--shutdown.drain-timeout=1s"});  // dead will not take it anyway
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Senders senders;
  for (const char* source : {"blue", "green", "ops"}) {
    add_senders(senders, source, 3, gateway.port(), seed);
  }
  start(all(senders));
  for (int round = 0; round < 4; ++round) {
    wait_for_progress(all(senders), 20);
    gateway.stop_gracefully();
    ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  }
  wait_for_progress(all(senders), 20);
  stop(all(senders));
  dead.come_back();
  wait_for_everything(all_const(senders), {&good, &dead});
  // Exactly once: good always answered, and dead was never reached before.
  expect_delivered(all_const(senders), {&good, &dead}, {.repeats = false});
  expect_ledger_closes(gateway.admin_port(), {"good", "dead"});
  gateway.stop_gracefully();
}

// A destination that never answers cannot hold up the end for ever, and senders are told to go
// elsewhere meanwhile.
TEST(Shutdown, StoppingRefusesSendersAndDoesNotWaitForAHungSink) {
  TempDir dir;
  Sink hung("hung");
  hung.set({.kind = Fault::Kind::kHang});
  Gateway gateway(dir.path());
  Topology topology;
  gateway.configure(topology.to(hung).yaml(gateway));
  gateway.set_flags({"--shutdown.drain-timeout=3s"});
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  prometheus::WriteRequest request;
  add_series(request, {{"__name__", "x"}, {"sender", "s"}, {"series", "0"}}, 1, now_ms());
  ASSERT_EQ(write(gateway.port(), request).status, 204);
  ASSERT_TRUE(eventually(in(milliseconds(10'000)), [&] { return hung.requests_seen() > 0; }));

  // A connection that was open before, with half a request on it.
  Headers headers = write_headers();
  const std::string bytes = render_request("POST", "/api/v1/write", headers, compress(request));
  Socket open = connect_to(gateway.port(), in(milliseconds(5'000)));
  ASSERT_TRUE(send_all(open, bytes.substr(0, 40), in(milliseconds(5'000))));
  gateway.signal(SIGTERM);
  ASSERT_TRUE(eventually(in(milliseconds(20'000)), [&] {
    return http(gateway.port(), "GET", "/").status == 0 || !gateway.running();
  })) << "it still accepts connections";
  (void)send_all(open, bytes.substr(40), in(milliseconds(5'000)));
  HttpReader reader(open);
  const auto answer = reader.read(in(milliseconds(30'000)));
  if (answer) {
    EXPECT_TRUE(answer->status() == 503 || answer->status() == 204) << answer->start;
    EXPECT_EQ(answer->status() == 503, answer->headers.count("retry-after") == 1);
  }
  const auto exit = gateway.wait(in(milliseconds(40'000)));
  ASSERT_TRUE(exit.has_value()) << gateway.log_tail();
  EXPECT_EQ(exit->text(), "exit code 0") << gateway.log_tail();

  hung.set({});
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  EXPECT_TRUE(eventually(in(milliseconds(20'000)), [&] { return hung.highest("s/0") == 1; }));
  expect_ledger_closes(gateway.admin_port(), {"hung"});
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
