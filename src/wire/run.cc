#include "wire/run.h"

#include "wire/proto_bytes.h"

namespace tollgate::wire {
namespace {

constexpr uint8_t kSeriesTag = field_tag(1, kLength);
constexpr size_t kMinLabels = 24;      // bytes: room for what is hashed
constexpr uint32_t kBoundaryBits = 7;  // a run has 64 series on the average

uint8_t byte_at(const char* p) { return static_cast<uint8_t>(*p); }

}  // namespace

const char* plain_series_end(const char* at, const char* end, bool& has_value) {
  if (end - at < static_cast<ptrdiff_t>(2 + kMinLabels + kSampleSize)) return nullptr;
  if (byte_at(at) != kSeriesTag) return nullptr;
  uint32_t length = byte_at(at + 1);
  const char* body = at + 2;
  if (length >= 0x80) {
    if (byte_at(at + 2) >= 0x80) return nullptr;
    length = length - 0x80 + (static_cast<uint32_t>(byte_at(at + 2)) << 7);
    body++;
  }
  if (length < kMinLabels + kSampleSize || length > static_cast<size_t>(end - body)) return nullptr;
  const char* const stop = body + length;
  // `10`, five bytes that go on, one that does not.
  if ((load64(stop - 8) & 0x80808080'8080ff00) != 0x00808080'80801000) return nullptr;
  has_value = byte_at(stop - 18) == 0x12 && byte_at(stop - 17) == 0x10 && byte_at(stop - 16) == 9;
  if (!has_value && (byte_at(stop - 9) != 0x12 || byte_at(stop - 8) != 7)) return nullptr;
  return stop;
}

Run next_run(const char* at, const char* end) {
  Run run;
  run.begin = run.end = at;
  const char* p = at;
  while (run.series < Run::kMost) {
    bool has_value = false;
    const char* const stop = plain_series_end(p, end, has_value);
    if (stop == nullptr || stop - at > static_cast<ptrdiff_t>(Run::kMostBytes)) break;
    const size_t sample = has_value ? kSampleSize : kZeroSampleSize;
    const char* const labels_end = stop - sample;
    const char* const labels = p + 3;
    const auto size = static_cast<size_t>(labels_end - labels);
    uint64_t h = load64(labels_end - 8) * 0x9e3779b97f4a7c15ull;
    h = (h ^ h >> 29 ^ load64(labels + (size >> 2))) * 0xbf58476d1ce4e5b9ull;
    h = (h ^ h >> 32 ^ load64(labels + (size >> 1))) * 0x94d049bb133111ebull;
    h = (h ^ h >> 29 ^ size) * 0x9e3779b97f4a7c15ull;
    run.hash = (run.hash ^ h ^ sample) * 0xff51afd7ed558ccdull;
    run.hash ^= run.hash >> 32;
    run.series++;
    run.end = p = stop;
    // By the labels alone: a counter that leaves 0 does not move the boundaries.
    if (run.series >= Run::kMin && h >> (64 - kBoundaryBits) == 0) break;
  }
  return run;
}

}  // namespace tollgate::wire
