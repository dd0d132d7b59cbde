#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "metrics/registry.h"

namespace tollgate::metrics {
namespace {

constexpr int kThreads = 12;  // more than a counter has cells
constexpr int kRounds = 20'000;

void on_threads(const std::function<void(int)>& body) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) threads.emplace_back(body, t);
  for (std::thread& thread : threads) thread.join();
}

TEST(Concurrency, NothingCountedIsLost) {
  Registry registry;
  Counter& counter = registry.counter("tollgate_x_total", "Help.");
  Gauge& gauge = registry.gauge("tollgate_x", "Help.");
  Histogram& histogram = registry.histogram("tollgate_x_seconds", "Help.", {}, {1, 2});
  on_threads([&](int) {
    for (int i = 0; i < kRounds; i++) {
      counter.add(3);
      gauge.add(1);
      histogram.observe(i % 3);
    }
  });
  constexpr uint64_t kEvents = uint64_t{kThreads} * kRounds;
  EXPECT_EQ(counter.value(), 3 * kEvents);
  EXPECT_EQ(gauge.value(), static_cast<double>(kEvents));
  uint64_t observed = 0;
  for (const uint64_t count : histogram.counts()) observed += count;
  EXPECT_EQ(observed, kEvents);
}

// The value of the line that starts with `name` and a space.
uint64_t value_of(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return 0;
  return std::strtoull(text.c_str() + at + name.size() + 2, nullptr, 10);
}

TEST(Concurrency, ScrapesSeeCountersGrowWhileMetricsAppear) {
  Registry registry;
  Counter& counter = registry.counter("tollgate_x_total", "Help.");
  std::atomic<int> running{kThreads};
  std::thread scraper([&] {
    uint64_t last = 0;
    while (running > 0) {
      const uint64_t now = value_of(registry.text(), "tollgate_x_total");
      EXPECT_GE(now, last);
      last = now;
    }
  });
  on_threads([&](int t) {
    for (int i = 0; i < kRounds / 20; i++) {
      counter.add();
      registry
          .counter("tollgate_many_total", "Help.",
                   {{"n", std::to_string(i % 50)}, {"t", std::to_string(t % 2)}})
          .add();
    }
    running--;
  });
  scraper.join();
  EXPECT_EQ(counter.value(), uint64_t{kThreads} * (kRounds / 20));
  EXPECT_EQ(registry.counter("tollgate_many_total", "", {{"n", "7"}, {"t", "1"}}).value(),
            uint64_t{kThreads / 2} * (kRounds / 20 / 50));
}

// on_scrape takes a snapshot that the collectors of the same scrape read: another scrape must not
// replace it meanwhile.
TEST(Concurrency, ScrapesDoNotMixTheirSnapshots) {
  Registry registry;
  uint64_t snapshot = 0;  // not atomic: TSan would see two scrapes at a time
  registry.on_scrape([&] { snapshot++; });
  for (const char* name : {"tollgate_a", "tollgate_b"}) {
    registry.collect(name, "Help.", Type::kGauge, [&](std::vector<Value>& out) {
      std::this_thread::yield();
      out.push_back({{}, static_cast<double>(snapshot)});
    });
  }
  on_threads([&](int) {
    for (int i = 0; i < 100; i++) {
      const std::string text = registry.text();
      EXPECT_EQ(value_of(text, "tollgate_a"), value_of(text, "tollgate_b"));
    }
  });
  EXPECT_EQ(snapshot, uint64_t{kThreads} * 100);
}

}  // namespace
}  // namespace tollgate::metrics
