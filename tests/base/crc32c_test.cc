#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tollgate {
namespace {

// RFC 3720 appendix B.4.
TEST(Crc32c, HasTheValuesOfTheStandard) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string up, down;
  for (int i = 0; i < 32; i++) {
    up += static_cast<char>(i);
    down += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(up), 0x46dd794eu);
  EXPECT_EQ(crc32c(down), 0x113fdb5cu);
  const unsigned char read_command[48] = {
      0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
      0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
      0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
      0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(crc32c({reinterpret_cast<const char*>(read_command), sizeof read_command}),
            0xd9963a56u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

uint32_t bit_by_bit(std::string_view data, uint32_t seed) {
  uint32_t crc = ~seed;
  for (unsigned char byte : data) {
    crc ^= byte;
    for (int k = 0; k < 8; k++) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, AgreesWithTheDefinitionAtAnyLengthAndAlignment) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::string data(300, '\0');
  for (char& c : data) c = static_cast<char>(random());
  for (size_t offset = 0; offset < 9; offset++) {
    for (size_t size = 0; size + offset < data.size(); size += 1 + size / 8) {
      const auto piece = std::string_view(data).substr(offset, size);
      EXPECT_EQ(crc32c(piece), bit_by_bit(piece, 0));
    }
  }
}

TEST(Crc32c, ContinuesFromASeed) {
  const std::string data = "the quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= data.size(); cut++) {
    EXPECT_EQ(crc32c(data.substr(cut), crc32c(data.substr(0, cut))), crc32c(data));
  }
}

}  // namespace
}  // namespace tollgate
