#include "model/label_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace tollgate::model {
namespace {

TEST(LabelPlan, IsEmptyByDefault) {
  EXPECT_TRUE(LabelPlan().empty());
  EXPECT_TRUE(LabelPlan(std::vector<PlannedLabel>{}).empty());
}

TEST(LabelPlan, SortsByBytesOfTheName) {
  const LabelPlan plan({{"b", "1", LabelAction::kOverride},
                        {"a", "2", LabelAction::kReject},
                        {"_", "3", LabelAction::kAddAbsent},
                        {"B", "4", LabelAction::kOverride}});
  ASSERT_EQ(plan.labels().size(), 4u);
  EXPECT_EQ(plan.labels()[0].name, "B");
  EXPECT_EQ(plan.labels()[1].name, "_");
  EXPECT_EQ(plan.labels()[2].name, "a");
  EXPECT_EQ(plan.labels()[2].value, "2");
  EXPECT_EQ(plan.labels()[2].action, LabelAction::kReject);
  EXPECT_EQ(plan.labels()[3].name, "b");
}

TEST(LabelPlan, AnEnforcedLabelWinsOverAnExternalOne) {
  const PlannedLabel external{"a", "external", LabelAction::kAddAbsent};
  for (LabelAction action : {LabelAction::kOverride, LabelAction::kReject}) {
    const PlannedLabel enforced{"a", "enforced", action};
    for (const auto& labels : {std::vector{external, enforced}, std::vector{enforced, external}}) {
      const LabelPlan plan(labels);
      ASSERT_EQ(plan.labels().size(), 1u);
      EXPECT_EQ(plan.labels()[0].value, "enforced");
      EXPECT_EQ(plan.labels()[0].action, action);
    }
  }
}

// In any order of the input, names come out sorted and once, each enforced if it can be.
TEST(LabelPlan, HoldsForRandomInput) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 500; round++) {
    std::vector<PlannedLabel> labels;
    for (unsigned i = random() % 20; i > 0; i--) {
      labels.push_back({std::string(1, static_cast<char>('a' + random() % 6)), "v",
                        static_cast<LabelAction>(random() % 3)});
    }
    const LabelPlan plan(labels);
    for (size_t i = 1; i < plan.labels().size(); i++) {
      EXPECT_LT(plan.labels()[i - 1].name, plan.labels()[i].name);
    }
    for (const PlannedLabel& planned : labels) {
      const auto found = std::find_if(plan.labels().begin(), plan.labels().end(),
                                      [&](const auto& l) { return l.name == planned.name; });
      ASSERT_NE(found, plan.labels().end());
      if (planned.action != LabelAction::kAddAbsent) {
        EXPECT_NE(found->action, LabelAction::kAddAbsent);
      }
    }
  }
}

}  // namespace
}  // namespace tollgate::model
