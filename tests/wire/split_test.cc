#include "wire/split.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "generate.h"
#include "wire/snappy.h"

namespace tollgate::wire {
namespace {

std::string one_series(int id, int samples) {
  std::string out = label("__name__", "metric_" + std::to_string(id));
  for (int i = 0; i < samples; i++) out += sample(i, 1'700'000'000'000 + i);
  return series(out);
}

std::string raw_of(const Piece& piece) {
  Buffer out;
  EXPECT_TRUE(unpack_elements(piece.elements, piece.raw_length, out).ok());
  return std::string(out.view());
}

TEST(Split, CutsBetweenSeriesAndKeepsTheOrder) {
  std::string body;
  for (int i = 0; i < 10; i++) body += one_series(i, 1);
  auto pieces = split(body, 3, 1 << 20);
  ASSERT_TRUE(pieces.ok());
  ASSERT_EQ(pieces->size(), 4u);
  std::string joined;
  for (const Piece& piece : *pieces) joined += raw_of(piece);
  EXPECT_EQ(joined, body);
  EXPECT_EQ((*pieces)[0].samples, 3u);
  EXPECT_EQ((*pieces)[0].series, 3u);
  EXPECT_EQ((*pieces)[3].samples, 1u);
}

TEST(Split, CutsByBytesToo) {
  const std::string one = one_series(1, 1);
  std::string body;
  for (int i = 0; i < 7; i++) body += one;
  auto pieces = split(body, 1000, 2 * one.size());
  ASSERT_TRUE(pieces.ok());
  ASSERT_EQ(pieces->size(), 4u);
  for (const Piece& piece : *pieces) EXPECT_LE(piece.raw_length, 2 * one.size());
}

TEST(Split, ASeriesOverTheLimitsIsAPieceOfItsOwn) {
  const std::string small = one_series(1, 1);
  const std::string big = one_series(2, 50);
  auto pieces = split(small + big + small, 10, 100);
  ASSERT_TRUE(pieces.ok());
  ASSERT_EQ(pieces->size(), 3u);
  EXPECT_EQ(raw_of((*pieces)[1]), big);
  EXPECT_EQ((*pieces)[1].samples, 50u);
  EXPECT_EQ((*pieces)[1].series, 1u);
}

TEST(Split, WhatFitsStaysWhole) {
  const std::string body = one_series(1, 2) + one_series(2, 3);
  auto pieces = split(body, 5, body.size());
  ASSERT_TRUE(pieces.ok());
  ASSERT_EQ(pieces->size(), 1u);
  EXPECT_EQ(raw_of((*pieces)[0]), body);
  EXPECT_EQ((*pieces)[0].samples, 5u);
}

TEST(Split, HistogramsAreSamplesAndMetadataIsNot) {
  const std::string histogram = series(label("__name__", "h") + bytes_field(4, ""));
  const std::string metadata = bytes_field(3, bytes_field(2, "h"));
  auto pieces = split(metadata + histogram + metadata + histogram, 1, 1 << 20);
  ASSERT_TRUE(pieces.ok());
  ASSERT_EQ(pieces->size(), 2u);
  EXPECT_EQ(raw_of((*pieces)[0]), metadata + histogram + metadata);
  EXPECT_EQ((*pieces)[0].samples, 1u);
  EXPECT_EQ((*pieces)[0].series, 1u);
}

TEST(Split, NothingGivesNoPieces) {
  auto pieces = split("", 10, 10);
  ASSERT_TRUE(pieces.ok());
  EXPECT_TRUE(pieces->empty());
}

TEST(Split, LimitsOfZeroGiveOneFieldAPiece) {
  auto pieces = split(one_series(1, 1) + one_series(2, 1), 0, 0);
  ASSERT_TRUE(pieces.ok());
  EXPECT_EQ(pieces->size(), 2u);
}

TEST(Split, DamagedBytesAreReportedWithTheirPlace) {
  const std::string good = one_series(1, 1);
  auto pieces = split(good + "\x0a\x7f", 1, 1 << 20);
  ASSERT_FALSE(pieces.ok());
  EXPECT_EQ(pieces.error().code, Code::kCorrupt);
  EXPECT_NE(pieces.error().message.find(std::to_string(good.size() + 1)), std::string::npos);
}

TEST(Split, RandomRequestsKeepAllTheirBytes) {
  const uint64_t first_seed = std::random_device{}();
  for (uint64_t seed = first_seed; seed < first_seed + 300; seed++) {
    Generator g(seed);
    const std::string body = g.request() + g.request();
    const uint64_t max_samples = 1 + g.below(10);
    const uint64_t max_raw = 1 + g.below(2000);
    auto pieces = split(body, max_samples, max_raw);
    ASSERT_TRUE(pieces.ok()) << "seed " << seed;
    std::string joined;
    for (const Piece& piece : *pieces) {
      joined += raw_of(piece);
      ASSERT_TRUE(piece.series <= 1 || piece.samples <= max_samples) << "seed " << seed;
    }
    ASSERT_EQ(joined, body) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tollgate::wire
