#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"
#include "journal/block.h"

namespace tollgate::journal {

// What one segment file holds.
struct SegmentSummary {
  std::string file;
  Position base = 0;
  uint64_t size = 0;
  bool header_ok = true;
  bool sealed = false;  // with a valid footer
  uint64_t blocks = 0;
  uint64_t streams = 0;
  uint64_t samples = 0;
  int64_t first_ms = 0;  // append times; 0 without blocks
  int64_t last_ms = 0;
  uint64_t damaged_records = 0;  // stretches of damage
  uint64_t damaged_bytes = 0;
  uint64_t tail_bytes = 0;  // behind the last valid record: torn, or being written right now
  bool damaged() const { return !header_ok || damaged_records > 0; }
};

// Reads every byte of a journal directory and checks all checksums. Takes no lock and changes
// nothing, so it may run beside the gateway; the newest segment is then seen as of now. Errors:
// those of listing and reading; damage is a result, not an error.
Result<std::vector<SegmentSummary>> inspect(fs::FileSystem& fs, const std::string& directory);

// One line for a person: "0000000000000000.seg  64.0 MB  sealed  7000 blocks …".
std::string to_line(const SegmentSummary& summary);

}  // namespace tollgate::journal
