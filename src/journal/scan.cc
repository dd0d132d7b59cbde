#include "journal/scan.h"

#include <algorithm>

namespace tollgate::journal {
namespace {

// Reads small pieces of a file through a window, so that neighbouring headers cost one read.
class Window {
 public:
  Window(const fs::File& file, Position base, Position limit)
      : file_(file), base_(base), limit_(limit) {}

  // `size` bytes at `position`; fewer if the file is shorter than it should be. `ahead` is how
  // much to read when the window has to move.
  Result<std::string_view> at(Position position, size_t size, size_t ahead) {
    if (position < start_ || position + size > start_ + bytes_.size()) {
      const size_t want = std::min<uint64_t>(std::max(size, ahead), limit_ - position);
      bytes_.resize(want);
      auto n = file_.read_at(position - base_, bytes_.data(), want);
      if (!n) return n.error();
      bytes_.resize(*n);
      start_ = position;
    }
    return std::string_view(bytes_).substr(position - start_, size);
  }

 private:
  const fs::File& file_;
  const Position base_;
  const Position limit_;
  Position start_ = 0;
  std::string bytes_;
};

class Scanner {
 public:
  Scanner(const fs::File& file, Position base, Position limit, Payloads payloads,
          const RecordVisitor& visit)
      : window_(file, base, limit), limit_(limit), payloads_(payloads), visit_(visit) {}

  Result<ScanOutcome> run(Position from) {
    ScanOutcome outcome;
    outcome.end = from;
    if (limit_ <= from) return outcome;
    Position at = from;
    while (at + format::kRecordHeaderSize <= limit_) {
      auto next = try_record(at);
      if (!next) return next.error();
      if (next->valid) {
        if (outcome.end < at) {
          outcome.damaged_records++;
          outcome.damaged_bytes += at - outcome.end;
        }
        visit_(next->header, at, next->payload);
        at = outcome.end = at + format::kRecordHeaderSize + next->header.payload_length;
      } else if (next->header_valid) {
        // The length is to be trusted: its checksum fits.
        at += format::kRecordHeaderSize + next->header.payload_length;
      } else {
        auto found = search(at + 1);
        if (!found) return found.error();
        at = *found;
      }
    }
    outcome.tail_bytes = limit_ - outcome.end;
    return outcome;
  }

 private:
  struct Record {
    bool header_valid = false;
    bool valid = false;
    RecordHeader header;
    std::string_view payload;
  };

  Result<Record> try_record(Position at) {
    Record out;
    auto bytes = window_.at(at, format::kRecordHeaderSize, kHeaderWindow);
    if (!bytes) return bytes.error();
    if (bytes->size() < format::kRecordHeaderSize) return out;
    const auto header = decode_record_header(bytes->data(), at);
    if (!header) return out;
    out.header = *header;
    const Position payload_at = at + format::kRecordHeaderSize;
    if (limit_ - payload_at < header->payload_length) return out;
    out.header_valid = true;
    if (payloads_ == Payloads::kTrust && header->type == format::RecordType::kBlock) {
      out.valid = true;
      return out;
    }
    auto payload = window_.at(payload_at, header->payload_length, kHeaderWindow);
    if (!payload) return payload.error();
    out.valid = payload->size() == header->payload_length &&
                payload_crc(*payload, at) == header->payload_crc;
    if (out.valid && header->type == format::RecordType::kStream) out.payload = *payload;
    return out;
  }

  // The position of the next valid header at or after `at`; the limit if there is none.
  Result<Position> search(Position at) {
    char magic[sizeof format::kRecordMagic];
    store(magic, format::kRecordMagic);
    const std::string_view needle(magic, sizeof magic);
    std::string chunk;
    while (at + format::kRecordHeaderSize <= limit_) {
      auto bytes = window_.at(at, std::min<uint64_t>(kSearchWindow, limit_ - at), kSearchWindow);
      if (!bytes) return bytes.error();
      if (bytes->size() < format::kRecordHeaderSize) break;
      chunk.assign(*bytes);
      for (size_t hit = chunk.find(needle); hit != std::string::npos;
           hit = chunk.find(needle, hit + 1)) {
        if (chunk.size() - hit < format::kRecordHeaderSize) break;
        if (decode_record_header(chunk.data() + hit, at + hit)) return at + hit;
      }
      at += chunk.size() - (format::kRecordHeaderSize - 1);
    }
    return limit_;
  }

  static constexpr size_t kHeaderWindow = 4096;
  static constexpr size_t kSearchWindow = 64 * 1024;

  Window window_;
  const Position limit_;
  const Payloads payloads_;
  const RecordVisitor& visit_;
};

}  // namespace

Result<ScanOutcome> scan_records(const fs::File& file, Position base, Position from, Position limit,
                                 Payloads payloads, const RecordVisitor& visit) {
  return Scanner(file, base, limit, payloads, visit).run(from);
}

}  // namespace tollgate::journal
