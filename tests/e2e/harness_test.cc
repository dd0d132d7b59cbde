#include <gtest/gtest.h>

#include "scenario.h"

// The oracle and its instruments must themselves be able to fail.
namespace tollgate::e2e {
namespace {

const std::vector<Labels> kLabels = {{{"__name__", "x"}}};

std::vector<std::string> judge(std::vector<uint64_t> values, uint64_t acknowledged,
                               const DeliveryRules& rules = {}) {
  Received received;
  received.values = std::move(values);
  received.label_sets = {kLabels[0]};
  received.tenants = {"t"};
  return check_series("s/0", received, acknowledged, acknowledged + 1, kLabels, "t", rules);
}

TEST(Oracle, AcceptsWhatIsCompleteAndInOrder) {
  EXPECT_TRUE(judge({1, 2, 3}, 3).empty());
  EXPECT_TRUE(judge({1, 2, 3, 4}, 3).empty()) << "an unacknowledged value may arrive";
  EXPECT_TRUE(judge({1, 2, 1, 2, 3}, 3).empty()) << "at least once";
  EXPECT_TRUE(judge({3, 4}, 4, {.from_start = false}).empty());
  EXPECT_TRUE(judge({1, 2}, 4, {.to_end = false}).empty());
  EXPECT_TRUE(judge({1, 4}, 4, {.gaps = true}).empty());
}

TEST(Oracle, SeesLossDisorderRepeatsAndInventions) {
  EXPECT_FALSE(judge({1, 2}, 3).empty()) << "the end is missing";
  EXPECT_FALSE(judge({2, 3}, 3).empty()) << "the beginning is missing";
  EXPECT_FALSE(judge({1, 3}, 3).empty()) << "the middle is missing";
  EXPECT_FALSE(judge({1, 3, 2}, 3).empty());
  EXPECT_FALSE(judge({1, 3, 2}, 3, {.gaps = true}).empty());
  EXPECT_FALSE(judge({1, 2, 2, 3}, 3, {.repeats = false}).empty());
  EXPECT_FALSE(judge({1, 2, 3, 4, 5}, 3).empty()) << "5 was never sent";
  EXPECT_FALSE(judge({}, 1).empty());
}

TEST(Oracle, SeesWrongLabelsAndTenants) {
  Received received{{1}, 1, {{{"__name__", "y"}}}, {"t"}};
  EXPECT_FALSE(check_series("s/0", received, 1, 1, kLabels, "t", {}).empty());
  received.label_sets = {kLabels[0]};
  EXPECT_TRUE(check_series("s/0", received, 1, 1, kLabels, "t", {}).empty());
  EXPECT_FALSE(check_series("s/0", received, 1, 1, kLabels, "other", {}).empty());
}

TEST(Harness, ScrapeParsesTheExpositionFormat) {
  const Scrape s =
      Scrape::parse("# HELP a b\na{x=\"1\",y=\"q\\\"}\"} 2\na{x=\"2\"} 3.5\nb 1e3\nnot a line\n");
  EXPECT_EQ(s.sum("a"), 5.5);
  EXPECT_EQ(s.sum("a", {{"y", "q\"}"}}), 2);
  EXPECT_EQ(s.sum("b"), 1000);
  EXPECT_EQ(s.problems().size(), 1u);
}

// Senders write straight to a sink that misbehaves in every way: what they call acknowledged has
// arrived there.
TEST(Harness, SendersGetThroughAMisbehavingSink) {
  const uint64_t seed = test_seed();
  Sink sink("direct", seed);
  SenderOptions options;
  options.name = "s";
  options.port = sink.port();
  options.tenant = "";
  options.histograms = options.exemplars = options.unsorted = true;
  options.labels = {{"empty", ""}};
  options.timeout = milliseconds(300);
  options.pace = milliseconds(0);
  Sender sender(options);
  sender.start();
  for (const Fault::Kind kind :
       {Fault::Kind::kNone, Fault::Kind::kStatus, Fault::Kind::kHang, Fault::Kind::kReset,
        Fault::Kind::kLoseAnswer, Fault::Kind::kSlow}) {
    sink.set({.kind = kind, .share = 0.3, .delay = milliseconds(10)});
    wait_for_progress({&sender}, 10);
  }
  sink.vanish();
  EXPECT_EQ(http(sink.port(), "POST", "/").status, 0);
  sink.come_back();
  sink.set({});
  wait_for_progress({&sender}, 5);
  sender.stop();
  for (const std::string& p : check_delivery(sender, sink)) {
    EXPECT_NE(p.find("arrived as"), std::string::npos) << p;  // unsorted, and nobody cleans it up
  }
  EXPECT_FALSE(sink.anomalies().empty()) << "unsorted and empty labels must be noticed";
  EXPECT_GE(sink.samples(), sender.acknowledged());
}

}  // namespace
}  // namespace tollgate::e2e
