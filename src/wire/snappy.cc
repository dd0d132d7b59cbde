#include "wire/snappy.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "wire/packer.h"
#include "wire/proto_bytes.h"

namespace tollgate::wire {
namespace {

constexpr std::string_view kFramed("\xff\x06\x00\x00sNaPpY", 10);
constexpr size_t kMaxPreamble = 5;

// The densest element is a 3-byte copy of 64 bytes: a block cannot decode to more than this.
constexpr uint64_t most_decoded(uint64_t element_bytes) { return element_bytes / 3 * 64 + 64; }

struct Preamble {
  uint64_t length;
  size_t size;
};

Result<Preamble> read_preamble(std::string_view block) {
  uint64_t length = 0;
  for (size_t i = 0; i < kMaxPreamble && i < block.size(); i++) {
    const uint64_t byte = static_cast<uint8_t>(block[i]);
    length |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      if (length > std::numeric_limits<uint32_t>::max()) break;
      return Preamble{length, i + 1};
    }
  }
  return sender_error(Code::kInvalid, block.empty()
                                          ? "bad snappy block: the body is empty"
                                          : "bad snappy block: no decoded length at its start");
}

// The preamble of `block`, judged.
Result<Preamble> check_preamble(std::string_view block, uint64_t limit) {
  if (block.starts_with(kFramed)) {
    return sender_error(Code::kInvalid,
                        "the body is in snappy's framed format (sNaPpY); remote write needs the "
                        "block format");
  }
  auto preamble = read_preamble(block);
  if (!preamble) return preamble;
  if (preamble->length > limit) {
    return sender_error(Code::kInvalid,
                        "the snappy block declares " + std::to_string(preamble->length) +
                            " decoded bytes, over the limit of " + std::to_string(limit));
  }
  if (preamble->length > most_decoded(block.size() - preamble->size)) {
    return sender_error(Code::kInvalid, "bad snappy block: it declares " +
                                            std::to_string(preamble->length) +
                                            " decoded bytes, more than its " +
                                            std::to_string(block.size()) + " bytes can hold");
  }
  return preamble;
}

// Bytes that decode() may write behind the end.
constexpr size_t kDecodeSlop = 64;

// What the first byte of a copy says: its length, how long the element is, the bits of the offset
// that are in the tag, and which of the bytes after the tag are offset.
struct CopyTag {
  uint8_t length;
  uint8_t size;
  uint16_t high;
  uint32_t mask;
};
constexpr std::array<CopyTag, 256> kCopyTags = [] {
  std::array<CopyTag, 256> tags{};
  for (uint32_t tag = 0; tag < 256; tag++) {
    const auto length = static_cast<uint8_t>(1 + (tag >> 2));
    switch (tag & 3) {
      case 1:
        tags[tag] = {static_cast<uint8_t>(4 + (tag >> 2 & 7)), 2,
                     static_cast<uint16_t>(tag >> 5 << 8), 0xff};
        break;
      case 2:
        tags[tag] = {length, 3, 0, 0xffff};
        break;
      case 3:
        tags[tag] = {length, 5, 0, 0xffffffff};
        break;
      default:
        break;
    }
  }
  return tags;
}();

// Decodes `elements` to exactly [out, out_end); kDecodeSlop more bytes may be written. False if
// they are corrupt: they reach past an end, refer to before the beginning, or do not add up.
// Debian's snappy is built for the oldest x86-64 and takes 1.6 times as long.
// Hot: once a request. Budget: 25 ns a sample (bench/wire_bench.cc, BM_Unpack).
bool decode(std::string_view elements, char* out, char* const out_end) {
  const char* in = elements.data();
  const char* const in_end = in + elements.size();
  char* const begin = out;
  while (in < in_end) {
    const uint32_t tag = static_cast<uint8_t>(*in);
    if ((tag & 3) == 0) {
      uint64_t n = (tag >> 2) + 1;
      in++;
      if (__builtin_expect(n > 60, 0)) {
        const uint64_t bytes = n - 60;
        if (static_cast<uint64_t>(in_end - in) < bytes) return false;
        n = 0;
        std::memcpy(&n, in, bytes);
        n++;
        in += bytes;
      }
      const auto in_left = static_cast<uint64_t>(in_end - in);
      if (n > in_left || n > static_cast<uint64_t>(out_end - out)) return false;
      if (n <= 16 && in_left >= 16) {
        std::memcpy(out, in, 16);
      } else if (n <= 64 && in_left >= 64) {
        std::memcpy(out, in, 64);
      } else {
        std::memcpy(out, in, n);
      }
      in += n;
      out += n;
      continue;
    }
    const CopyTag& how = kCopyTags[tag];
    uint32_t following = 0;
    if (__builtin_expect(in_end - in >= 5, 1)) {
      std::memcpy(&following, in + 1, 4);
    } else {
      if (in_end - in < how.size) return false;
      std::memcpy(&following, in + 1, how.size - 1u);
    }
    in += how.size;
    const uint64_t offset = (following & how.mask) | how.high;
    const uint32_t n = how.length;
    if (offset - 1 >= static_cast<uint64_t>(out - begin) ||
        n > static_cast<uint64_t>(out_end - out)) {
      return false;
    }
    const char* const from = out - offset;
    if (__builtin_expect(offset >= 16, 1)) {
      // Steps of 16 bytes, each of which reads what the one before has written.
      std::memcpy(out, from, 16);
      if (n > 16) {
        std::memcpy(out + 16, from + 16, 16);
        std::memcpy(out + 32, from + 32, 16);
        std::memcpy(out + 48, from + 48, 16);
      }
    } else {
      for (uint32_t i = 0; i < n; i++) out[i] = from[i];
    }
    out += n;
  }
  return out == out_end;
}
static_assert(std::endian::native == std::endian::little, "lengths are read as they lie");

}  // namespace

