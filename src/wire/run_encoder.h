#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tollgate::wire {

// One series of a run to be encoded: what may be relied on, and where its value and its timestamp
// go in the element stream.
struct EncodedSeries {
  static constexpr uint32_t kNone = UINT32_MAX;

  // --- given
  uint32_t end = 0;  // of the series, in the run's decoded bytes
  bool has_value = false;
  uint8_t zeros = 0;  // so many of the value's first bytes are and stay 0
  uint8_t same = 0;   // so many of them are and stay those of the series before, which has a value;
                      // not 1 to 3
  // --- found
  uint32_t value_at = kNone;  // of what is not bound; none: all of it is
  uint32_t time_at = kNone;   // none: the same as that of the series before

  uint32_t bound() const { return std::max(zeros, same); }
};

// Encodes the rewritten bytes of a run (wire/run.h) as a snappy element stream in which values and
// timestamps are spelt out, but for what is bound, and nothing else refers to them, so that others
// can be put in their places later. It looks for the best copies that it can find in the run: slow
// (some 1.5 us a series), because it is done once for what is sent every 15 seconds.
class RunEncoder {
 public:
  std::string encode(std::string_view raw, std::vector<EncodedSeries>& series);

 private:
  struct Match {
    uint32_t offset = 0;
    uint32_t length = 0;
    int32_t gain = 0;  // bytes saved
  };
  static constexpr uint32_t kBits = 13;

  void encode_stable(uint32_t at, uint32_t end);
  Match best_match(uint32_t at, uint32_t end, bool after_copy) const;
  uint32_t same(uint32_t at, uint32_t source, uint32_t end) const;
  void remember(uint32_t at, uint32_t end);
  void put_literal(uint32_t at, uint32_t n);
  void put_copy(uint32_t offset, uint32_t n);
  void close();

  std::string_view raw_;
  std::string out_;
  std::vector<uint32_t> limit_;  // by position: the end of the stable bytes that it is in, or 0
  std::array<uint32_t, 1 << kBits> head_;
  std::vector<uint32_t> chain_;

  // What is being put together: a literal of raw_[literal_at_, …), or a copy.
  uint32_t literal_at_ = 0;
  uint32_t literal_size_ = 0;
  uint32_t copy_offset_ = 0;
  uint32_t copy_size_ = 0;
  // Places in the present literal that are asked for: offset in raw_, where to write the answer.
  std::vector<std::pair<uint32_t, uint32_t*>> wanted_;
};

}  // namespace tollgate::wire
