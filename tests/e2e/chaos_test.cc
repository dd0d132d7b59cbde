#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <random>
#include <thread>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

Fault random_fault(std::mt19937_64& random) {
  Fault fault;
  fault.share = random() % 2 == 0 ? 1.0 : 0.3;
  switch (random() % 8) {
    case 0:
      fault.kind = Fault::Kind::kHang;
      break;
    case 1:
      fault.kind = Fault::Kind::kReset;
      break;
    case 2:
      fault.kind = Fault::Kind::kLoseAnswer;
      break;
    case 3:
      fault.kind = Fault::Kind::kSlow;
      fault.delay = milliseconds(100);
      break;
    case 4:
    case 5:
      fault.kind = Fault::Kind::kStatus;
      fault.status = random() % 2 == 0 ? 500 : 503;
      break;
    case 6:
      fault.kind = Fault::Kind::kStatus;
      fault.status = 429;
      fault.retry_after = "1";
      break;
    default:
      break;  // well for a while
  }
  return fault;
}

// Changes one of the sinks every now and then, until told to stop; then heals them all.
class Mischief {
 public:
  Mischief(std::vector<Sink*> sinks, uint64_t seed) : sinks_(std::move(sinks)), random_(seed) {
    thread_ = std::thread([this] {
      while (!stopping_) {
        Sink& sink = *sinks_[random_() % sinks_.size()];
        if (random_() % 8 == 0) {
          sink.vanish();
        } else {
          sink.come_back();
          sink.set(random_fault(random_));
        }
        std::this_thread::sleep_for(milliseconds(50 + random_() % 400));
      }
    });
  }
  ~Mischief() { heal(); }
  Mischief(const Mischief&) = delete;
  Mischief& operator=(const Mischief&) = delete;
  void heal() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    for (Sink* sink : sinks_) {
      sink->come_back();
      sink->set({});
    }
  }

 private:
  std::vector<Sink*> sinks_;
  std::mt19937_64 random_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// kill -9 at random moments and a reload now and then, among sinks that do everything wrong.
void storm(const std::string& journal, size_t least_kills, milliseconds duration) {
  const uint64_t seed = test_seed();
  std::mt19937_64 random(seed);
  TempDir dir;
  Sink a("a", seed), b("b", seed + 1), c("c", seed + 2);
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources = kThreeSources;
  topology.journal = journal;
  gateway.configure(
      topology.to(a, kQuickRetry).to(b, kQuickRetry).to(c, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Senders senders;
  for (const char* source : {"blue", "green", "ops"}) {
    add_senders(senders, source, 4, gateway.port(), seed);
  }
  start(all(senders));
  Mischief mischief({&a, &b, &c}, seed + 3);
  size_t kills = 0;
  const Deadline end = in(duration);
  while (Clock::now() < end || kills < least_kills) {
    std::this_thread::sleep_for(milliseconds(random() % 3000));
    if (random() % 3 == 0) gateway.signal(SIGHUP);
    ASSERT_TRUE(gateway.running()) << "died by itself:\n" << gateway.log_tail();
    gateway.kill9();
    ++kills;
    ASSERT_NO_FATAL_FAILURE(gateway.start());
    // Now and then it is killed again while it recovers.
    if (random() % 4 != 0) {
      ASSERT_TRUE(gateway.wait_ready(in(milliseconds(30'000)))) << gateway.log_tail();
    }
  }
  mischief.heal();
  ASSERT_TRUE(gateway.wait_ready(in(milliseconds(30'000)))) << gateway.log_tail();
  wait_for_progress(all(senders), 5);
  stop(all(senders));
  wait_for_everything(all_const(senders), {&a, &b, &c});
  const Ledger ledger = expect_ledger_closes(gateway.admin_port(), {"a", "b", "c"});
  expect_delivered(all_const(senders), {&a, &b, &c});
  uint64_t acknowledged = 0;
  for (const auto& sender : senders) {
    acknowledged += sender->acknowledged() * static_cast<uint64_t>(sender->options().series);
  }
  uint64_t accepted = 0;
  for (const auto& [key, entry] : ledger) {
    if (key.first == "a") accepted += entry.accepted;
  }
  EXPECT_GE(accepted, acknowledged) << "accepted samples were forgotten by a restart";
  const Scrape metrics = scrape(gateway.admin_port());
  EXPECT_EQ(metrics.sum("tollgate_journal_corrupt_records_total"), 0);
  std::cout << kills << " kills, " << acknowledged << " samples acknowledged, " << accepted
            << " accepted, " << a.samples() << "/" << b.samples() << "/" << c.samples()
            << " arrived" << std::endl;
  gateway.stop_gracefully();
}

TEST(Chaos, Kill9AndFailingSinksLoseNothing) { storm("", 8, test_duration(22)); }

// Several shards a stream, small segments: more lanes, and segments come and go all the time.
TEST(Chaos, Kill9WithManyShardsAndSmallSegmentsLosesNothing) {
  storm("  shards: 4\n  segment_size: 1MB\n  retention: 0s\n", 5, test_duration(14));
}

}  // namespace
}  // namespace tollgate::e2e
