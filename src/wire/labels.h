#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "wire/proto_bytes.h"

// One label of a TimeSeries as the walker sees it: places in the request's bytes.
namespace tollgate::wire {

// The first 8 bytes of a name as a number that sorts as the names do; shorter names are padded
// with zeros. Equal keys decide nothing unless both names are the same length of at most 8.
inline uint64_t name_key(std::string_view name) {
  uint64_t v = 0;
  if (name.empty()) return 0;
  std::memcpy(&v, name.data(), name.size() < 8 ? name.size() : 8);
  return std::endian::native == std::endian::little ? __builtin_bswap64(v) : v;
}

// The same, where 8 bytes may be read at `name` whatever its length (at least 1). Hot.
inline uint64_t name_key_padded(const char* name, size_t size) {
  const uint64_t v = load64(name);
  const uint64_t key = std::endian::native == std::endian::little ? __builtin_bswap64(v) : v;
  return size >= 8 ? key : key & (~uint64_t{0} << (64 - 8 * size));
}

struct LabelRef {
  uint64_t key;       // name_key(name())
  const char* begin;  // the whole field: tag, length, Label
  const char* name_at;
  const char* value_at;
  uint32_t size;  // of the whole field
  uint32_t name_size;
  uint32_t value_size;

  std::string_view name() const { return {name_at, name_size}; }
  std::string_view value() const { return {value_at, value_size}; }
};

// <0, 0, >0 as the names compare byte by byte.
inline int compare_names(uint64_t a_key, std::string_view a, uint64_t b_key, std::string_view b) {
  if (a_key != b_key) return a_key < b_key ? -1 : 1;
  return a.compare(b);
}
inline bool same_name(const LabelRef& label, uint64_t key, std::string_view name) {
  return label.key == key && label.name() == name;
}

}  // namespace tollgate::wire
