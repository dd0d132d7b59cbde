#include "journal/segment.h"

#include <algorithm>

#include "base/crc32c.h"

namespace tollgate::journal {
namespace {

// Reads exactly `size` bytes; nothing if the file ends before.
Result<std::optional<std::string>> read_exactly(const fs::File& file, uint64_t offset,
                                                uint64_t size) {
  std::string bytes(size, '\0');
  auto n = file.read_at(offset, bytes.data(), size);
  if (!n) return n.error();
  if (*n < size) return std::optional<std::string>();
  return std::optional<std::string>(std::move(bytes));
}

bool plausible(const BlockRef& b, Position lower, Position upper) {
  return b.position >= lower && b.position < upper && b.end <= upper;
}

}  // namespace

void Extent::add(const BlockRef& b) {
  if (blocks == 0) {
    first = b.position;
    samples_before = b.samples_before;
    first_ms = b.appended_ms;
  }
  blocks++;
  end = b.end;
  samples_end = b.samples_before + b.samples;
  bytes += b.elements_length;
  last_ms = b.appended_ms;
  min_timestamp = std::min(min_timestamp, b.min_timestamp);
  max_timestamp = std::max(max_timestamp, b.max_timestamp);
}

uint64_t footer_size(size_t streams, size_t key_bytes, size_t blocks) {
  return format::kRecordHeaderSize + 8 + streams * format::kFooterStreamSize + key_bytes +
         blocks * format::kRowSize + format::kTrailerSize;
}

void FooterSize::add(const StreamKey& key, size_t blocks) {
  // id, key, blocks, nine numbers, place and checksum of the rows.
  total_ += 4 + encoded_size(key) + 4 + 9 * 8 + 8 + 4 + blocks * format::kRowSize;
}

std::string encode_footer(std::vector<FooterStream>& streams, Position base, Position position,
                          int64_t now_ms) {
  FooterSize size;
  size_t blocks = 0;
  for (const FooterStream& s : streams) {
    size.add(s.key, s.extent.rows->size());
    blocks += s.extent.rows->size();
  }
  std::string out(size.total(), '\0');
  char* const payload = out.data() + format::kRecordHeaderSize;
  char* const trailer = out.data() + out.size() - format::kTrailerSize;
  char* row = trailer - blocks * format::kRowSize;
  ByteWriter table;
  table.put(static_cast<uint32_t>(streams.size())).put(uint32_t{0});
  for (FooterStream& s : streams) {
    Extent& e = s.extent;
    char* const rows = row;
    for (const BlockRef& b : *e.rows) {
      encode_row(b, row);
      row += format::kRowSize;
    }
    e.rows_at = position - base + static_cast<uint64_t>(rows - out.data());
    e.rows_crc = crc32c({rows, static_cast<size_t>(row - rows)});
    table.put(s.stream).key(s.key).put(e.blocks).put(e.first).put(e.end).put(e.samples_before);
    table.put(e.samples_end).put(e.bytes).put(e.first_ms).put(e.last_ms);
    table.put(e.min_timestamp).put(e.max_timestamp).put(e.rows_at).put(e.rows_crc);
  }
  TG_CHECK(payload + table.out().size() + blocks * format::kRowSize == trailer);
  std::memcpy(payload, table.out().data(), table.out().size());
  store(trailer + format::trailer_at::kFooterPosition, position);
  store(trailer + format::trailer_at::kMagic, format::kTrailerMagic);
  store(trailer + format::trailer_at::kCrc, crc32c({trailer, format::trailer_at::kCrc}));

  const std::string_view whole = std::string_view(out).substr(format::kRecordHeaderSize);
  RecordHeader header;
  header.type = format::RecordType::kFooter;
  header.payload_length = static_cast<uint32_t>(whole.size());
  header.appended_ms = now_ms;
  header.payload_crc = payload_crc(whole, position);
  encode(header, position, out.data());
  return out;
}

std::string encode_footer(SegmentIndex& index, Position base, Position position, int64_t now_ms) {
  std::vector<FooterStream> streams;
  for (auto& [id, stream] : index.streams) {
    streams.push_back({id, stream.key, stream.extent});
    streams.back().extent.rows = std::make_shared<Rows>(stream.rows);
  }
  std::string footer = encode_footer(streams, base, position, now_ms);
  for (const FooterStream& s : streams) {
    Extent& extent = index.streams.at(s.stream).extent;
    extent.rows_at = s.extent.rows_at;
    extent.rows_crc = s.extent.rows_crc;
  }
  return footer;
}

bool footer_is_missing(const SegmentIndex& index, Position successor) {
  if (index.streams.empty() || index.scan.end >= successor) return false;
  FooterSize size;
  for (const auto& [id, stream] : index.streams) size.add(stream.key, stream.rows.size());
  return size.total() == successor - index.scan.end;
}

Result<std::optional<SegmentIndex>> read_footer(const fs::File& file, Position base, Position end) {
  const std::optional<SegmentIndex> none;
  const Position first = base + format::kSegmentHeaderSize;
  if (end < first + format::kRecordHeaderSize + format::kTrailerSize) return none;
  auto trailer = read_exactly(file, end - base - format::kTrailerSize, format::kTrailerSize);
  if (!trailer) return trailer.error();
  if (!*trailer) return none;
  const char* t = (*trailer)->data();
  namespace at = format::trailer_at;
  if (load<uint32_t>(t + at::kMagic) != format::kTrailerMagic) return none;
  if (load<uint32_t>(t + at::kCrc) != crc32c({t, at::kCrc})) return none;
  const auto position = load<uint64_t>(t + at::kFooterPosition);
  if (position < first || position > end - format::kRecordHeaderSize) return none;
  auto record = read_exactly(file, position - base, end - position);
  if (!record) return record.error();
  if (!*record) return none;
  const auto header = decode_record_header((*record)->data(), position);
  if (!header || header->type != format::RecordType::kFooter) return none;
  const auto payload = std::string_view(**record).substr(format::kRecordHeaderSize);
  if (payload.size() != header->payload_length) return none;
  if (payload_crc(payload, position) != header->payload_crc) return none;

  SegmentIndex index;
  index.scan.end = end;
  ByteReader reader(payload);
  const auto count = reader.get<uint32_t>();
  reader.get<uint32_t>();
  for (uint32_t i = 0; i < count && reader.ok(); i++) {
    const auto id = reader.get<StreamId>();
    SegmentIndex::Stream stream;
    stream.key = reader.key();
    Extent& e = stream.extent;
    e.blocks = reader.get<uint32_t>();
    e.first = reader.get<uint64_t>();
    e.end = reader.get<uint64_t>();
    e.samples_before = reader.get<uint64_t>();
    e.samples_end = reader.get<uint64_t>();
    e.bytes = reader.get<uint64_t>();
    e.first_ms = reader.get<int64_t>();
    e.last_ms = reader.get<int64_t>();
    e.min_timestamp = reader.get<int64_t>();
    e.max_timestamp = reader.get<int64_t>();
    e.rows_at = reader.get<uint64_t>();
    e.rows_crc = reader.get<uint32_t>();
    const uint64_t rows_size = uint64_t{e.blocks} * format::kRowSize;
    if (e.blocks == 0 || e.first < first || e.end > position || e.first >= e.end) return none;
    if (e.rows_at > end - base || rows_size > end - base - e.rows_at) return none;
    index.streams.emplace(id, std::move(stream));
  }
  if (!reader.ok()) return none;
  return std::optional<SegmentIndex>(std::move(index));
}

Result<SegmentIndex> scan_segment(const fs::File& file, Position base, Position limit,
                                  Payloads payloads, const KeyLookup& lookup) {
  SegmentIndex index;
  std::map<StreamId, StreamKey> keys;
  auto outcome =
      scan_records(file, base, base + format::kSegmentHeaderSize, limit, payloads,
                   [&](const RecordHeader& header, Position position, std::string_view payload) {
                     if (header.type == format::RecordType::kStream) {
                       if (auto key = decode_key(payload))
                         keys.insert_or_assign(header.stream, *key);
                       return;
                     }
                     if (header.type != format::RecordType::kBlock) return;
                     const BlockRef block = block_ref(header, position);
                     auto stream = index.streams.find(header.stream);
                     if (stream == index.streams.end()) {
                       std::optional<StreamKey> key;
                       if (const auto own = keys.find(header.stream); own != keys.end()) {
                         key = own->second;
                       } else {
                         key = lookup(header.stream);
                       }
                       if (!key) {
                         index.unknown_stream_blocks++;
                         index.unknown_stream_bytes += block.end - block.position;
                         return;
                       }
                       stream = index.streams.emplace(header.stream, SegmentIndex::Stream{}).first;
                       stream->second.key = *key;
                     }
                     stream->second.extent.add(block);
                     stream->second.rows.push_back(block);
                   });
  if (!outcome) return outcome.error();
  index.scan = *outcome;
  return index;
}

Result<std::shared_ptr<const Rows>> load_rows(const fs::File& file, const Extent& extent,
                                              StreamId stream, bool has_footer, Position base,
                                              Position end) {
  auto rows = std::make_shared<Rows>();
  if (has_footer) {
    auto bytes = read_exactly(file, extent.rows_at, uint64_t{extent.blocks} * format::kRowSize);
    if (!bytes) return bytes.error();
    if (*bytes && crc32c(**bytes) == extent.rows_crc) {
      rows->reserve(extent.blocks);
      Position lower = extent.first;
      for (uint32_t i = 0; i < extent.blocks; i++) {
        const BlockRef b = decode_row((*bytes)->data() + i * format::kRowSize, stream);
        if (!plausible(b, lower, extent.end)) break;
        lower = b.end;
        rows->push_back(b);
      }
      if (rows->size() == extent.blocks) return std::shared_ptr<const Rows>(std::move(rows));
      rows->clear();
    }
  }
  auto outcome = scan_records(file, base, base + format::kSegmentHeaderSize, end, Payloads::kTrust,
                              [&](const RecordHeader& header, Position position, std::string_view) {
                                if (header.type != format::RecordType::kBlock) return;
                                if (header.stream != stream || position < extent.first) return;
                                if (position >= extent.end) return;
                                rows->push_back(block_ref(header, position));
                              });
  if (!outcome) return outcome.error();
  return std::shared_ptr<const Rows>(std::move(rows));
}

}  // namespace tollgate::journal
