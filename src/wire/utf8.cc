#include "wire/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tollgate::wire {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080;

uint64_t word(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

bool continuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

}  // namespace

bool is_ascii(std::string_view text) {
  const char* p = text.data();
  size_t n = text.size();
  const auto words = [](const char* at) {  // 32 bytes
    return word(at) | word(at + 8) | word(at + 16) | word(at + 24);
  };
  uint64_t bits = 0;
  if (n >= 32) {
    // The last 32 bytes overlap what was seen: one loop, one exit that is hard to predict.
    bits = words(p + n - 32);
    for (; n > 32; n -= 32, p += 32) bits |= words(p);
    return (bits & kHighBits) == 0;
  }
  for (; n >= 8; n -= 8, p += 8) bits |= word(p);
  for (; n > 0; n--, p++) bits |= static_cast<uint64_t>(static_cast<uint8_t>(*p));
  return (bits & kHighBits) == 0;
}

bool is_utf8(std::string_view text) {
  const char* p = text.data();
  const char* end = p + text.size();
  while (p < end) {
    const uint8_t c = static_cast<uint8_t>(*p);
    const std::ptrdiff_t left = end - p;
    if (c < 0x80) {
      p += left >= 8 && (word(p) & kHighBits) == 0 ? 8 : 1;
    } else if (c >= 0xc2 && c < 0xe0) {
      if (left < 2 || !continuation(p[1])) return false;
      p += 2;
    } else if (c >= 0xe0 && c < 0xf0) {
      if (left < 3 || !continuation(p[1]) || !continuation(p[2])) return false;
      const uint8_t second = static_cast<uint8_t>(p[1]);
      if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second >= 0xa0)) return false;
      p += 3;
    } else if (c >= 0xf0 && c < 0xf5) {
      if (left < 4 || !continuation(p[1]) || !continuation(p[2]) || !continuation(p[3])) {
        return false;
      }
      const uint8_t second = static_cast<uint8_t>(p[1]);
      if ((c == 0xf0 && second < 0x90) || (c == 0xf4 && second >= 0x90)) return false;
      p += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace tollgate::wire
