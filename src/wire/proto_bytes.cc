#include "wire/proto_bytes.h"

#include <climits>

namespace tollgate::wire {
namespace {

constexpr const char* kEndsInTag = "the message ends inside a field tag";
constexpr const char* kEndsInVarint = "the message ends inside a varint";
constexpr const char* kEndsInField = "a field reaches past the end of its message";

uint32_t byte_at(const char* p) { return static_cast<uint8_t>(*p); }

}  // namespace

const char* read_tag_slow(const char* p, const char* end, uint32_t& tag, Fault& fault) {
  const char* start = p;
  uint32_t value = 0;
  for (uint32_t shift = 0; shift < 35; shift += 7) {
    if (p == end) return fault.set(start, kEndsInTag);
    const uint32_t byte = byte_at(p++);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (value >> 3 == 0) return fault.set(start, "field number 0");
      tag = value;
      return p;
    }
  }
  return fault.set(start, "a field tag of more than 5 bytes");
}

const char* read_varint_slow(const char* p, const char* end, uint64_t& value, Fault& fault) {
  const char* start = p;
  uint64_t v = 0;
  for (uint32_t shift = 0; shift < 70; shift += 7) {
    if (p == end) return fault.set(start, kEndsInVarint);
    const uint64_t byte = byte_at(p++);
    v |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      value = v;
      return p;
    }
  }
  return fault.set(start, "a varint of more than 10 bytes");
}

const char* read_length_slow(const char* p, const char* end, uint32_t& length, Fault& fault) {
  const char* start = p;
  uint64_t v = 0;
  for (uint32_t shift = 0; shift < 35; shift += 7) {
    if (p == end) return fault.set(start, kEndsInVarint);
    const uint64_t byte = byte_at(p++);
    v |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      if (v > INT_MAX - 16) return fault.set(start, "a length of 2 GiB or more");
      if (v > static_cast<uint64_t>(end - p)) return fault.set(start, kEndsInField);
      length = static_cast<uint32_t>(v);
      return p;
    }
  }
  return fault.set(start, "a length of more than 5 bytes");
}

const char* skip_value(const char* tag_at, const char* p, const char* end, uint32_t tag, int depth,
                       Fault& fault) {
  uint32_t open[kMaxDepth];  // start tags of the groups we are in
  int groups = 0;
  for (;;) {
    switch (tag & 7) {
      case kVarint: {
        uint64_t ignored;
        p = read_varint(p, end, ignored, fault);
        break;
      }
      case kFixed64:
        p = end - p >= 8 ? p + 8 : fault.set(tag_at, kEndsInField);
        break;
      case kFixed32:
        p = end - p >= 4 ? p + 4 : fault.set(tag_at, kEndsInField);
        break;
      case kLength: {
        uint32_t length;
        p = read_length(p, end, length, fault);
        if (p != nullptr) p += length;
        break;
      }
      case kStartGroup:
        if (groups >= depth) return fault.set(tag_at, "groups nested more than 100 deep");
        open[groups++] = tag;
        break;
      case kEndGroup:
        if (groups == 0 || open[groups - 1] + 1 != tag) {
          return fault.set(tag_at, "the end of a group that was not begun");
        }
        groups--;
        break;
      default:
        return fault.set(tag_at, "an unknown wire type");
    }
    if (p == nullptr || groups == 0) return p;
    tag_at = p;
    if (p == end) return fault.set(tag_at, "a group without an end");
    p = read_tag(p, end, tag, fault);
    if (p == nullptr) return nullptr;
  }
}

bool well_formed(const char* p, const char* end, int depth, Fault& fault) {
  while (p < end) {
    const char* tag_at = p;
    uint32_t tag;
    p = read_tag(p, end, tag, fault);
    if (p == nullptr) return false;
    p = skip_value(tag_at, p, end, tag, depth, fault);
    if (p == nullptr) return false;
  }
  return true;
}

}  // namespace tollgate::wire
