#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The few pieces of protobuf that load and sinks need. Nothing of the gateway's own code: what
// checks a gateway must not share its mistakes.
namespace tollgate::bench {

inline void put_varint(std::string& out, uint64_t v) {
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
  out.push_back(static_cast<char>(v));
}
inline void put_bytes(std::string& out, char tag, std::string_view bytes) {
  out.push_back(tag);
  put_varint(out, bytes.size());
  out.append(bytes);
}
inline void put_fixed64(std::string& out, uint64_t v) {
  char bytes[8];
  std::memcpy(bytes, &v, 8);
  out.append(bytes, 8);
}

// A timestamp of our days, in ms, always takes this many bytes as a varint (until the year 2109).
inline constexpr size_t kTimestampBytes = 6;
inline constexpr int64_t kMinTimestamp = int64_t{1} << 35;
inline constexpr int64_t kMaxTimestamp = (int64_t{1} << 42) - 1;

inline void put_timestamp(char* at, int64_t ms) {
  auto v = static_cast<uint64_t>(ms);
  for (size_t i = 0; i + 1 < kTimestampBytes; i++, v >>= 7) at[i] = static_cast<char>(v | 0x80);
  at[kTimestampBytes - 1] = static_cast<char>(v);
}
inline int64_t get_timestamp(const char* at) {
  uint64_t v = 0;
  for (size_t i = kTimestampBytes; i-- > 0;) {
    v = v << 7 | (static_cast<uint8_t>(at[i]) & 0x7f);
  }
  return static_cast<int64_t>(v);
}
// Whether the six bytes at `at` are one varint of six bytes.
inline bool is_timestamp(const char* at) {
  uint64_t v = 0;
  std::memcpy(&v, at, kTimestampBytes);
  return (v & 0x808080808080) == 0x008080808080;
}

// Reads fields one after another; stops, with ok() false, where the bytes are not protobuf.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes)
      : p_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  // The next field; false at the end or at a fault.
  bool next() {
    if (p_ == end_ || !ok_) return false;
    start_ = p_;
    uint64_t tag = 0;
    if (!varint(tag) || tag < 8 || tag > UINT32_MAX) return fault();
    field_ = static_cast<uint32_t>(tag >> 3);
    wire_ = static_cast<uint32_t>(tag & 7);
    switch (wire_) {
      case 0:
        return varint(number_) || fault();
      case 1:
        return fixed(8) || fault();
      case 2: {
        uint64_t size = 0;
        if (!varint(size) || size > static_cast<uint64_t>(end_ - p_)) return fault();
        bytes_ = {p_, size};
        p_ += size;
        return true;
      }
      case 5:
        return fixed(4) || fault();
      default:
        return fault();
    }
  }
  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }
  uint32_t wire() const { return wire_; }
  // A varint, or the bits of a fixed32 or fixed64.
  uint64_t number() const { return number_; }
  // Of a length-delimited field.
  std::string_view bytes() const { return bytes_; }
  // The field with its tag.
  std::string_view whole() const { return {start_, static_cast<size_t>(p_ - start_)}; }
  bool is(uint32_t field, uint32_t wire) const { return field_ == field && wire_ == wire; }

 private:
  bool fault() { return ok_ = false; }
  bool varint(uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 70 && p_ < end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*p_++);
      out |= static_cast<uint64_t>(byte & 0x7f) << (shift & 63);
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool fixed(size_t size) {
    if (static_cast<size_t>(end_ - p_) < size) return false;
    number_ = 0;
    std::memcpy(&number_, p_, size);
    p_ += size;
    return true;
  }

  const char* p_;
  const char* end_;
  const char* start_ = nullptr;
  bool ok_ = true;
  uint32_t field_ = 0;
  uint32_t wire_ = 0;
  uint64_t number_ = 0;
  std::string_view bytes_;
};

}  // namespace tollgate::bench
