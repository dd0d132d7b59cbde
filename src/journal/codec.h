#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "journal/block.h"
#include "journal/format.h"

// Encoding and decoding of everything that journal/format.h names. Pure functions; decoding never
// trusts a length that it has not checked. Threads: any.
namespace tollgate::journal {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

template <typename T>
void store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <typename T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct SegmentHeader {
  uint32_t version = format::kVersion;
  Position base = 0;
  int64_t created_ms = 0;
};
std::string encode(const SegmentHeader& header);
// Nothing if magic or checksum are wrong. The version is for the caller to judge.
std::optional<SegmentHeader> decode_segment_header(std::string_view bytes);

struct RecordHeader {
  format::RecordType type = format::RecordType::kBlock;
  StreamId stream = 0;
  uint32_t payload_length = 0;
  uint32_t raw_length = 0;
  uint32_t samples = 0;
  uint32_t exemplars = 0;
  uint32_t series = 0;
  uint64_t samples_before = 0;
  int64_t min_timestamp = 0;
  int64_t max_timestamp = 0;
  int64_t appended_ms = 0;
  uint32_t payload_crc = 0;
};
// `out` has room for kRecordHeaderSize bytes. Both checksums are seeded with the record's
// position, so that a record copied or left over elsewhere never passes.
void encode(const RecordHeader& header, Position position, char* out);
std::optional<RecordHeader> decode_record_header(const char* bytes, Position position);
uint32_t payload_crc(std::string_view payload, Position position);

// The index entry of a block record.
BlockRef block_ref(const RecordHeader& header, Position position);
void encode_row(const BlockRef& block, char* out);
BlockRef decode_row(const char* bytes, StreamId stream);

std::string encode(const StreamKey& key);
size_t encoded_size(const StreamKey& key);
std::optional<StreamKey> decode_key(std::string_view bytes);

// Appends integers and counted strings to a string.
class ByteWriter {
 public:
  template <typename T>
  ByteWriter& put(T value) {
    char bytes[sizeof(T)];
    store(bytes, value);
    out_.append(bytes, sizeof bytes);
    return *this;
  }
  ByteWriter& text(std::string_view value) {
    put(static_cast<uint32_t>(value.size()));
    out_.append(value);
    return *this;
  }
  ByteWriter& key(const StreamKey& value);
  std::string& out() { return out_; }

 private:
  std::string out_;
};

// Reads what a ByteWriter wrote. After the first read beyond the end, ok() is false and every
// further value is zero or empty.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  T get() {
    if (!has(sizeof(T))) return T{};
    T value = load<T>(bytes_.data());
    bytes_.remove_prefix(sizeof(T));
    return value;
  }
  std::string text();
  StreamKey key();
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }
  size_t left() const { return bytes_.size(); }

 private:
  bool has(size_t n) {
    if (bytes_.size() < n) {
      ok_ = false;
      bytes_ = {};
    }
    return ok_;
  }
  std::string_view bytes_;
  bool ok_ = true;
};

// "%016x.seg" and back; nothing if `name` is not a segment's (positions end at 2^62).
std::string segment_name(Position base);
std::optional<Position> parse_segment_name(std::string_view name);

}  // namespace tollgate::journal
