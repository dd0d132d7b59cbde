#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

// Writing snappy's elements. Source: google/snappy format_description.txt.
namespace tollgate::wire {

inline constexpr uint32_t kWindow = 65536;     // a copy in three bytes reaches back less than this
inline constexpr uint32_t kNearOffset = 2048;  // below it, 4 to 11 bytes cost two
inline constexpr size_t kMostCopy = 64;        // bytes that one copy stands for
inline constexpr size_t kMostLiteralTag = 5;

static_assert(std::endian::native == std::endian::little, "offsets are written as they lie");

// The tag of a literal of `n` > 0 bytes, which follow it; returns where they go.
inline char* write_literal_tag(char* to, size_t n) {
  const size_t count = n - 1;
  if (count < 60) {
    *to++ = static_cast<char>(count << 2);
    return to;
  }
  const size_t bytes = count < 1 << 8 ? 1 : count < 1 << 16 ? 2 : count < 1 << 24 ? 3 : 4;
  *to++ = static_cast<char>((59 + bytes) << 2);
  for (size_t i = 0; i < bytes; i++) *to++ = static_cast<char>(count >> (8 * i));
  return to;
}

// What write_copy may write.
constexpr size_t most_copy_bytes(size_t n) { return 3 * (n / (kMostCopy - 4) + 1) + 1; }

// Copies of `n` >= 4 bytes in all, from `offset` < kWindow before. One byte more is written.
inline char* write_copy(char* to, uint32_t offset, size_t n) {
  const auto put = [&to, offset](size_t length) {
    const auto element = static_cast<uint32_t>(2 | (length - 1) << 2 | offset << 8);
    std::memcpy(to, &element, sizeof element);
    to += 3;
  };
  while (n >= kMostCopy + 4) {
    put(kMostCopy);
    n -= kMostCopy;
  }
  if (n > kMostCopy) {  // leaves at least four
    put(kMostCopy - 4);
    n -= kMostCopy - 4;
  }
  if (n < 12 && offset < kNearOffset) {
    *to++ = static_cast<char>(1 | (n - 4) << 2 | offset >> 8 << 5);
    *to++ = static_cast<char>(offset);
  } else {
    put(n);
  }
  return to;
}

}  // namespace tollgate::wire
