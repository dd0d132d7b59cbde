#include "base/clock.h"

#include <gtest/gtest.h>

namespace tollgate {
namespace {

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock(5000);
  EXPECT_EQ(clock.now_ms(), 5000);
  const int64_t before = clock.monotonic_ns();
  clock.advance(milliseconds{250});
  EXPECT_EQ(clock.now_ms(), 5250);
  EXPECT_EQ(clock.monotonic_ns() - before, 250'000'000);
}

TEST(RealClock, IsTheTime) {
  const Clock& clock = Clock::real();
  EXPECT_GT(clock.now_ms(), 1'700'000'000'000);  // November 2023
  const int64_t first = clock.monotonic_ns();
  EXPECT_GE(clock.monotonic_ns(), first);
}

}  // namespace
}  // namespace tollgate
