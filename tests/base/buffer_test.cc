#include "base/buffer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace tollgate {
namespace {

TEST(Buffer, GrowsAndKeepsItsBytes) {
  Buffer buffer;
  std::string expected;
  EXPECT_TRUE(buffer.empty());
  for (int i = 0; i < 2000; i++) {
    const std::string piece(static_cast<size_t>(i % 37), static_cast<char>('a' + i % 26));
    buffer.append(piece);
    expected += piece;
  }
  EXPECT_EQ(buffer.view(), expected);
  EXPECT_GE(buffer.capacity(), buffer.size());
}

TEST(Buffer, GrowThenCommitAppends) {
  Buffer buffer;
  buffer.append("ab");
  char* at = buffer.grow(1000);
  at[0] = 'c';
  EXPECT_EQ(buffer.view(), "ab");
  buffer.commit(1);
  EXPECT_EQ(buffer.view(), "abc");
}

TEST(Buffer, ClearKeepsTheMemoryAndReleaseGivesItBack) {
  Buffer buffer;
  buffer.append(std::string(10'000, 'x'));
  const size_t capacity = buffer.capacity();
  buffer.clear();
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), capacity);
  buffer.release_above(capacity);
  EXPECT_EQ(buffer.capacity(), capacity);
  buffer.release_above(capacity - 1);
  EXPECT_EQ(buffer.capacity(), 0u);
  buffer.append("again");
  EXPECT_EQ(buffer.view(), "again");
}

TEST(Buffer, MovingLeavesAnEmptyOne) {
  Buffer a;
  a.append("abc");
  Buffer b(std::move(a));
  EXPECT_EQ(b.view(), "abc");
  EXPECT_EQ(a.size(), 0u);  // NOLINT: what a moved-from buffer is, is part of the contract
  a.append("reused");
  Buffer c;
  c = std::move(b);
  EXPECT_EQ(c.view(), "abc");
  EXPECT_EQ(a.view(), "reused");
}

TEST(Buffer, ResizeAndTruncateSetTheSize) {
  Buffer buffer;
  buffer.resize(500);
  EXPECT_EQ(buffer.size(), 500u);
  buffer.truncate(3);
  EXPECT_EQ(buffer.size(), 3u);
  EXPECT_DEATH(buffer.truncate(4), "invariant broken");
}

}  // namespace
}  // namespace tollgate
