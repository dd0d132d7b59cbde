#include "base/utf8.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tollgate {
namespace {

const std::string kBad = "\xEF\xBF\xBD";

TEST(Utf8, KeepsWhatIsWellFormed) {
  for (const std::string text : {"", "plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                 "\xEE\x80\x80\xED\x9F\xBF\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(to_utf8(text), text);
  }
  EXPECT_EQ(to_utf8(std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Utf8, ReplacesEachOffendingByte) {
  EXPECT_EQ(to_utf8("a\xFFz"), "a" + kBad + "z");
  EXPECT_EQ(to_utf8("\x80"), kBad);                                   // a continuation alone
  EXPECT_EQ(to_utf8("caf\xC3"), "caf" + kBad);                        // cut short
  EXPECT_EQ(to_utf8("\xE2\x82z"), kBad + kBad + "z");                 // cut short inside
  EXPECT_EQ(to_utf8("\xC0\xAF"), kBad + kBad);                        // overlong
  EXPECT_EQ(to_utf8("\xE0\x80\xAF"), kBad + kBad + kBad);             // overlong
  EXPECT_EQ(to_utf8("\xED\xA0\x80"), kBad + kBad + kBad);             // surrogate
  EXPECT_EQ(to_utf8("\xF4\x90\x80\x80"), kBad + kBad + kBad + kBad);  // beyond U+10FFFF
}

TEST(Utf8, TheResultIsAlwaysWellFormed) {
  const uint64_t seed = 20240607;
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; round++) {
    std::string bytes(random() % 12, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 4 ? 0x80 | random() % 128 : random());
    const std::string once = to_utf8(bytes);
    ASSERT_EQ(to_utf8(once), once) << "seed " << seed << ", round " << round;
    ASSERT_LE(once.size(), 3 * bytes.size());
  }
}

}  // namespace
}  // namespace tollgate
