#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "generate.h"
#include "oracle.h"

namespace tollgate::wire {
namespace {

// Bytes as C would write them, to paste into a test.
std::string hex(std::string_view bytes) {
  static constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += "\\x";
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

HaLabels some_ha(Generator& g) {
  switch (g.below(3)) {
    case 0:
      return {"cluster", "prometheus_replica"};
    case 1:
      return {"zz", "a"};
    default:
      return {};
  }
}

// The tests below would prove little if the generator missed an outcome.
TEST(WalkerModel, TheGeneratorReachesEveryOutcome) {
  std::map<std::string, int> seen;
  Walker walker;
  for (uint64_t seed = 1; seed <= 3000; seed++) {
    Generator g(seed);
    const std::string body = g.one_in(4) ? g.mutated(g.request()) : g.request();
    const model::LabelPlan plan = g.plan();
    walker.begin(body, plan, {"cluster", "a"});
    for (Step step = walker.next(); step != Step::kEnd; step = walker.next()) {
      const SeriesHead& head = walker.series();
      if (step == Step::kRefused) {
        seen[std::string(model::name(walker.refused_reason()))]++;
      } else if (step == Step::kMalformed) {
        seen["malformed"]++;
        break;
      } else if (step == Step::kOther) {
        seen["other"]++;
      } else {
        seen[head.ha_cluster.empty() ? "kept" : "kept, with a cluster"]++;
        if (head.histograms > 0) seen["kept, with a histogram"]++;
        if (head.exemplars > 0) seen["kept, with an exemplar"]++;
      }
    }
  }
  for (const char* outcome :
       {"kept", "kept, with a cluster", "kept, with a histogram", "kept, with an exemplar", "other",
        "malformed", "missing_name", "duplicate_label", "invalid_label", "bad_histogram",
        "spoofed_label"}) {
    EXPECT_GE(seen[outcome], 50) << outcome;
  }
}

TEST(WalkerModel, RandomRequestsComeOutAsLibprotobufAndAMapHaveThem) {
  const uint64_t first_seed = std::random_device{}();
  for (uint64_t seed = first_seed; seed < first_seed + 6000; seed++) {
    Generator g(seed);
    const std::string body = g.request();
    const model::LabelPlan plan = g.plan();
    const std::string wrong = differs_from_libprotobuf(body, plan, some_ha(g));
    ASSERT_EQ(wrong, "") << "seed " << seed << ", body " << hex(body);
  }
}

TEST(WalkerModel, MutatedRequestsAreJudgedAsByLibprotobuf) {
  const uint64_t first_seed = std::random_device{}();
  for (uint64_t seed = first_seed; seed < first_seed + 3000; seed++) {
    Generator g(seed);
    const std::string body = g.request();
    const model::LabelPlan plan = g.plan();
    const HaLabels ha = some_ha(g);
    for (int i = 0; i < 8; i++) {
      const std::string bad = g.mutated(body);
      const std::string wrong = differs_from_libprotobuf(bad, plan, ha);
      ASSERT_EQ(wrong, "") << "seed " << seed << ", mutation " << i << ", body " << hex(bad);
    }
  }
}

}  // namespace
}  // namespace tollgate::wire
