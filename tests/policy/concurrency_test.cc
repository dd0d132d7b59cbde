#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support.h"

namespace tollgate::policy {
namespace {

// Many threads admit while others verify; TSan watches, and every answer must be a right one.
TEST(Concurrency, AdmittingAndVerifyingFromAllThreads) {
  const auto policy = make_policy(
      {bearer_source("b", "t"), basic_source("s", {{"u", bcrypt("pw")}, {"p", "plain"}})});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 40; i++) {
        if (outcome(*policy, "Bearer t") != "b/default") wrong++;
        if (outcome(*policy, basic("p", "plain")) != "s/default") wrong++;
        if (verified(*policy, basic("u", "pw")) != "s/default") wrong++;
        const std::string bad = basic("u", std::to_string(t * 1000 + i));
        if (verified(*policy, bad) != "unauthenticated") wrong++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tollgate::policy
