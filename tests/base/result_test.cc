#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace tollgate {
namespace {

Result<std::string> half(bool good) {
  if (!good) return sender_error(Code::kInvalid, "no");
  return std::string("yes");
}

TEST(Result, IsAValueOrAnError) {
  auto good = half(true);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, "yes");
  EXPECT_EQ(good->size(), 3u);
  const auto bad = half(false);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Code::kInvalid);
  EXPECT_EQ(bad.error().origin, Origin::kSender);
  EXPECT_EQ(bad.error().message, "no");
}

TEST(Result, CarriesWhatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 7);
}

TEST(Result, ReadingTheWrongSideAborts) {
  EXPECT_DEATH(half(false).value(), "invariant broken");
  EXPECT_DEATH(static_cast<void>(half(true).error()), "invariant broken");
}

TEST(Code, DecidesStatusAndRetry) {
  struct Row {
    Code code;
    const char* name;
    int status;
    bool retry;
  };
  const Row rows[] = {
      {Code::kInvalid, "invalid", 400, false},
      {Code::kUnauthenticated, "unauthenticated", 401, false},
      {Code::kPermissionDenied, "permission_denied", 403, false},
      {Code::kTooLarge, "too_large", 413, false},
      {Code::kUnsupported, "unsupported", 415, false},
      {Code::kLimited, "limited", 429, true},
      {Code::kUnavailable, "unavailable", 503, true},
      {Code::kCorrupt, "corrupt", 500, false},
      {Code::kInternal, "internal", 500, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(name(row.code), row.name);
    EXPECT_EQ(http_status(row.code), row.status) << row.name;
    EXPECT_EQ(retryable(row.code), row.retry) << row.name;
  }
}

TEST(Origin, ComesFromTheMaker) {
  EXPECT_EQ(sender_error(Code::kInvalid, "").origin, Origin::kSender);
  EXPECT_EQ(destination_error(Code::kInvalid, "").origin, Origin::kDestination);
  EXPECT_EQ(our_error(Code::kInvalid, "").origin, Origin::kUs);
}

}  // namespace
}  // namespace tollgate
