#pragma once

#include <cstddef>
#include <cstdint>

// The constants of the files on disk, and nothing else. The meaning of every field, the recovery
// rules and the guarantees are in docs/journal-format.md. All integers are little-endian; every
// checksum is CRC-32C.
namespace tollgate::journal::format {

inline constexpr uint32_t kVersion = 1;

// A segment file: `%016x.seg` (hex of the position of its first byte), this header, records.
inline constexpr uint64_t kSegmentMagic = 0x31304745'53474754;  // "TGGSEG01"
inline constexpr size_t kSegmentHeaderSize = 64;
inline constexpr uint64_t kMaxPosition = uint64_t{1} << 62;  // no sum of two overflows
namespace segment_at {
inline constexpr size_t kMagic = 0, kVersionField = 8, kHeaderSize = 12, kBase = 16,
                        kCreatedMs = 24, kCrc = 60;
}  // namespace segment_at

// A record: this header, then `payload_length` bytes.
inline constexpr uint32_t kRecordMagic = 0xc5b9d1a7;
inline constexpr size_t kRecordHeaderSize = 80;
enum class RecordType : uint16_t {
  kStream = 1,  // payload: the StreamKey that `stream` stands for, before its first block
  kBlock = 2,   // payload: a snappy element stream
  kFooter = 3,  // payload: the segment's index; the last record of a sealed segment
};
namespace record_at {
inline constexpr size_t kMagic = 0, kType = 4, kFlags = 6, kStream = 8, kPayloadLength = 12,
                        kRawLength = 16, kSamples = 20, kExemplars = 24, kSeries = 28,
                        kSamplesBefore = 32, kMinTimestamp = 40, kMaxTimestamp = 48,
                        kAppendedMs = 56, kPayloadCrc = 64, kReserved = 68, kHeaderCrc = 76;
}  // namespace record_at

// The footer's payload: a table of streams, a row a block, and this trailer, by which the footer
// is found from the segment's end.
inline constexpr uint32_t kTrailerMagic = 0x52544754;  // "TGTR"
inline constexpr size_t kTrailerSize = 16;
namespace trailer_at {
inline constexpr size_t kFooterPosition = 0, kMagic = 8, kCrc = 12;
}  // namespace trailer_at
inline constexpr size_t kRowSize = 64;
namespace row_at {
inline constexpr size_t kPosition = 0, kElementsLength = 8, kRawLength = 12, kSamples = 16,
                        kSeries = 20, kExemplars = 24, kPayloadCrc = 28, kSamplesBefore = 32,
                        kMinTimestamp = 40, kMaxTimestamp = 48, kAppendedMs = 56;
}  // namespace row_at
// What a footer needs for one stream besides its rows and the bytes of its key.
inline constexpr size_t kFooterStreamSize = 128;

// The file `cursors`: destinations, their cursors and the streams' totals.
inline constexpr uint64_t kCheckpointMagic = 0x31305255'43474754;  // "TGGCUR01"
inline constexpr char kCheckpointName[] = "cursors";
inline constexpr char kLockName[] = "LOCK";
inline constexpr char kSpareName[] = "spare";  // the file of the next segment; no data
inline constexpr char kSegmentSuffix[] = ".seg";

}  // namespace tollgate::journal::format
