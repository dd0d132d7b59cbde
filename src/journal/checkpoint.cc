#include "journal/checkpoint.h"

#include "base/crc32c.h"
#include "journal/codec.h"

namespace tollgate::journal {

std::string encode(const Checkpoint& c) {
  ByteWriter w;
  w.put(format::kCheckpointMagic).put(format::kVersion);
  w.put(c.next_stream).put(c.end).put(static_cast<uint32_t>(c.destinations_lost));
  w.put(static_cast<uint32_t>(model::kDropReasons));
  w.put(static_cast<uint32_t>(c.streams.size()));
  c.streams.each([&](StreamId id, const Checkpoint::Stream& stream) {
    w.put(id).key(stream.key).put(stream.accepted);
  });
  w.put(static_cast<uint32_t>(c.destinations.size()));
  for (const auto& [name, cursors] : c.destinations) {
    w.text(name).put(static_cast<uint32_t>(cursors.size()));
    cursors.each([&](StreamId id, const Cursor& cursor) {
      w.put(id).put(cursor.position).put(cursor.baseline).put(cursor.delivered);
      for (uint64_t n : cursor.dropped) w.put(n);
    });
  }
  w.put(static_cast<uint32_t>(c.removed.size()));
  for (const Removed& r : c.removed) w.text(r.destination).text(r.tenant).put(r.samples);
  w.put(crc32c(w.out()));
  return std::move(w.out());
}

std::optional<Checkpoint> decode_checkpoint(std::string_view bytes) {
  if (bytes.size() < sizeof(uint32_t)) return std::nullopt;
  const std::string_view body = bytes.substr(0, bytes.size() - sizeof(uint32_t));
  if (load<uint32_t>(body.data() + body.size()) != crc32c(body)) return std::nullopt;
  ByteReader r(body);
  if (r.get<uint64_t>() != format::kCheckpointMagic) return std::nullopt;
  if (r.get<uint32_t>() != format::kVersion) return std::nullopt;
  Checkpoint c;
  c.next_stream = r.get<StreamId>();
  c.end = r.get<uint64_t>();
  c.destinations_lost = r.get<uint32_t>() != 0;
  // A later version may know more reasons; then its version number differs, too.
  const auto reasons = r.get<uint32_t>();
  if (reasons > model::kDropReasons) return std::nullopt;
  const auto streams = r.get<uint32_t>();
  for (uint32_t i = 0; i < streams && r.ok(); i++) {
    const auto id = r.get<StreamId>();
    if (id > kMaxStreamId) return std::nullopt;
    Checkpoint::Stream& stream = c.streams[id];
    stream.key = r.key();
    stream.accepted = r.get<uint64_t>();
  }
  const auto destinations = r.get<uint32_t>();
  for (uint32_t i = 0; i < destinations && r.ok(); i++) {
    auto& cursors = c.destinations[r.text()];
    const auto count = r.get<uint32_t>();
    for (uint32_t k = 0; k < count && r.ok(); k++) {
      const auto id = r.get<StreamId>();
      if (id > kMaxStreamId) return std::nullopt;
      Cursor& cursor = cursors[id];
      cursor.position = r.get<uint64_t>();
      cursor.baseline = r.get<uint64_t>();
      cursor.delivered = r.get<uint64_t>();
      for (uint32_t n = 0; n < reasons; n++) cursor.dropped[n] = r.get<uint64_t>();
    }
  }
  const auto removed = r.get<uint32_t>();
  for (uint32_t i = 0; i < removed && r.ok(); i++) {
    Removed row;
    row.destination = r.text();
    row.tenant = r.text();
    row.samples = r.get<uint64_t>();
    c.removed.push_back(std::move(row));
  }
  if (!r.ok() || !r.at_end()) return std::nullopt;
  return c;
}

}  // namespace tollgate::journal
