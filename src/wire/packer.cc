#include "wire/packer.h"

#include <emmintrin.h>

#include <bit>
#include <cstring>
#include <limits>

#include "wire/elements.h"

namespace tollgate::wire {
namespace {

constexpr size_t kMargin = kMostCopy + 16;  // so many bytes before the end, the search stops

uint32_t load32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// How many bytes at `a` and at `b` < `a` are the same, up to `end`. Hot.
size_t same_bytes(const char* a, const char* b, const char* end) {
  const char* const start = a;
  while (end - a >= 16) {
    const __m128i left = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
    const __m128i right = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
    const auto same = static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(left, right)));
    if (same != 0xffff) return static_cast<size_t>(a - start) + std::countr_zero(~same);
    a += 16;
    b += 16;
  }
  while (a < end && *a == *b) a++, b++;
  return static_cast<size_t>(a - start);
}

// Writes a literal of `n` > 0 bytes. 16 bytes may be read and written whatever `n` is.
char* put_literal(char* to, const char* from, size_t n) {
  if (__builtin_expect(n <= 16, 1)) {
    *to = static_cast<char>((n - 1) << 2);
    std::memcpy(to + 1, from, 16);
    return to + 1 + n;
  }
  to = write_literal_tag(to, n);
  std::memcpy(to, from, n);
  return to + n;
}

}  // namespace

// Hot: once a block. Budget: 80 ns a sample of 224 bytes (bench/wire_bench.cc, BM_Gateway).
void Packer::pack(std::string_view raw, Buffer& out) {
  TG_CHECK(raw.size() <= std::numeric_limits<uint32_t>::max());
  if (raw.empty()) return;
  const char* const begin = raw.data();
  const char* const end = begin + raw.size();
  const char* done = begin;  // everything before it is in the output
  char* const first = out.grow(raw.size() + raw.size() / 6 + 32 + kMostCopy);
  char* to = first;
  if (raw.size() > kMargin) {
    table_.fill(0);
    const char* const stop = end - kMargin;
    const auto slot_of = [this](uint32_t four) -> uint32_t& {
      return table_[four * 0x1e35a7bdu >> (32 - kTableBits)];
    };
    const char* p = begin + 1;
    while (p < stop) {
      // Looks for a place that begins as `p` does.
      const char* source = nullptr;
      for (uint32_t steps = 32; p < stop; p += steps++ >> 5) {
        const uint32_t four = load32(p);
        uint32_t& slot = slot_of(four);
        const char* const candidate = begin + slot;
        slot = static_cast<uint32_t>(p - begin);
        if (load32(candidate) == four && p - candidate < kWindow) {
          source = candidate;
          break;
        }
      }
      if (source == nullptr) break;
      // A copy, and another one right after it as long as there is one.
      while (source != nullptr) {
        const size_t n = 4 + same_bytes(p + 4, source + 4, end);
        const auto offset = static_cast<uint32_t>(p - source);
        if (p > done) to = put_literal(to, done, static_cast<size_t>(p - done));
        to = write_copy(to, offset, n);
        p += n;
        done = p;
        source = nullptr;
        if (p >= stop) break;
        slot_of(load32(p - 1)) = static_cast<uint32_t>(p - 1 - begin);
        const uint32_t four = load32(p);
        uint32_t& slot = slot_of(four);
        const char* const candidate = begin + slot;
        slot = static_cast<uint32_t>(p - begin);
        if (load32(candidate) == four && p - candidate < kWindow) source = candidate;
      }
      p++;
    }
  }
  if (done < end) {
    // The last bytes, without reading past them.
    const auto n = static_cast<size_t>(end - done);
    if (n > 16) {
      to = put_literal(to, done, n);
    } else {
      *to++ = static_cast<char>((n - 1) << 2);
      std::memcpy(to, done, n);
      to += n;
    }
  }
  out.commit(static_cast<size_t>(to - first));
}

}  // namespace tollgate::wire
