#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

// Reading protobuf's wire format straight from memory. What is accepted and what is refused is
// what libprotobuf 3.21 accepts and refuses, byte for byte, because our destinations parse the
// same bytes later: tags have at most 5 bytes (bits above 32 are dropped), lengths at most 5 and
// less than 2 GiB, other varints at most 10; groups are skipped when well nested.
//
// All functions read from [p, end) only, return the position after what they read, or nullptr
// after having set `fault`.
namespace tollgate::wire {

enum WireType : uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLength = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5
};
constexpr uint32_t field_tag(uint32_t field, WireType type) { return field << 3 | type; }

// How deep messages and groups may nest, as in libprotobuf.
inline constexpr int kMaxDepth = 100;

// Where bytes stop being protobuf, and why.
struct Fault {
  const char* at = nullptr;
  const char* what = "";

  const char* set(const char* where, const char* why) {
    at = where;
    what = why;
    return nullptr;
  }
};

const char* read_tag_slow(const char* p, const char* end, uint32_t& tag, Fault& fault);
const char* read_varint_slow(const char* p, const char* end, uint64_t& value, Fault& fault);
const char* read_length_slow(const char* p, const char* end, uint32_t& length, Fault& fault);

// A field's tag; never of field 0.
inline const char* read_tag(const char* p, const char* end, uint32_t& tag, Fault& fault) {
  if (p < end && static_cast<uint8_t>(*p) < 0x80 && static_cast<uint8_t>(*p) >= 8) {
    tag = static_cast<uint8_t>(*p);
    return p + 1;
  }
  return read_tag_slow(p, end, tag, fault);
}

inline const char* read_varint(const char* p, const char* end, uint64_t& value, Fault& fault) {
  if (p < end && static_cast<uint8_t>(*p) < 0x80) {
    value = static_cast<uint8_t>(*p);
    return p + 1;
  }
  return read_varint_slow(p, end, value, fault);
}

// A length; that many bytes follow before `end`.
inline const char* read_length(const char* p, const char* end, uint32_t& length, Fault& fault) {
  if (end - p >= 2) {
    const uint32_t first = static_cast<uint8_t>(p[0]);
    const uint32_t second = static_cast<uint8_t>(p[1]);
    const bool one = first < 0x80;
    const uint32_t value = one ? first : first - 0x80 + (second << 7);
    const char* const after = p + (one ? 1 : 2);
    if ((one || second < 0x80) && static_cast<std::ptrdiff_t>(value) <= end - after) {
      length = value;
      return after;
    }
  }
  return read_length_slow(p, end, length, fault);
}

// Skips the value of a field whose tag was just read at `tag_at`. `depth`: how many levels of
// groups may still open.
const char* skip_value(const char* tag_at, const char* p, const char* end, uint32_t tag, int depth,
                       Fault& fault);

// True if [p, end) is a sequence of well-formed fields: right for every message that has neither
// messages nor packed numbers in it (Label, Sample, BucketSpan, MetricMetadata).
bool well_formed(const char* p, const char* end, int depth, Fault& fault);

inline uint64_t load64(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

constexpr uint64_t zigzag_decode(uint64_t v) { return (v >> 1) ^ (~(v & 1) + 1); }

constexpr size_t varint_size(uint64_t v) {
  size_t n = 1;
  for (; v >= 0x80; v >>= 7) n++;
  return n;
}

inline char* write_varint(char* p, uint64_t v) {
  for (; v >= 0x80; v >>= 7) *p++ = static_cast<char>(v | 0x80);
  *p++ = static_cast<char>(v);
  return p;
}

}  // namespace tollgate::wire
