#include "deliver/verdict.h"

#include <gtest/gtest.h>

#include "deliver/backoff.h"

namespace tollgate::deliver {
namespace {

using std::chrono::milliseconds;

TEST(Verdict, FollowsTheContractForEveryDialect) {
  const struct {
    int status;
    Verdict verdict;
  } kTable[] = {
      {200, Verdict::kDelivered}, {202, Verdict::kDelivered}, {204, Verdict::kDelivered},
      {0, Verdict::kRetry},       {408, Verdict::kRetry},     {429, Verdict::kRetry},
      {500, Verdict::kRetry},     {502, Verdict::kRetry},     {503, Verdict::kRetry},
      {504, Verdict::kRetry},     {529, Verdict::kRetry},     {999, Verdict::kRetry},
      {401, Verdict::kHold},      {403, Verdict::kHold},      {404, Verdict::kHold},
      {407, Verdict::kHold},      {301, Verdict::kHold},      {405, Verdict::kHold},
      {415, Verdict::kHold},      {413, Verdict::kSplit},     {400, Verdict::kRefused},
      {409, Verdict::kRefused},   {422, Verdict::kRefused},
  };
  for (const auto dialect :
       {config::Dialect::kPrometheus, config::Dialect::kThanos, config::Dialect::kAmp,
        config::Dialect::kMimir, config::Dialect::kVictoriaMetrics}) {
    for (const auto& row : kTable) {
      EXPECT_EQ(name(judge(row.status, dialect)), name(row.verdict)) << row.status;
    }
  }
}

TEST(Backoff, DoublesFromMinToMaxWithAtMostTenPercentOfJitter) {
  Backoff backoff;
  int64_t expected = 30;
  for (int i = 0; i < 12; i++) {
    const auto wait = backoff.next(milliseconds(30), milliseconds(5000), std::nullopt,
                                   milliseconds(60'000), 0x123456789abcdefull * (i + 1));
    EXPECT_GE(wait.count(), expected) << i;
    EXPECT_LE(wait.count(), expected + expected / 10) << i;
    expected = std::min<int64_t>(5000, expected * 2);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(milliseconds(30), milliseconds(5000), std::nullopt, milliseconds(1), 1),
            milliseconds(33));
}

TEST(Backoff, RetryAfterIsHonouredUpToTheCap) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(milliseconds(30), milliseconds(5000), milliseconds(7000),
                         milliseconds(60'000), 0),
            milliseconds(7000));
  EXPECT_EQ(backoff.next(milliseconds(30), milliseconds(5000), milliseconds(3'600'000),
                         milliseconds(60'000), 0),
            milliseconds(60'000));
}

TEST(Backoff, AttemptsDoNotOverflow) {
  Backoff backoff;
  for (int i = 0; i < 10'000; i++) {
    const auto wait = backoff.next(milliseconds(30), milliseconds(5000), std::nullopt,
                                   milliseconds(60'000), ~0ull);
    ASSERT_GE(wait, milliseconds(30));
    ASSERT_LE(wait, milliseconds(5500));
  }
}

}  // namespace
}  // namespace tollgate::deliver
