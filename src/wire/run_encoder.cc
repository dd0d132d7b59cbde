#include "wire/run_encoder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "wire/elements.h"
#include "wire/proto_bytes.h"
#include "wire/run.h"

namespace tollgate::wire {
namespace {

constexpr int kMostCandidates = 12;
constexpr uint32_t kMinCopy = 4;
constexpr uint32_t kTimeField = 1 + kTimeSize;  // its tag, too

uint32_t load32(const char* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

uint32_t slot_of(const char* p, uint32_t bits) { return load32(p) * 0x1e35a7bdu >> (32 - bits); }

}  // namespace

std::string RunEncoder::encode(std::string_view raw, std::vector<EncodedSeries>& series) {
  raw_ = raw;
  out_.clear();
  limit_.assign(raw.size(), 0);
  chain_.assign(raw.size(), 0);
  head_.fill(0);
  wanted_.clear();
  literal_size_ = copy_size_ = 0;
  uint32_t begin = 0;
  for (size_t i = 0; i < series.size(); i++) {
    EncodedSeries& s = series[i];
    const uint32_t time = s.end - kTimeField;
    const uint32_t offset = i == 0 ? 0 : s.end - series[i - 1].end;
    const uint32_t value = s.has_value ? time - kValueSize : time;
    // Bytes that stay 0 are like the labels before them; those of the value before are a copy.
    const uint32_t zeros = s.has_value && s.zeros > s.same ? s.zeros : 0;
    const uint32_t stable_end = value + zeros;
    std::fill(limit_.begin() + begin, limit_.begin() + stable_end, stable_end);
    encode_stable(begin, stable_end);
    s.value_at = EncodedSeries::kNone;
    if (s.has_value) {
      if (zeros == 0 && s.same > 0) put_copy(offset, s.same);
      if (s.bound() < kValueSize) {
        put_literal(value + s.bound(), static_cast<uint32_t>(kValueSize) - s.bound());
        wanted_.emplace_back(value + s.bound(), &s.value_at);
      }
    }
    s.time_at = EncodedSeries::kNone;
    if (i > 0 && std::memcmp(raw.data() + time, raw.data() + time - offset, kTimeField) == 0) {
      put_copy(offset, kTimeField);
    } else {
      put_literal(time, kTimeField);
      wanted_.emplace_back(time + 1, &s.time_at);
    }
    begin = s.end;
  }
  close();
  return std::move(out_);
}

void RunEncoder::encode_stable(uint32_t at, uint32_t end) {
  while (at < end) {
    const Match match = best_match(at, end, copy_size_ > 0);
    if (match.gain <= 0) {
      put_literal(at, 1);
      remember(at, at + 1);
      at++;
      continue;
    }
    const bool goes_on = copy_size_ > 0 && match.offset == copy_offset_;
    // One byte later there may be a much better one.
    if (!goes_on && at + 1 < end && best_match(at + 1, end, false).gain > match.gain + 1) {
      put_literal(at, 1);
      remember(at, at + 1);
      at++;
      continue;
    }
    put_copy(match.offset, match.length);
    remember(at, at + match.length);
    at += match.length;
  }
}

// The match at `at` that saves the most. `after_copy`: the present copy ends here and may go on.
RunEncoder::Match RunEncoder::best_match(uint32_t at, uint32_t end, bool after_copy) const {
  Match best;
  if (after_copy) {
    const uint32_t n = same(at, at - copy_offset_, end);
    const uint32_t elements = (copy_size_ + n) / kMostCopy - copy_size_ / kMostCopy;
    best = {copy_offset_, n, static_cast<int32_t>(n) - static_cast<int32_t>(3 * elements)};
  }
  if (end - at < kMinCopy) return best;
  uint32_t candidate = head_[slot_of(raw_.data() + at, kBits)];
  for (int i = 0; i < kMostCandidates && candidate != 0; i++) {
    const uint32_t offset = at - (candidate - 1);
    const uint32_t n = same(at, candidate - 1, end);
    const bool is_near = n <= 11 && offset < kNearOffset;
    const auto cost = static_cast<int32_t>(is_near ? 2 : 3 * ((n + kMostCopy - 1) / kMostCopy));
    const int32_t gain = static_cast<int32_t>(n) - cost;
    if (n >= kMinCopy && gain > best.gain) best = {offset, n, gain};
    candidate = chain_[candidate - 1];
  }
  return best;
}

// How many bytes at `at`, up to `end`, repeat the stable bytes at `source`.
uint32_t RunEncoder::same(uint32_t at, uint32_t source, uint32_t end) const {
  const uint32_t limit = limit_[source];
  if (limit <= source) return 0;
  const uint32_t most = std::min(end - at, limit - source);
  const char* const a = raw_.data() + at;
  const char* const b = raw_.data() + source;
  uint32_t n = 0;
  for (; n + 8 <= most; n += 8) {
    const uint64_t difference = load64(a + n) ^ load64(b + n);
    if (difference != 0) return n + static_cast<uint32_t>(std::countr_zero(difference)) / 8;
  }
  while (n < most && a[n] == b[n]) n++;
  return n;
}

void RunEncoder::remember(uint32_t at, uint32_t end) {
  for (; at < end && at + 4 <= raw_.size(); at++) {
    if (at + 4 > limit_[at]) return;
    uint32_t& slot = head_[slot_of(raw_.data() + at, kBits)];
    chain_[at] = slot;
    slot = at + 1;
  }
}

void RunEncoder::put_literal(uint32_t at, uint32_t n) {
  if (copy_size_ > 0) close();
  if (literal_size_ == 0) literal_at_ = at;
  literal_size_ += n;
}

void RunEncoder::put_copy(uint32_t offset, uint32_t n) {
  if (literal_size_ > 0 || (copy_size_ > 0 && copy_offset_ != offset)) close();
  copy_offset_ = offset;
  copy_size_ += n;
}

void RunEncoder::close() {
  char element[kMostLiteralTag];
  if (literal_size_ > 0) {
    out_.append(element, write_literal_tag(element, literal_size_));
    for (const auto& [at, where] : wanted_) {
      *where = static_cast<uint32_t>(out_.size()) + at - literal_at_;
    }
    wanted_.clear();
    out_.append(raw_.substr(literal_at_, literal_size_));
    literal_size_ = 0;
  }
  if (copy_size_ > 0) {
    TG_CHECK(copy_size_ >= kMinCopy);
    const size_t before = out_.size();
    out_.resize(before + most_copy_bytes(copy_size_));
    const char* const stop = write_copy(out_.data() + before, copy_offset_, copy_size_);
    out_.resize(static_cast<size_t>(stop - out_.data()));
    copy_size_ = 0;
  }
}

}  // namespace tollgate::wire
