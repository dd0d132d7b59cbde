#include "compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace tollgate::bench {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = Difference::Kind;

Results results(Spread cpu, Spread ratio = {4, 3.9, 4.1}) {
  Results out;
  out.mode = "short";
  out.machine = {{"cpu", "one"}, {"cores", "2"}};
  out.settings = {{"rate", "200000"}, {"senders", "16"}};
  Cell cell;
  cell.name = "tollgate-1";
  cell.peer = "tollgate";
  cell.rounds = 5;
  cell.figures["cpu_ns_per_sample"] = cpu;
  Cell peer = cell;
  peer.name = "vmagent-1";
  peer.peer = "vmagent";
  peer.figures["cpu_ns_per_sample"] = {900, 880, 920};
  out.scenarios = {{"destinations", "", {cell, peer}}};
  Ratio one;
  one.name = "cpu-vmagent-1";
  one.title = "vmagent / Tollgate";
  one.higher_is_better = true;
  one.value = ratio;
  one.rounds = 5;
  out.ratios = {one};
  return out;
}

TEST(Compare, TheSameIsNoRegression) {
  const auto same = compare_results(results({300, 290, 310}), results({300, 290, 310}), 0.1);
  EXPECT_THAT(same.impossible, IsEmpty());
  EXPECT_EQ(same.compared, 2);
  EXPECT_THAT(same.differences, IsEmpty());
  EXPECT_FALSE(same.regressed());
}

TEST(Compare, WorseBeyondThresholdAndSpreadIsARegression) {
  const auto found = compare_results(results({300, 290, 310}), results({340, 330, 350}), 0.1);
  ASSERT_THAT(found.differences, SizeIs(1));
  EXPECT_EQ(found.differences[0].kind, Kind::kWorse);
  EXPECT_NEAR(found.differences[0].change, 0.133, 0.001);
  EXPECT_TRUE(found.regressed());
  EXPECT_THAT(to_text(found), HasSubstr("destinations / tollgate-1 / CPU ns/sample"));
  EXPECT_THAT(to_text(found), HasSubstr("1 regression\n"));
}

TEST(Compare, ThresholdIsRespected) {
  EXPECT_FALSE(
      compare_results(results({300, 290, 310}), results({340, 330, 350}), 0.2).regressed());
}

TEST(Compare, OverlappingRoundsAreNoiseAndAreShownAsSuch) {
  const auto found = compare_results(results({300, 290, 345}), results({340, 330, 350}), 0.1);
  ASSERT_THAT(found.differences, SizeIs(1));
  EXPECT_EQ(found.differences[0].kind, Kind::kWithinSpread);
  EXPECT_FALSE(found.regressed());
}

TEST(Compare, ASingleRoundHasNoSpreadSoSomeIsAssumed) {
  auto before = results({300, 300, 300});
  auto after = results({400, 400, 400});
  EXPECT_TRUE(compare_results(before, after, 0.1).regressed());
  before.scenarios[0].cells[0].rounds = after.scenarios[0].cells[0].rounds = 1;
  EXPECT_FALSE(compare_results(before, after, 0.1).regressed());
  after.scenarios[0].cells[0].figures["cpu_ns_per_sample"] = {600, 600, 600};
  EXPECT_TRUE(compare_results(before, after, 0.1).regressed());
}

TEST(Compare, BetterIsNoRegression) {
  const auto found = compare_results(results({300, 290, 310}), results({200, 190, 210}), 0.1);
  ASSERT_THAT(found.differences, SizeIs(1));
  EXPECT_EQ(found.differences[0].kind, Kind::kBetter);
  EXPECT_FALSE(found.regressed());
}

TEST(Compare, RatiosKnowWhichDirectionIsBetter) {
  const Spread cpu{300, 290, 310};
  EXPECT_TRUE(compare_results(results(cpu), results(cpu, {3, 2.9, 3.1}), 0.1).regressed());
  EXPECT_FALSE(compare_results(results(cpu), results(cpu, {5, 4.9, 5.1}), 0.1).regressed());
}

TEST(Compare, PeersAreNoConcernOfOurs) {
  auto after = results({300, 290, 310});
  after.scenarios[0].cells[1].figures["cpu_ns_per_sample"] = {2000, 1990, 2010};
  EXPECT_THAT(compare_results(results({300, 290, 310}), after, 0.1).differences, IsEmpty());
}

TEST(Compare, RoundsThatFailNowAreARegression) {
  auto after = results({300, 290, 310});
  after.scenarios[0].cells[0].discarded = {"round 1: 3 lost"};
  EXPECT_TRUE(compare_results(results({300, 290, 310}), after, 0.1).regressed());
}

TEST(Compare, OnAnotherMachineOnlyTheRatiosCount) {
  auto after = results({900, 890, 910});
  after.machine[0].second = "another";
  const auto found = compare_results(results({300, 290, 310}), after, 0.1);
  EXPECT_THAT(found.impossible, IsEmpty());
  EXPECT_EQ(found.compared, 1);
  EXPECT_FALSE(found.regressed());
  EXPECT_THAT(to_text(found), HasSubstr("another machine (cpu)"));
}

TEST(Compare, AnotherLoadOrNothingInCommonCannotBeCompared) {
  auto after = results({300, 290, 310});
  after.settings[0].second = "100000";
  EXPECT_THAT(compare_results(results({300, 290, 310}), after, 0.1).impossible,
              HasSubstr("rate 200000 and 100000"));
  Results empty = results({300, 290, 310});
  empty.scenarios.clear();
  empty.ratios.clear();
  EXPECT_THAT(compare_results(results({300, 290, 310}), empty, 0.1).impossible,
              HasSubstr("nothing in common"));
}

TEST(Compare, ThresholdsArePercentOrFractions) {
  EXPECT_DOUBLE_EQ(parse_threshold("10%"), 0.1);
  EXPECT_DOUBLE_EQ(parse_threshold("0.25"), 0.25);
  EXPECT_DOUBLE_EQ(parse_threshold("0"), 0);
  for (const auto* bad : {"", "x", "10 %x", "-1", "-5%", "%"}) {
    EXPECT_THROW(parse_threshold(bad), std::runtime_error) << bad;
  }
}

}  // namespace
}  // namespace tollgate::bench
