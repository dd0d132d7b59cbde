#include "wire/run_cache.h"

#include <gtest/gtest.h>
#include <snappy.h>

#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "wire/snappy.h"
#include "wire/walker.h"

namespace tollgate::wire {
namespace {

using model::LabelAction;
using model::LabelPlan;

std::string varint(uint64_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  return out + static_cast<char>(n);
}

std::string string_field(char tag, const std::string& bytes) {
  return tag + varint(bytes.size()) + bytes;
}

std::string label(const std::string& name, const std::string& value) {
  return string_field('\x0a', string_field('\x0a', name) + string_field('\x12', value));
}

std::string sample(double value, uint64_t time) {
  std::string bytes;
  if (value != 0) bytes += '\x09' + std::string(reinterpret_cast<const char*>(&value), 8);
  if (time != 0) bytes += '\x10' + varint(time);
  return string_field('\x12', bytes);
}

std::string series(const std::string& labels, const std::string& samples) {
  return string_field('\x0a', labels + samples);
}

constexpr uint64_t kTime = 1'700'000'000'000;

// The labels of series number `i`, as an exporter's are: many alike, in groups.
std::string labels_of(int i) {
  std::string out = label("__name__", "node_metric_group_" + std::to_string(i / 9) + "_total");
  if (i % 4 == 0) out += label("device", "eth" + std::to_string(i % 7));
  out += label("instance", "10.0.0." + std::to_string(i % 3) + ":9100") + label("job", "node");
  return out + label("mode", std::string(1 + static_cast<size_t>(i % 9), 'm'));
}

// What ingest does with a body: remembered runs are put, others walked, and learned when wanted.
class Gateway {
 public:
  explicit Gateway(size_t max_bytes = 8 << 20) : cache(max_bytes) {}

  struct Outcome {
    std::string decoded;      // of what was put and packed, in order
    uint64_t remembered = 0;  // series
    int64_t min_time = INT64_MAX;
    int64_t max_time = INT64_MIN;
  };

  Outcome process(const std::string& body, const LabelPlan& plan, uint64_t owner = 1) {
    Outcome outcome;
    // Exactly as much memory as there are bytes, for the sanitizer.
    const std::vector<char> exact(body.begin(), body.end());
    const char* const end = exact.data() + exact.size();
    Walker walker;
    walker.begin({exact.data(), exact.size()}, plan, {"cluster", "prometheus_replica"});
    while (walker.position() < end) {
      const Run run = next_run(walker.position(), end);
      if (run.series == 0) {
        if (walker.next() == Step::kMalformed) return malformed(outcome);
        emit(walker, outcome);
        continue;
      }
      if (const RememberedRun* known = cache.find(run, owner)) {
        Buffer elements;
        known->put(run, elements, outcome.min_time, outcome.max_time);
        std::string block, decoded;
        append_preamble(known->raw_length(), block);
        block += elements.view();
        EXPECT_TRUE(snappy::Uncompress(block.data(), block.size(), &decoded));
        outcome.decoded += decoded;
        outcome.remembered += run.series;
        walker.seek(run.end);
        continue;
      }
      const bool wanted = cache.wants(run, owner);
      bool all = true;
      Buffer rewritten;
      std::vector<uint32_t> sizes;
      while (walker.position() < run.end) {
        const char* const begin = walker.position();
        if (walker.next() == Step::kMalformed) return malformed(outcome);
        all = all && learnable(walker, begin, walker.position());
        if (!walker.kept()) continue;
        walker.emit(rewritten);
        sizes.push_back(static_cast<uint32_t>(walker.series().encoded_size));
        outcome.min_time = std::min(outcome.min_time, walker.series().min_timestamp);
        outcome.max_time = std::max(outcome.max_time, walker.series().max_timestamp);
      }
      EXPECT_EQ(walker.position(), run.end);
      outcome.decoded += rewritten.view();
      if (wanted && all) cache.learn(run, owner, rewritten.view(), sizes, {}, {});
    }
    return outcome;
  }

  RunCache cache;

