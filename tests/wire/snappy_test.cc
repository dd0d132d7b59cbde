#include "wire/snappy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <snappy.h>

#include <random>
#include <string>
#include <vector>

namespace tollgate::wire {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kLimit = 1 << 20;

std::string elements_of(std::string_view raw) {
  Buffer out;
  pack_elements(raw, out);
  return std::string(out.view());
}

std::string block_of(uint64_t raw_length, std::string_view elements) {
  std::string block;
  append_preamble(raw_length, block);
  return block + std::string(elements);
}

std::string google(std::string_view raw) {
  std::string out;
  snappy::Compress(raw.data(), raw.size(), &out);
  return out;
}

// What Google's decoder makes of our block; "<corrupt>" if it refuses it.
std::string decoded_by_google(std::string_view block) {
  std::string out;
  return snappy::Uncompress(block.data(), block.size(), &out) ? out : "<corrupt>";
}

// Bytes of every kind between random noise and long runs.
std::string some_bytes(std::mt19937_64& random, size_t size) {
  std::string out;
  const uint64_t kind = random() % 5;
  while (out.size() < size) {
    if (kind == 0 || out.empty()) {
      out += static_cast<char>(random());
    } else if (kind == 1) {
      out += static_cast<char>('a' + random() % 3);
    } else if (kind == 2) {
      out.append(1 + random() % 300, static_cast<char>(random() % 4));
    } else {
      // Repeats of what was before, at any distance, with noise between.
      const size_t from = random() % out.size();
      out += out.substr(from, 1 + random() % (kind == 3 ? 12 : 200));
      for (uint64_t n = random() % 4; n > 0; n--) out += static_cast<char>(random());
    }
  }
  out.resize(size);
  return out;
}

TEST(Snappy, GoogleDecodesWhatWePack) {
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  std::vector<size_t> sizes = {0,  1,  2,  3,  4,  15, 16,  17,  31,
                               32, 33, 59, 60, 61, 62, 255, 256, 257};
  for (const size_t edge : {size_t{65536}, size_t{131072}}) {
    for (size_t n = edge - 20; n <= edge + 20; n += 3) sizes.push_back(n);
  }
  for (int i = 0; i < 400; i++) sizes.push_back(random() % (i % 20 == 0 ? 400'000 : 3000));
  for (const size_t size : sizes) {
    for (int i = 0; i < 5; i++) {
      const std::string raw = some_bytes(random, size);
      // Exactly as much memory as there are bytes, for the sanitizer.
      const std::vector<char> exact(raw.begin(), raw.end());
      const std::string elements = elements_of({exact.data(), exact.size()});
      ASSERT_EQ(decoded_by_google(block_of(size, elements)), raw) << "seed " << seed;
      ASSERT_LE(elements.size(), snappy::MaxCompressedLength(size));
    }
  }
}

TEST(Snappy, PacksAboutAsDenseAsGoogle) {
  std::mt19937_64 random(1);
  size_t ours = 0, theirs = 0;
  for (int i = 0; i < 200; i++) {
    const std::string raw = some_bytes(random, 20'000);
    ours += elements_of(raw).size();
    theirs += google(raw).size();
  }
  EXPECT_LT(ours, theirs + theirs / 50);
}

TEST(Snappy, WeUnpackWhatGooglePacks) {
  std::mt19937_64 random(2);
  Buffer out;
  for (int i = 0; i < 200; i++) {
    const std::string raw = some_bytes(random, random() % 200'000);
    ASSERT_TRUE(unpack(google(raw), kLimit, out).ok());
    ASSERT_EQ(out.view(), raw);
    ASSERT_TRUE(unpack_elements(elements_of(raw), raw.size(), out).ok());
    ASSERT_EQ(out.view(), raw);
  }
}

TEST(Snappy, ElementStreamsSpliceUnderOnePreamble) {
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int i = 0; i < 300; i++) {
    std::string raw, elements;
    for (uint64_t n = random() % 12; n > 0; n--) {
      const std::string one = some_bytes(random, random() % (i % 10 == 0 ? 150'000 : 2000));
      raw += one;
      // Both encoders' streams, mixed.
      if (random() % 2 == 0) {
        elements += elements_of(one);
      } else {
        std::string theirs = google(one), preamble;
        append_preamble(one.size(), preamble);
        elements += theirs.substr(preamble.size());
      }
    }
    ASSERT_EQ(decoded_by_google(block_of(raw.size(), elements)), raw) << "seed " << seed;
    Buffer out;
    ASSERT_TRUE(unpack_elements(elements, raw.size(), out).ok()) << "seed " << seed;
    ASSERT_EQ(out.view(), raw) << "seed " << seed;
  }
}

TEST(Snappy, PreamblesAreVarints) {
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{1} << 21, uint64_t{0xffffffff}}) {
    std::string block;
    append_preamble(length, block);
    size_t size = 0;
    ASSERT_TRUE(snappy::GetUncompressedLength(block.data(), block.size(), &size));
    EXPECT_EQ(size, length);
  }
}

TEST(Snappy, TheDeclaredLengthIsJudgedBeforeAnythingIsAllocated) {
  Buffer out;
  const std::string raw(5000, 'x');
  EXPECT_EQ(declared_length(google(raw), 5000).value(), 5000u);
  auto over = declared_length(google(raw), 4999);
  ASSERT_FALSE(over.ok());
  EXPECT_EQ(over.error().code, Code::kInvalid);
  EXPECT_THAT(over.error().message, HasSubstr("5000"));
  EXPECT_THAT(over.error().message, HasSubstr("limit of 4999"));
  EXPECT_FALSE(unpack(google(raw), 4999, out).ok());
  EXPECT_EQ(out.capacity(), 0u);
  // Under the limit, but more than so few bytes can hold.
  EXPECT_FALSE(unpack(block_of(1 << 19, "\x04xyz"), kLimit, out).ok());
  EXPECT_FALSE(declared_length(block_of(1 << 19, "\x04xyz"), kLimit).ok());
  EXPECT_FALSE(unpack_elements("\x04xyz", 0xffffffff, out).ok());
  EXPECT_FALSE(unpack_elements("\x04xyz", uint64_t{1} << 40, out).ok());
  EXPECT_EQ(out.capacity(), 0u);
}

TEST(Snappy, TheDensestBlocksAreNotTakenForLies) {
  const std::string raw(1 << 19, 'x');
  Buffer out;
  ASSERT_TRUE(unpack(google(raw), kLimit, out).ok());
  ASSERT_TRUE(unpack_elements(elements_of(raw), raw.size(), out).ok());
  EXPECT_EQ(out.view(), raw);
  std::string copies = std::string("\x00x", 2);
  for (int i = 0; i < 1000; i++) copies += std::string("\xfe\x01\x00", 3);
  ASSERT_TRUE(unpack_elements(copies, 64'001, out).ok());
}

TEST(Snappy, MissingOrEndlessPreamblesAreRefused) {
  Buffer out;
  for (const std::string& bad :
       {std::string(), std::string("\x80"), std::string(5, '\x80'), std::string(5, '\xff'),
        std::string("\xff\xff\xff\xff\x10"), std::string("\xff\xff\xff\xff\xff\x01")}) {
    EXPECT_FALSE(declared_length(bad, ~uint64_t{0}).ok());
    auto status = unpack(bad, kLimit, out);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::kInvalid);
    EXPECT_EQ(status.error().origin, Origin::kSender);
  }
}

TEST(Snappy, TheFramedFormatIsNamed) {
  Buffer out;
  const std::string framed("\xff\x06\x00\x00sNaPpY\x01\x05\x00\x00xxxxx", 19);
  auto status = unpack(framed, kLimit, out);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("framed format"));
  EXPECT_FALSE(declared_length(framed, kLimit).ok());
}

TEST(Snappy, EveryTruncationIsRefused) {
  std::mt19937_64 random(3);
  std::string raw = some_bytes(random, 3000);
  const std::string block = google(raw);
  Buffer out;
  for (size_t n = 0; n < block.size(); n++) {
    const std::vector<char> exact(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(n));
    ASSERT_FALSE(unpack({exact.data(), n}, kLimit, out).ok()) << n;
    ASSERT_TRUE(out.empty());
  }
  const std::string elements = elements_of(raw);
  for (size_t n = 0; n < elements.size(); n++) {
    auto status = unpack_elements(elements.substr(0, n), raw.size(), out);
    ASSERT_FALSE(status.ok()) << n;
    ASSERT_EQ(status.error().code, Code::kCorrupt);
  }
}

TEST(Snappy, HostileElementsAreRefused) {
  Buffer out;
  const std::vector<std::string> bad = {
      std::string("\x08\x01\x01", 3),              // copies before anything was written
      std::string("\x05\x00x\x01\x00", 5),         // offset 0
      std::string("\x05\x00x\x01\x02", 5),         // offset beyond what was written
      std::string("\x03\x00x\xfe\x01\x00", 6),     // more bytes than declared
      std::string("\x40\xfc\xff\xff\xff\xff", 6),  // a literal of 4 GiB
      std::string("\x05\x04xyz\xff", 6),           // ends inside a tag
      std::string("\x00x", 2),                     // bytes after a declared 0
  };
  for (const std::string& block : bad) EXPECT_FALSE(unpack(block, kLimit, out).ok());
  ASSERT_TRUE(unpack(std::string(1, '\0'), kLimit, out).ok());
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace tollgate::wire
