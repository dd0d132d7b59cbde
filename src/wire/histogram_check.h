#pragma once

#include <cstdint>

#include "wire/proto_bytes.h"

namespace tollgate::wire {

struct HistogramVerdict {
  int64_t timestamp = 0;          // ms
  const char* problem = nullptr;  // what contradicts what; nullptr if the histogram is sound
};

// Reads one native histogram (field 4 of a TimeSeries) and judges it as Prometheus's
// Histogram.Validate and FloatHistogram.Validate do: spans against buckets, counts against their
// sum, custom bounds. A stale marker (the sum is StaleNaN) is sound whatever else it says.
// One pass, no allocation. Returns false, with `fault` set, if the bytes are not protobuf.
bool check_histogram(const char* p, const char* end, int depth, HistogramVerdict& verdict,
                     Fault& fault);

}  // namespace tollgate::wire