 private:
  static Outcome malformed(Outcome outcome) {
    outcome.decoded += "<malformed>";
    return outcome;
  }
  static void emit(Walker& walker, Outcome& outcome) {
    if (!walker.kept()) return;
    Buffer out;
    walker.emit(out);
    outcome.decoded += out.view();
    outcome.min_time = std::min(outcome.min_time, walker.series().min_timestamp);
    outcome.max_time = std::max(outcome.max_time, walker.series().max_timestamp);
  }
};

// What the walker alone makes of a body.
Gateway::Outcome walked(const std::string& body, const LabelPlan& plan) {
  Gateway nothing(0);
  return nothing.process(body, plan);
}

void expect_same(const Gateway::Outcome& got, const Gateway::Outcome& wanted) {
  EXPECT_EQ(got.decoded, wanted.decoded);
  EXPECT_EQ(got.min_time, wanted.min_time);
  EXPECT_EQ(got.max_time, wanted.max_time);
}

const LabelPlan& two_labels() {
  static const LabelPlan plan({{"cluster", "blue", LabelAction::kOverride},
                               {"region", "eu-west-2", LabelAction::kOverride}});
  return plan;
}

std::string scrape(int series_count, uint64_t time, double seed) {
  std::string body;
  for (int i = 0; i < series_count; i++) {
    body += series(labels_of(i), sample(i % 3 == 0 ? i + 1 : seed * i + 0.1, time));
  }
  return body;
}

TEST(RunCache, LaterScrapesAreRememberedWithTheirOwnValuesAndTimes) {
  Gateway gateway;
  // The budget: one series in 32 is learned.
  for (int i = 0; i < 80; i++) gateway.process(scrape(500, kTime, 0.5), LabelPlan());
  uint64_t remembered = 0;
  for (int i = 0; i < 100; i++) {
    const std::string body = scrape(500, kTime + 15'000 * static_cast<uint64_t>(i), 1.5 + i);
    const auto got = gateway.process(body, two_labels(), 2);
    EXPECT_EQ(i < 2 ? got.remembered : 0, 0u) << i;
    remembered = got.remembered;
    expect_same(got, walked(body, two_labels()));
  }
  EXPECT_EQ(remembered, 500u);
}

TEST(RunCache, WhatHoldsForOneOwnerDoesNotHoldForAnother) {
  Gateway gateway;
  const std::string body = scrape(500, kTime, 0.5);
  for (int i = 0; i < 40; i++) gateway.process(body, two_labels(), 1);
  ASSERT_EQ(gateway.process(body, two_labels(), 1).remembered, 500u);
  const LabelPlan green({{"cluster", "green", LabelAction::kOverride}});
  const auto got = gateway.process(body, green, 2);
  EXPECT_EQ(got.remembered, 0u);
  expect_same(got, walked(body, green));
}

TEST(RunCache, OneOtherLabelByteAnywhereIsNotRemembered) {
  Gateway gateway;
  const std::string body = scrape(100, kTime, 0.5);
  for (int i = 0; i < 60; i++) gateway.process(body, two_labels());
  ASSERT_EQ(gateway.process(body, two_labels()).remembered, 100u);
  for (size_t at = 0; at < body.size(); at++) {
    if (body[at] < 'a' || body[at] > 'z') continue;  // in label text, or by chance elsewhere
    std::string other = body;
    other[at] = other[at] == 'q' ? 'r' : 'q';
    expect_same(gateway.process(other, two_labels(), 1), walked(other, two_labels()));
  }
}

// A label's text that ends like a sample: what is taken for a value is text, in which a label could
// be hidden from whoever looks at the labels only once.
TEST(RunCache, ALabelThatLooksLikeASampleIsNeverLearned) {
  const std::string tail = std::string("\x12\x10\x09", 3) + "abcdefgh" + '\x10' +
                           varint(0x3'4567'89ab'cdefull).substr(0, 5) + '\x31';
  Gateway gateway;
  std::string body;
  for (int i = 0; i < 100; i++) {
    body += series(labels_of(i) + label("zz", "some more text, so that it is long" + tail), "");
  }
  for (int i = 0; i < 60; i++) {
    const auto got = gateway.process(body, two_labels());
    EXPECT_EQ(got.remembered, 0u);
  }
  EXPECT_EQ(gateway.cache.memory(), 0u);
}

TEST(RunCache, ValuesThatDoNotStayAlikeAreUnlearned) {
  Gateway gateway;
  const auto body = [](int changed, double value) {
    std::string out;
    for (int i = 0; i < 100; i++) {
      out += series(labels_of(i), sample(i == changed ? value : 7, kTime));  // all alike
    }
    return out;
  };
  for (int i = 0; i < 100; i++) gateway.process(body(-1, 0), two_labels());
  ASSERT_EQ(gateway.process(body(-1, 0), two_labels()).remembered, 100u);
  for (const double value : {7.1, 8.0, -1e300, 0.1, 7.0}) {
    for (const int changed : {0, 50, 99}) {
      const std::string other = body(changed, value);
      expect_same(gateway.process(other, two_labels()), walked(other, two_labels()));
    }
  }
  // By now none of these three is relied on any more, whatever they are.
  for (int i = 0; i < 100; i++) gateway.process(body(50, 0.3), two_labels());
  EXPECT_EQ(gateway.process(body(50, 0.7), two_labels()).remembered, 100u);
  EXPECT_EQ(gateway.process(body(0, 0.7), two_labels()).remembered, 100u);
}

// Random requests, cut anywhere, with everything that breaks a run, again and again.
TEST(RunCache, WhateverComesOutIsWhatTheWalkerMakesOfIt) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::vector<LabelPlan> plans = {
      LabelPlan(), two_labels(),
      LabelPlan({{"job", "forced", LabelAction::kOverride}, {"a", "1", LabelAction::kAddAbsent}}),
      LabelPlan({{"mode", "mmm", LabelAction::kReject}})};
  Gateway gateway(300'000);
  uint64_t remembered = 0;
  for (int round = 0; round < 1000; round++) {
    const size_t which = random() % plans.size();
    std::string body;
    const int first = random() % 8 == 0 ? static_cast<int>(random() % 100) : 0;
    const int count = random() % 4 == 0 ? 1 + static_cast<int>(random() % 400) : 200;
    const uint64_t time = kTime + random() % 100'000;
    for (int i = first; i < first + count; i++) {
      std::string labels = labels_of(i);
      const uint64_t oddity = random() % 4000;
      double value = i % 2 == 0 || random() % 500 == 0 ? i : std::ldexp(double(random()), -30);
      if (i % 10 == 0) value = 0;
      if (oddity == 0) labels = label("zzz", "unsorted") + labels;
      if (oddity == 1) labels += label("zzz", "");
      if (oddity == 2) labels += label("zzz", std::string(200, 'x'));
      std::string samples = sample(value, i % 50 == 7 ? time + 1 : time);
      if (oddity == 3) samples += sample(value, time + 5);
      if (oddity == 4) samples = "";
      if (oddity == 5) samples = sample(value, 77);
      if (oddity == 6) samples = sample(std::nan("1"), time);
      body += series(labels, samples);
      if (oddity == 7) body += string_field('\x1a', std::string("\x08\x01", 2));  // metadata
    }
    const auto got = gateway.process(body, plans[which], which);
    const auto wanted = walked(body, plans[which]);
    ASSERT_EQ(got.decoded, wanted.decoded) << round;
    ASSERT_EQ(got.min_time, wanted.min_time) << round;
    ASSERT_EQ(got.max_time, wanted.max_time) << round;
    ASSERT_LE(gateway.cache.memory(), 300'000u);
    remembered += got.remembered;
  }
  EXPECT_GT(remembered, 1000u);
}

// Five times as many series as fit, in turns: what is remembered stays useful, and little is spent
// on learning what will be forgotten.
TEST(RunCache, MoreSeriesThanFitDoNotPushOutOneAnother) {
  Gateway gateway(400'000);
  std::vector<std::string> bodies;
  for (int part = 0; part < 20; part++) {
    std::string body;
    for (int i = 0; i < 400; i++) body += series(labels_of(part * 10'000 + i), sample(1.5, kTime));
    bodies.push_back(body);
  }
  uint64_t remembered = 0;
  for (int round = 0; round < 60; round++) {
    for (const auto& body : bodies) {
      const auto got = gateway.process(body, two_labels());
      if (round >= 50) remembered += got.remembered;
    }
  }
  EXPECT_LE(gateway.cache.memory(), 400'000u);
  EXPECT_GT(remembered, 10u * 20 * 400 / 10);
}

TEST(RunCache, AResetForgetsAndZeroRemembersNothing) {
  Gateway gateway;
  const std::string body = scrape(300, kTime, 0.5);
  for (int i = 0; i < 60; i++) gateway.process(body, two_labels());
  ASSERT_EQ(gateway.process(body, two_labels()).remembered, 300u);
  gateway.cache.reset(8 << 20);
  EXPECT_EQ(gateway.cache.memory(), 0u);
  EXPECT_EQ(gateway.process(body, two_labels()).remembered, 0u);
  gateway.cache.reset(0);
  EXPECT_FALSE(gateway.cache.enabled());
  for (int i = 0; i < 60; i++) EXPECT_EQ(gateway.process(body, two_labels()).remembered, 0u);
}

TEST(Run, EndsWithTheBodyAndBeforeWhatIsNotPlain) {
  const std::string plain = series(labels_of(1), sample(1, kTime));
  const std::string two = series(labels_of(1), sample(1, kTime) + sample(2, 5));
  std::string body = plain + plain + two;
  EXPECT_EQ(next_run(body.data(), body.data() + body.size()).series, 2u);
  for (size_t cut = 0; cut < plain.size(); cut++) {
    const std::vector<char> exact(body.begin(), body.begin() + static_cast<ptrdiff_t>(cut));
    EXPECT_EQ(next_run(exact.data(), exact.data() + cut).series, 0u) << cut;
  }
}

}  // namespace
}  // namespace tollgate::wire
