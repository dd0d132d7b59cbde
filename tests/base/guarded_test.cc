#include "base/guarded.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tollgate {
namespace {

TEST(Guarded, CountsWithoutLosses) {
  Guarded<int> counter(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; i++) ++*counter.lock();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(*counter.lock(), 40'000);
}

}  // namespace
}  // namespace tollgate
