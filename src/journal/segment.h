#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "journal/codec.h"
#include "journal/scan.h"

namespace tollgate::journal {

using Rows = std::vector<BlockRef>;

// One segment file, as the open journal knows it. Owner: State and whoever still reads it; the
// file is deleted by the journal's thread, a reader that holds `file` is not disturbed.
// Threads: `base` and `path` are constant, everything else is guarded by the State's lock.
struct Segment {
  Segment(Position b, std::string p) : base(b), path(std::move(p)), end(b) {}
  const Position base;
  const std::string path;
  Position end;             // after its last published byte
  bool has_footer = false;  // the rows can be read from the footer
  int64_t newest_ms = 0;    // append time of its newest block; 0 without blocks
  int64_t oldest_ms = 0;
  int64_t created_mono_ns = 0;
  std::vector<StreamId> streams;   // that have blocks here
  std::shared_ptr<fs::File> file;  // open for reading; empty if nobody has read lately
};
using SegmentPtr = std::shared_ptr<Segment>;

// The blocks of one stream in one segment: what is always in memory.
struct Extent {
  SegmentPtr segment;
  Position first = 0;  // of its first block
  Position end = 0;    // of its last block
  uint64_t samples_before = 0;
  uint64_t samples_end = 0;   // samples_before + samples of the last block
  uint64_t bytes_before = 0;  // elements of earlier extents, counted since the journal was opened
  uint64_t bytes = 0;
  uint32_t blocks = 0;
  int64_t first_ms = 0;  // append times
  int64_t last_ms = 0;
  int64_t min_timestamp = INT64_MAX;
  int64_t max_timestamp = INT64_MIN;
  uint64_t rows_at = 0;  // file offset of its rows in the footer
  uint32_t rows_crc = 0;
  std::shared_ptr<Rows> rows;  // of the active segment only

  void add(const BlockRef& block);
};

// What a segment's records or its footer say about it.
struct SegmentIndex {
  struct Stream {
    StreamKey key;
    Extent extent;
    Rows rows;  // empty when read from a footer
  };
  std::map<StreamId, Stream> streams;  // only those with blocks
  uint64_t unknown_stream_blocks = 0;  // blocks whose stream is described nowhere
  uint64_t unknown_stream_bytes = 0;
  ScanOutcome scan;  // of a walk; `end` is set in any case
};

// The footer record (header, tables, trailer) of a segment, to be written at `position`. The rows
// are taken from the extents, which get their `rows_at` and `rows_crc`.
struct FooterStream {
  StreamId stream = 0;
  StreamKey key;
  Extent extent;
};
std::string encode_footer(std::vector<FooterStream>& streams, Position base, Position position,
                          int64_t now_ms);
// The same for a segment that was walked.
std::string encode_footer(SegmentIndex& index, Position base, Position position, int64_t now_ms);
// The exact size of a footer.
class FooterSize {
 public:
  void add(const StreamKey& key, size_t blocks);
  uint64_t total() const { return total_; }

 private:
  uint64_t total_ = format::kRecordHeaderSize + 8 + format::kTrailerSize;
};
// Whether all that a walk misses before `successor`, the next segment's base, is the footer: its
// size follows from the records before it. A crash may come before a footer is durable.
bool footer_is_missing(const SegmentIndex& index, Position successor);
// An upper bound for the size of such a footer.
uint64_t footer_size(size_t streams, size_t key_bytes, size_t blocks);

// Reads the footer that ends at `end`; nothing if there is none or it is damaged.
Result<std::optional<SegmentIndex>> read_footer(const fs::File& file, Position base, Position end);

// Finds a stream's key when the segment's own descriptor is lost.
using KeyLookup = std::function<std::optional<StreamKey>(StreamId)>;

// Builds the index by walking the records up to `limit`.
Result<SegmentIndex> scan_segment(const fs::File& file, Position base, Position limit,
                                  Payloads payloads, const KeyLookup& lookup);

// The rows of one extent: from the footer, or, if that is damaged or missing, by walking.
Result<std::shared_ptr<const Rows>> load_rows(const fs::File& file, const Extent& extent,
                                              StreamId stream, bool has_footer, Position base,
                                              Position end);

}  // namespace tollgate::journal
