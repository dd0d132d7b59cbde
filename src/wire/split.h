#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tollgate::wire {

// A part of a WriteRequest that can be sent on its own.
struct Piece {
  std::string elements;     // snappy element stream
  uint64_t raw_length = 0;  // its decoded length
  uint32_t samples = 0;     // samples + histograms in it
  uint32_t series = 0;      // TimeSeries in it
};

// Cuts the decoded bytes of a block (concatenated WriteRequest fields) into pieces of at most
// `max_samples` samples and `max_raw` bytes each, at field boundaries and in order. A single
// TimeSeries over the limits is a piece of its own. Used where a destination accepts less than a
// block (413, a small max_samples_per_send).
Result<std::vector<Piece>> split(std::string_view raw, uint64_t max_samples, uint64_t max_raw);

}  // namespace tollgate::wire
