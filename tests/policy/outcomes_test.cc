#include "policy/outcomes.h"

#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace tollgate::policy {
namespace {

Digest number(size_t i) { return digest_bearer(std::to_string(i)); }

TEST(Outcomes, AreRemembered) {
  Outcomes outcomes;
  EXPECT_EQ(outcomes.find(number(1)), std::nullopt);
  outcomes.remember(number(1), 7);
  outcomes.remember(number(2), Outcomes::kRefused);
  EXPECT_EQ(outcomes.find(number(1)), 7u);
  EXPECT_EQ(outcomes.find(number(2)), Outcomes::kRefused);
  outcomes.remember(number(1), 8);
  EXPECT_EQ(outcomes.find(number(1)), 8u);
  EXPECT_EQ(outcomes.size(), 2u);
}

TEST(Outcomes, AreBounded) {
  Outcomes outcomes;
  for (size_t i = 0; i < 5000; i++) outcomes.remember(number(i), Outcomes::kRefused);
  EXPECT_EQ(outcomes.size(), Outcomes::kMostRefused);
  for (size_t i = 5000; i < 10'000; i++) outcomes.remember(number(i), 0);
  EXPECT_EQ(outcomes.size(), Outcomes::kMostRefused + Outcomes::kMostAdmitted);
  EXPECT_LE(Outcomes::kMostRefused + Outcomes::kMostAdmitted, 1000u);
}

TEST(Outcomes, TheLeastRecentlyUsedGoesFirst) {
  Outcomes outcomes;
  for (size_t i = 0; i < Outcomes::kMostAdmitted; i++) outcomes.remember(number(i), 0);
  EXPECT_TRUE(outcomes.find(number(0)));  // used now, so 1 is the oldest
  outcomes.remember(number(9999), 0);
  EXPECT_TRUE(outcomes.find(number(0)));
  EXPECT_FALSE(outcomes.find(number(1)));
  EXPECT_TRUE(outcomes.find(number(2)));
}

TEST(Outcomes, AFloodOfWrongPasswordsDoesNotPushOutTheRightOnes) {
  const auto policy = make_policy({basic_source("s", {{"u", bcrypt("pw")}})});
  policy->verify(basic("u", "pw"));
  for (size_t i = 0; i < 600; i++) policy->verify(basic("u", std::to_string(i)));
  EXPECT_EQ(outcome(*policy, basic("u", "pw")), "s/default");
  EXPECT_EQ(outcome(*policy, basic("u", "599")), "unauthenticated");
  EXPECT_EQ(outcome(*policy, basic("u", "0")), "verify");  // forgotten, and so checked again
}

}  // namespace
}  // namespace tollgate::policy
