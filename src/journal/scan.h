#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/fs.h"
#include "journal/codec.h"

namespace tollgate::journal {

// What a walk over a segment's records found besides the records.
struct ScanOutcome {
  Position end = 0;              // after the last valid record
  uint64_t tail_bytes = 0;       // from `end` to the limit: torn or damaged, the caller knows
  uint64_t damaged_records = 0;  // stretches of damage with a valid record behind them
  uint64_t damaged_bytes = 0;
};

// Called for every valid record in order. `payload` is there for kStream records only.
using RecordVisitor =
    std::function<void(const RecordHeader& header, Position position, std::string_view payload)>;

enum class Payloads { kTrust, kVerify };

// Walks the records of a segment whose first byte has position `base`, from `from` up to the
// position `limit`. Damage is skipped by searching for the next header whose checksum fits its
// position. With Payloads::kVerify a block with damaged elements counts as damage, too; otherwise
// only headers are read, and the reader of a block checks its elements.
// Errors: only those of reading the file. Memory: 64 KiB, with kVerify one payload.
Result<ScanOutcome> scan_records(const fs::File& file, Position base, Position from, Position limit,
                                 Payloads payloads, const RecordVisitor& visit);

}  // namespace tollgate::journal