Result<uint64_t> declared_length(std::string_view block, uint64_t limit) {
  auto preamble = check_preamble(block, limit);
  if (!preamble) return preamble.error();
  return preamble->length;
}

Status unpack(std::string_view block, uint64_t limit, Buffer& out) {
  out.clear();
  auto preamble = check_preamble(block, limit);
  if (!preamble) return preamble.error();
  char* const to = out.grow(preamble->length + kDecodeSlop);
  if (!decode(block.substr(preamble->size), to, to + preamble->length)) {
    return sender_error(Code::kInvalid,
                        "bad snappy block: its elements are corrupt or do not add "
                        "up to the declared " +
                            std::to_string(preamble->length) + " bytes");
  }
  out.commit(preamble->length);
  return Ok{};
}

Status unpack_elements(std::string_view elements, uint64_t raw_length, Buffer& out) {
  out.clear();
  if (raw_length > std::numeric_limits<uint32_t>::max() ||
      raw_length > most_decoded(elements.size())) {
    return our_error(Code::kCorrupt, "a snappy element stream of " +
                                         std::to_string(elements.size()) +
                                         " bytes cannot decode to " + std::to_string(raw_length));
  }
  char* const to = out.grow(raw_length + kDecodeSlop);
  if (!decode(elements, to, to + raw_length)) {
    return our_error(Code::kCorrupt, "a snappy element stream does not decode to its " +
                                         std::to_string(raw_length) + " bytes");
  }
  out.commit(raw_length);
  return Ok{};
}

void pack_elements(std::string_view raw, Buffer& out) { Packer().pack(raw, out); }

void append_preamble(uint64_t raw_length, std::string& out) {
  TG_CHECK(raw_length <= std::numeric_limits<uint32_t>::max());
  char preamble[kMaxPreamble];
  out.append(preamble, write_varint(preamble, raw_length));
}

}  // namespace tollgate::wire
