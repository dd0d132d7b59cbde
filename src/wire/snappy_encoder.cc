#include "wire/snappy_encoder.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "wire/proto_bytes.h"

namespace tollgate::wire {
namespace {

// Offsets inside a fragment fit the 2-byte copies, and positions fit the table's 16 bits.
constexpr size_t kFragment = 64 * 1024;
constexpr int kMaxTableBits = 14;
constexpr int kMinTableBits = 8;
// The search stops this far from a fragment's end: it reads 8 bytes at a time, and literals are
// copied in steps of 16.
constexpr size_t kMargin = 16;
constexpr size_t kMaxShortCopyOffset = 2048;

// Bytes that n raw bytes can become, at worst: literals with their tags, and room for the copies
// in steps of 16.
constexpr size_t most_encoded(size_t n) { return n + n / 6 + 32; }

thread_local uint16_t table[1 << kMaxTableBits];

uint32_t load32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// A hash of the 6 bytes at p (8 are read): a match worth its 3 bytes is rarely shorter.
uint32_t hash(const char* p, int shift) {
  return static_cast<uint32_t>((load64(p) << 16) * 0x9e3779b185ebca87u >> shift);
}

// How many bytes at a and b are equal; b, the later one, may not reach `end`.
size_t match_length(const char* a, const char* b, const char* end) {
  const char* const start = b;
  while (end - b >= 8) {
    const uint64_t difference = load64(a) ^ load64(b);
    if (difference != 0) {
      return static_cast<size_t>(b - start) + static_cast<size_t>(std::countr_zero(difference) / 8);
    }
    a += 8;
    b += 8;
  }
  while (b < end && *a == *b) {
    a++;
    b++;
  }
  return static_cast<size_t>(b - start);
}

// `padded`: 16 bytes may be read at from + n. At least one byte.
char* put_literal(char* to, const char* from, size_t n, bool padded) {
  const size_t count = n - 1;
  if (count < 60) {
    *to++ = static_cast<char>(count << 2);
    if (padded) {
      for (size_t done = 0; done < n; done += 16) std::memcpy(to + done, from + done, 16);
      return to + n;
    }
  } else if (count < 256) {
    *to++ = static_cast<char>(60 << 2);
    *to++ = static_cast<char>(count);
  } else {
    *to++ = static_cast<char>(61 << 2);  // a fragment has at most 2^16 bytes
    *to++ = static_cast<char>(count);
    *to++ = static_cast<char>(count >> 8);
  }
  std::memcpy(to, from, n);
  return to + n;
}

char* put_copy2(char* to, size_t offset, size_t n) {
  to[0] = static_cast<char>((n - 1) << 2 | 2);
  to[1] = static_cast<char>(offset);
  to[2] = static_cast<char>(offset >> 8);
  return to + 3;
}

// At least 4 bytes. What remains after copies of 64 must be at least 4 again, to be a short one.
char* put_copy(char* to, size_t offset, size_t n) {
  for (; n >= 68; n -= 64) to = put_copy2(to, offset, 64);
  if (n > 64) {
    to = put_copy2(to, offset, 60);
    n -= 60;
  }
  if (n >= 12 || offset >= kMaxShortCopyOffset) return put_copy2(to, offset, n);
  to[0] = static_cast<char>((offset >> 8) << 5 | (n - 4) << 2 | 1);
  to[1] = static_cast<char>(offset);
  return to + 2;
}

// Hot: bench/wire_bench.cc, BM_Pack.
char* encode_fragment(const char* const base, const char* const end, char* to) {
  const size_t size = static_cast<size_t>(end - base);
  const char* unsaid = base;  // literals from here to the search position are still to be written
  if (size > kMargin) {
    const int bits =
        std::clamp(static_cast<int>(std::bit_width(size - 1)), kMinTableBits, kMaxTableBits);
    const int shift = 64 - bits;
    std::memset(table, 0, sizeof(table[0]) << bits);
    const char* const limit = end - kMargin;
    const char* p = base + 1;
    while (p < limit) {
      // Look for 4 equal bytes; take longer steps the longer nothing is found.
      const char* candidate;
      size_t misses = 32;
      for (;;) {
        uint16_t& slot = table[hash(p, shift)];
        candidate = base + slot;
        slot = static_cast<uint16_t>(p - base);
        if (load32(candidate) == load32(p)) break;
        p += misses++ >> 5;
        if (p >= limit) goto tail;
      }
      size_t length = 4 + match_length(candidate + 4, p + 4, end);
      while (p > unsaid && candidate > base && p[-1] == candidate[-1]) {
        p--;
        candidate--;
        length++;
      }
      if (p > unsaid) to = put_literal(to, unsaid, static_cast<size_t>(p - unsaid), true);
      to = put_copy(to, static_cast<size_t>(p - candidate), length);
      p += length;
      unsaid = p;
      if (p >= limit) break;
      table[hash(p - 2, shift)] = static_cast<uint16_t>(p - 2 - base);
    }
  }
tail:
  if (unsaid < end) to = put_literal(to, unsaid, static_cast<size_t>(end - unsaid), false);
  return to;
}

}  // namespace

void encode_elements(std::string_view raw, Buffer& out) {
  while (!raw.empty()) {
    const size_t n = std::min(raw.size(), kFragment);
    char* const begin = out.grow(most_encoded(n));
    out.commit(static_cast<size_t>(encode_fragment(raw.data(), raw.data() + n, begin) - begin));
    raw.remove_prefix(n);
  }
}

}  // namespace tollgate::wire
