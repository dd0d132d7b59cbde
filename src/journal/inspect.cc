#include "journal/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "journal/scan.h"
#include "journal/segment.h"

namespace tollgate::journal {
namespace {

std::string utc(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

Result<SegmentSummary> inspect_segment(const fs::File& file, const std::string& name, Position base,
                                       std::optional<Position> successor) {
  SegmentSummary out;
  out.file = name;
  out.base = base;
  auto size = file.size();
  if (!size) return size.error();
  out.size = *size;
  const Position limit = base + (successor ? std::min(*size, *successor - base) : *size);
  std::string header(format::kSegmentHeaderSize, '\0');
  auto n = file.read_at(0, header.data(), header.size());
  if (!n) return n.error();
  const auto decoded = decode_segment_header({header.data(), *n});
  out.header_ok = decoded && decoded->base == base && decoded->version == format::kVersion;
  auto footer = read_footer(file, base, limit);
  if (!footer) return footer.error();
  out.sealed = footer->has_value();
  std::set<StreamId> streams;
  auto scanned =
      scan_records(file, base, base + format::kSegmentHeaderSize, limit, Payloads::kVerify,
                   [&](const RecordHeader& record, Position, std::string_view) {
                     if (record.type != format::RecordType::kBlock) return;
                     if (out.blocks++ == 0) out.first_ms = record.appended_ms;
                     out.last_ms = record.appended_ms;
                     out.samples += record.samples;
                     streams.insert(record.stream);
                   });
  if (!scanned) return scanned.error();
  out.streams = streams.size();
  out.damaged_records = scanned->damaged_records;
  out.damaged_bytes = scanned->damaged_bytes;
  bool unsealed = false;  // a crash came before its footer was durable
  if (successor && !out.sealed && scanned->tail_bytes > 0) {
    auto index = scan_segment(file, base, limit, Payloads::kTrust,
                              [](StreamId) -> std::optional<StreamKey> { return std::nullopt; });
    if (!index) return index.error();
    unsealed = footer_is_missing(*index, *successor);
  }
  if (successor && !unsealed && scanned->tail_bytes > 0) {
    // Only the newest segment may end in the middle of something else.
    out.damaged_records++;
    out.damaged_bytes += scanned->tail_bytes;
  } else {
    out.tail_bytes = scanned->tail_bytes;
  }
  return out;
}

}  // namespace

Result<std::vector<SegmentSummary>> inspect(fs::FileSystem& fs, const std::string& directory) {
  auto names = fs.list(directory);
  if (!names) return names.error();
  std::vector<Position> bases;
  for (const std::string& name : *names) {
    if (const auto base = parse_segment_name(name)) bases.push_back(*base);
  }
  std::sort(bases.begin(), bases.end());
  std::vector<SegmentSummary> out;
  for (size_t i = 0; i < bases.size(); i++) {
    const std::string name = segment_name(bases[i]);
    auto file = fs.open_read(directory + "/" + name);
    if (!file) return file.error();
    std::optional<Position> successor;
    if (i + 1 < bases.size()) successor = bases[i + 1];
    auto summary = inspect_segment(**file, name, bases[i], successor);
    if (!summary) return summary.error();
    out.push_back(std::move(summary).value());
  }
  return out;
}

std::string to_line(const SegmentSummary& s) {
  std::string line =
      fmt::format("{}  {} bytes  {}  {} blocks  {} streams  {} samples", s.file, s.size,
                  s.sealed ? "sealed" : "open", s.blocks, s.streams, s.samples);
  if (s.blocks > 0) line += fmt::format("  {} to {}", utc(s.first_ms), utc(s.last_ms));
  if (!s.header_ok) line += "  DAMAGED header";
  if (s.damaged_records > 0) {
    line += fmt::format("  DAMAGED {} places, {} bytes", s.damaged_records, s.damaged_bytes);
  }
  if (s.tail_bytes > 0) line += fmt::format("  {} bytes at the end incomplete", s.tail_bytes);
  return line;
}

}  // namespace tollgate::journal
