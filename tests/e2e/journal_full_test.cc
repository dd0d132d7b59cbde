#include <gtest/gtest.h>

#include <iostream>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

// A sender whose requests are large, so that a small journal is soon full.
SenderOptions bulky(uint16_t port, const std::string& name = "bulky") {
  SenderOptions options;
  options.name = name;
  options.port = port;
  options.padding = 3000;
  options.pace = milliseconds(0);
  return options;
}

prometheus::WriteRequest one_sample() {
  prometheus::WriteRequest request;
  add_series(request, {{"__name__", "m"}, {"sender", "one"}, {"series", "0"}}, 1, now_ms());
  return request;
}

uint64_t bytes_in(const std::filesystem::path& directory) {
  uint64_t sum = 0;
  std::error_code gone;  // files come and go meanwhile
  for (std::filesystem::directory_iterator i(directory, gone), end; !gone && i != end;
       i.increment(gone)) {
    const uint64_t size = i->file_size(gone);
    if (!gone) sum += size;
  }
  return sum;
}

TEST(JournalFull, RejectAnswers503UntilADestinationHasTakenSome) {
  TempDir dir;
  Sink sink("sink");
  sink.vanish();
  Gateway gateway(dir.path());
  Topology topology;
  topology.journal = "  max_size: 4MB\n  segment_size: 1MB\n";
  gateway.configure(topology.to(sink, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Sender sender(bulky(gateway.port()));
  sender.start();
  ASSERT_TRUE(eventually(in(milliseconds(60'000)), [&] { return sender.retries(503) > 2; }))
      << sender.acknowledged() << " " << sender.failure();
  const uint64_t reached = sender.acknowledged();
  EXPECT_GT(reached, 0u);
  // As large as the sender's, so that it finds no room either.
  const Answer answer = write(gateway.port(), Sender(bulky(0, "probe")).make(1, 1));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.count("retry-after"), 1u);
  EXPECT_NE(answer.body.find("journal.max_size"), std::string::npos) << answer.body;
  EXPECT_LE(bytes_in(gateway.journal()), 5u << 20) << "disk stops at journal.max_size";
  const Scrape metrics = scrape(gateway.admin_port());
  EXPECT_GT(metrics.sum("tollgate_rejected_samples_total", {{"reason", "journal_full"}}), 0);
  EXPECT_GE(metrics.sum("tollgate_ingest_requests_total", {{"code", "503"}}), 3);
  EXPECT_EQ(metrics.sum("tollgate_dropped_samples_total"), 0);

  // Full also after a kill -9; and what was acknowledged is still there.
  gateway.kill9();
  ASSERT_NO_FATAL_FAILURE(gateway.start());
  ASSERT_TRUE(eventually(in(milliseconds(30'000)), [&] {
    return http(gateway.admin_port(), "GET", "/-/healthy").status == 200;
  })) << gateway.log_tail();
  sink.come_back();
  // Delivered data may be kept for reading (retention), but never at the price of refusing.
  wait_for_progress({&sender}, reached);
  sender.stop();
  wait_for_everything({&sender}, {&sink});
  expect_delivered({&sender}, {&sink});
  expect_ledger_closes(gateway.admin_port(), {"sink"});
  gateway.stop_gracefully();
}

TEST(JournalFull, DropOldestCountsExactlyWhatItDrops) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink up("up", seed), down("down", seed);
  down.vanish();
  Gateway gateway(dir.path());
  Topology topology;
  topology.journal = "  max_size: 4MB\n  segment_size: 1MB\n  on_full: drop_oldest\n";
  gateway.configure(topology.to(up, kQuickRetry).to(down, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Sender one(bulky(gateway.port(), "one")), two(bulky(gateway.port(), "two"));
  start({&one, &two});
  const Scrape::LabelMap lost = {{"destination", "down"}, {"reason", "journal_full"}};
  EXPECT_TRUE(eventually(in(milliseconds(60'000)), [&] {
    return scrape(gateway.admin_port()).sum("tollgate_dropped_samples_total", lost) > 1000;
  }));
  wait_for_progress({&one, &two}, 50);
  // The count survives a crash in the middle of it.
  gateway.kill9();
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  wait_for_progress({&one, &two}, 200);
  stop({&one, &two});
  EXPECT_EQ(one.retries(503) + two.retries(503), 0u) << "drop_oldest never refuses";
  down.come_back();
  const Ledger ledger = expect_ledger_closes(gateway.admin_port(), {"up", "down"}, true);
  const LedgerEntry& row = ledger.at({"down", "default"});
  EXPECT_GT(row.dropped, 1000u);
  EXPECT_EQ(row.delivered, down.samples()) << render(row);
  EXPECT_EQ(scrape(gateway.admin_port()).sum("tollgate_dropped_samples_total", lost),
            static_cast<double>(row.dropped));
  expect_delivered({&one, &two}, {&down}, {.gaps = true});
  EXPECT_LE(bytes_in(gateway.journal()), 5u << 20);
  std::cout << "down: " << render(row) << "; up: " << render(ledger.at({"up", "default"})) << "\n";
  gateway.stop_gracefully();
}

// The sink answers, but never fast enough: blocks are dropped while they are on their way to it.
TEST(JournalFull, DropOldestUnderASlowSinkKeepsOrderAndTheLedger) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink slow("slow", seed);
  slow.set({.kind = Fault::Kind::kSlow, .delay = milliseconds(150)});
  Gateway gateway(dir.path());
  Topology topology;
  topology.journal = "  max_size: 2MB\n  segment_size: 512KB\n  on_full: drop_oldest\n";
  gateway.configure(topology.to(slow, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  SenderOptions options = bulky(gateway.port(), "one");
  Sender one(options);
  options.name = "two";
  options.seed = 2;
  Sender two(options);
  start({&one, &two});
  const auto dropped = [&] {
    return scrape(gateway.admin_port())
        .sum("tollgate_dropped_samples_total", {{"reason", "journal_full"}});
  };
  EXPECT_TRUE(eventually(in(milliseconds(60'000)), [&] { return dropped() > 500; }));
  for (int round = 0; round < 2; ++round) {
    gateway.kill9();
    ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
    const double before = dropped();
    EXPECT_TRUE(eventually(in(milliseconds(60'000)), [&] { return dropped() > before + 300; }));
  }
  stop({&one, &two});
  slow.set({});
  const Ledger ledger = expect_ledger_closes(gateway.admin_port(), {"slow"}, true);
  const LedgerEntry& row = ledger.at({"slow", "default"});
  // What was dropped while on its way has arrived all the same; nothing is called delivered that
  // has not.
  EXPECT_LE(row.delivered, slow.samples()) << render(row);
  EXPECT_GT(row.delivered, 0u);
  expect_delivered({&one, &two}, {&slow}, {.gaps = true});
  std::cout << render(row) << "; arrived " << slow.samples() << "\n";
  gateway.stop_gracefully();
}

TEST(Journal, ASecondProcessOnTheSameDirectoryRefusesToStart) {
  TempDir dir;
  Sink sink("sink");
  Gateway first(dir.path() / "first"), second(dir.path() / "second");
  Topology topology;
  topology.to(sink);
  first.configure(topology.yaml(first));
  ASSERT_NO_FATAL_FAILURE(first.start_ready());
  topology.journal_path = first.journal().string();
  second.configure(topology.yaml(second));
  second.start();
  const auto exit = second.wait(in(milliseconds(20'000)));
  ASSERT_TRUE(exit.has_value()) << second.log_tail();
  EXPECT_EQ(exit->signal, 0) << exit->text();
  EXPECT_GT(exit->code, 0);
  EXPECT_NE(second.log().find(first.journal().string()), std::string::npos) << second.log();
  EXPECT_NE(second.log().find("another process"), std::string::npos) << second.log();
  EXPECT_EQ(write(first.port(), one_sample()).status, 204);
  EXPECT_TRUE(eventually(in(milliseconds(10'000)), [&] { return sink.highest("one/0") == 1; }));
  first.stop_gracefully();
  // And when the first has gone, there is nothing in the way.
  ASSERT_NO_FATAL_FAILURE(second.start_ready());
  second.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
