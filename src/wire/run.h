#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tollgate::wire {

// A plain series ends in its only sample, written as everybody writes it:
// `12 10 09 <8 bytes of value> 10 <6 bytes of timestamp>`, or `12 07 10 <6 bytes>` for the value 0.
inline constexpr size_t kSampleSize = 18;
inline constexpr size_t kZeroSampleSize = 9;
inline constexpr size_t kValueSize = 8;
inline constexpr size_t kTimeSize = 6;  // a varint of ms from 1971 to 2109

// Consecutive fields of a WriteRequest that look like plain series. Where a run ends depends on the
// labels in it, not on where the request begins, so that the same series make the same runs however
// a sender cuts its requests. (They only look so: labels and samples are not parsed here.)
struct Run {
  static constexpr uint32_t kMin = 64;  // series, unless something else follows
  static constexpr uint32_t kMost = 384;
  static constexpr size_t kMostBytes = 52000;

  const char* begin = nullptr;
  const char* end = nullptr;
  uint32_t series = 0;  // 0: there is none here
  uint64_t hash = 0;    // of some of the label bytes and of all sizes

  std::string_view bytes() const { return {begin, static_cast<size_t>(end - begin)}; }
};

// The run that begins at `at`, within [at, end).
// Hot: once a series. Budget: 5 ns (bench/wire_bench.cc, BM_GatewayRemembered).
Run next_run(const char* at, const char* end);

// Where the next plain series ends, and whether its sample has a value; null if there is none.
const char* plain_series_end(const char* at, const char* end, bool& has_value);

}  // namespace tollgate::wire
