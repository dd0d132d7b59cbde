#include <gtest/gtest.h>

#include <random>

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
