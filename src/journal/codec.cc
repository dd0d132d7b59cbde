#include "journal/codec.h"

#include <fmt/format.h>

#include <charconv>

#include "base/crc32c.h"

namespace tollgate::journal {
namespace {

uint32_t position_seed(Position position) {
  char bytes[sizeof position];
  store(bytes, position);
  return crc32c({bytes, sizeof bytes});
}

}  // namespace

std::string encode(const SegmentHeader& header) {
  namespace at = format::segment_at;
  std::string out(format::kSegmentHeaderSize, '\0');
  store(&out[at::kMagic], format::kSegmentMagic);
  store(&out[at::kVersionField], header.version);
  store(&out[at::kHeaderSize], static_cast<uint32_t>(format::kSegmentHeaderSize));
  store(&out[at::kBase], header.base);
  store(&out[at::kCreatedMs], header.created_ms);
  store(&out[at::kCrc], crc32c({out.data(), at::kCrc}));
  return out;
}

std::optional<SegmentHeader> decode_segment_header(std::string_view bytes) {
  namespace at = format::segment_at;
  if (bytes.size() < format::kSegmentHeaderSize) return std::nullopt;
  const char* p = bytes.data();
  if (load<uint64_t>(p + at::kMagic) != format::kSegmentMagic) return std::nullopt;
  if (load<uint32_t>(p + at::kCrc) != crc32c({p, at::kCrc})) return std::nullopt;
  SegmentHeader out;
  out.version = load<uint32_t>(p + at::kVersionField);
  out.base = load<uint64_t>(p + at::kBase);
  out.created_ms = load<int64_t>(p + at::kCreatedMs);
  return out;
}

void encode(const RecordHeader& h, Position position, char* out) {
  namespace at = format::record_at;
  std::memset(out, 0, format::kRecordHeaderSize);
  store(out + at::kMagic, format::kRecordMagic);
  store(out + at::kType, static_cast<uint16_t>(h.type));
  store(out + at::kStream, h.stream);
  store(out + at::kPayloadLength, h.payload_length);
  store(out + at::kRawLength, h.raw_length);
  store(out + at::kSamples, h.samples);
  store(out + at::kExemplars, h.exemplars);
  store(out + at::kSeries, h.series);
  store(out + at::kSamplesBefore, h.samples_before);
  store(out + at::kMinTimestamp, h.min_timestamp);
  store(out + at::kMaxTimestamp, h.max_timestamp);
  store(out + at::kAppendedMs, h.appended_ms);
  store(out + at::kPayloadCrc, h.payload_crc);
  store(out + at::kHeaderCrc, crc32c({out, at::kHeaderCrc}, position_seed(position)));
}

std::optional<RecordHeader> decode_record_header(const char* p, Position position) {
  namespace at = format::record_at;
  if (load<uint32_t>(p + at::kMagic) != format::kRecordMagic) return std::nullopt;
  if (load<uint32_t>(p + at::kHeaderCrc) != crc32c({p, at::kHeaderCrc}, position_seed(position))) {
    return std::nullopt;
  }
  const auto type = load<uint16_t>(p + at::kType);
  if (type < 1 || type > static_cast<uint16_t>(format::RecordType::kFooter)) return std::nullopt;
  RecordHeader h;
  h.type = static_cast<format::RecordType>(type);
  h.stream = load<uint32_t>(p + at::kStream);
  h.payload_length = load<uint32_t>(p + at::kPayloadLength);
  h.raw_length = load<uint32_t>(p + at::kRawLength);
  h.samples = load<uint32_t>(p + at::kSamples);
  h.exemplars = load<uint32_t>(p + at::kExemplars);
  h.series = load<uint32_t>(p + at::kSeries);
  h.samples_before = load<uint64_t>(p + at::kSamplesBefore);
  h.min_timestamp = load<int64_t>(p + at::kMinTimestamp);
  h.max_timestamp = load<int64_t>(p + at::kMaxTimestamp);
  h.appended_ms = load<int64_t>(p + at::kAppendedMs);
  h.payload_crc = load<uint32_t>(p + at::kPayloadCrc);
  return h;
}

uint32_t payload_crc(std::string_view payload, Position position) {
  return crc32c(payload, position_seed(position));
}

BlockRef block_ref(const RecordHeader& h, Position position) {
  BlockRef out;
  out.position = position;
  out.end = position + format::kRecordHeaderSize + h.payload_length;
  out.stream = h.stream;
  out.elements_length = h.payload_length;
  out.raw_length = h.raw_length;
  out.samples = h.samples;
  out.exemplars = h.exemplars;
  out.series = h.series;
  out.payload_crc = h.payload_crc;
  out.samples_before = h.samples_before;
  out.min_timestamp = h.min_timestamp;
  out.max_timestamp = h.max_timestamp;
  out.appended_ms = h.appended_ms;
  return out;
}

void encode_row(const BlockRef& b, char* out) {
  namespace at = format::row_at;
  store(out + at::kPosition, b.position);
  store(out + at::kElementsLength, b.elements_length);
  store(out + at::kRawLength, b.raw_length);
  store(out + at::kSamples, b.samples);
  store(out + at::kSeries, b.series);
  store(out + at::kExemplars, b.exemplars);
  store(out + at::kPayloadCrc, b.payload_crc);
  store(out + at::kSamplesBefore, b.samples_before);
  store(out + at::kMinTimestamp, b.min_timestamp);
  store(out + at::kMaxTimestamp, b.max_timestamp);
  store(out + at::kAppendedMs, b.appended_ms);
}

BlockRef decode_row(const char* p, StreamId stream) {
  namespace at = format::row_at;
  BlockRef b;
  b.stream = stream;
  b.position = load<uint64_t>(p + at::kPosition);
  b.elements_length = load<uint32_t>(p + at::kElementsLength);
  b.end = b.position + format::kRecordHeaderSize + b.elements_length;
  b.raw_length = load<uint32_t>(p + at::kRawLength);
  b.samples = load<uint32_t>(p + at::kSamples);
  b.series = load<uint32_t>(p + at::kSeries);
  b.exemplars = load<uint32_t>(p + at::kExemplars);
  b.payload_crc = load<uint32_t>(p + at::kPayloadCrc);
  b.samples_before = load<uint64_t>(p + at::kSamplesBefore);
  b.min_timestamp = load<int64_t>(p + at::kMinTimestamp);
  b.max_timestamp = load<int64_t>(p + at::kMaxTimestamp);
  b.appended_ms = load<int64_t>(p + at::kAppendedMs);
  return b;
}

ByteWriter& ByteWriter::key(const StreamKey& k) {
  return text(k.tenant).text(k.source).text(k.replica).put(k.generation).put(k.shard).put(k.shards);
}

std::string ByteReader::text() {
  const auto size = get<uint32_t>();
  if (!has(size)) return {};
  std::string out(bytes_.substr(0, size));
  bytes_.remove_prefix(size);
  return out;
}

StreamKey ByteReader::key() {
  StreamKey k;
  k.tenant = text();
  k.source = text();
  k.replica = text();
  k.generation = get<uint32_t>();
  k.shard = get<uint32_t>();
  k.shards = get<uint32_t>();
  return k;
}

std::string encode(const StreamKey& key) {
  ByteWriter writer;
  writer.key(key);
  return std::move(writer.out());
}

size_t encoded_size(const StreamKey& key) {
  return key.tenant.size() + key.source.size() + key.replica.size() + 6 * sizeof(uint32_t);
}

std::optional<StreamKey> decode_key(std::string_view bytes) {
  ByteReader reader(bytes);
  StreamKey key = reader.key();
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return key;
}

std::string segment_name(Position base) {
  return fmt::format("{:016x}{}", base, format::kSegmentSuffix);
}

std::optional<Position> parse_segment_name(std::string_view name) {
  constexpr size_t kDigits = 16;
  if (name.size() != kDigits + std::strlen(format::kSegmentSuffix)) return std::nullopt;
  if (name.substr(kDigits) != format::kSegmentSuffix) return std::nullopt;
  Position base = 0;
  const char* end = name.data() + kDigits;
  if (std::from_chars(name.data(), end, base, 16).ptr != end) return std::nullopt;
  if (segment_name(base) != name || base > format::kMaxPosition) return std::nullopt;
  return base;
}

}  // namespace tollgate::journal
