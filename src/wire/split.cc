#include "wire/split.h"

#include <limits>

#include "base/buffer.h"
#include "wire/proto_bytes.h"
#include "wire/snappy.h"

namespace tollgate::wire {
namespace {

// Counts samples and histograms of the TimeSeries [p, end).
bool count_samples(const char* p, const char* end, uint32_t& samples, Fault& fault) {
  while (p < end) {
    const char* const tag_at = p;
    uint32_t tag;
    p = read_tag(p, end, tag, fault);
    if (p == nullptr) return false;
    p = skip_value(tag_at, p, end, tag, kMaxDepth - 1, fault);
    if (p == nullptr) return false;
    if (tag == field_tag(2, kLength) || tag == field_tag(4, kLength)) samples++;
  }
  return true;
}

}  // namespace

Result<std::vector<Piece>> split(std::string_view raw, uint64_t max_samples, uint64_t max_raw) {
  std::vector<Piece> pieces;
  Fault fault;
  Buffer packed;
  const char* const end = raw.data() + raw.size();
  const char* piece_begin = raw.data();
  Piece piece;
  const auto cut = [&](const char* piece_end) {
    if (piece_end == piece_begin) return;
    packed.clear();
    pack_elements({piece_begin, static_cast<size_t>(piece_end - piece_begin)}, packed);
    piece.elements = packed.view();
    piece.raw_length = static_cast<uint64_t>(piece_end - piece_begin);
    pieces.push_back(std::move(piece));
    piece = Piece{};
    piece_begin = piece_end;
  };
  const char* p = raw.data();
  while (p < end) {
    const char* const field = p;
    uint32_t tag;
    uint32_t samples = 0;
    p = read_tag(p, end, tag, fault);
    const char* const value = p;
    if (p != nullptr) p = skip_value(field, p, end, tag, kMaxDepth, fault);
    const bool is_series = tag == field_tag(1, kLength);
    if (p != nullptr && is_series) {
      uint32_t length;
      const char* const series = read_length(value, p, length, fault);
      if (!count_samples(series, p, samples, fault)) p = nullptr;
    }
    if (p == nullptr) {
      return our_error(Code::kCorrupt, "a block is not protobuf at its byte " +
                                           std::to_string(fault.at - raw.data()) + ": " +
                                           fault.what);
    }
    const bool full = uint64_t{piece.samples} + samples > max_samples ||
                      static_cast<uint64_t>(p - piece_begin) > max_raw;
    if (full) cut(field);
    piece.samples += samples;
    piece.series += is_series ? 1 : 0;
  }
  cut(end);
  return pieces;
}

}  // namespace tollgate::wire
