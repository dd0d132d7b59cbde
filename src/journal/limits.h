#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "journal/journal.h"

// What the journal's thread and the housekeeper must agree upon.
namespace tollgate::journal {

inline constexpr uint64_t kMinSegmentSize = 4096;
// Complete segments that may wait for the housekeeper's footer; the next one is sealed at once.
// Until then their rows are in memory.
inline constexpr size_t kMaxUnsealed = 2;
// How long a thread of the journal sleeps at most before it looks at the clock.
inline constexpr auto kPoll = std::chrono::milliseconds(100);

inline uint64_t segment_limit(const Options& o) {
  // Whole segments are removed: one must not be a large part of the whole.
  return std::max(kMinSegmentSize, std::min(o.segment_size, o.max_size / 8));
}

inline bool is_disk_full(const Error& e) { return e.message.starts_with("no space left"); }

}  // namespace tollgate::journal
