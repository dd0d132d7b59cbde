#include "wire/run_cache.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "wire/proto_bytes.h"

namespace tollgate::wire {
namespace {

constexpr int kHandSteps = 2;  // how far the hand goes for each run that is learned
constexpr uint32_t kMostCredit = 2;
constexpr size_t kBytesPerSeries = 256;  // an estimate
// How many series have to be seen for one to be learned, which takes some 1.5 us: while there is
// room, and when there is none. No more is saved up than one large run takes, so that nobody waits
// for a long time behind what is being learned.
constexpr uint64_t kSeenPerLearned = 8;
constexpr uint64_t kSeenPerLearnedWhenFull = 32;
constexpr uint64_t kMostBudget = Run::kMost * kSeenPerLearnedWhenFull;

uint64_t key_of(const Run& run, uint64_t owner) {
  const uint64_t h = (run.hash ^ owner * 0x9e3779b97f4a7c15ull) * 0xbf58476d1ce4e5b9ull;
  return h ^ h >> 31;
}

// How many of the first bytes of a whole number, which mostly stays one, are 0: if they are enough
// to be worth a copy, and one less than there are, since it also grows.
uint8_t first_zeros(uint64_t bits) {
  constexpr int kWorth = 4;
  const auto value = std::bit_cast<double>(bits);
  if (std::trunc(value) != value) return 0;
  const int n = bits == 0 ? 8 : std::countr_zero(bits) / 8 - 1;
  return static_cast<uint8_t>(n >= kWorth ? n : 0);
}

// The 6 bytes of a timestamp, and 2 zeros.
uint64_t time_at(const char* p) { return load64(p - 2) >> 16; }

// The first `n` <= 8 bytes of a number as it lies in memory.
uint64_t low_bytes(uint64_t n) { return n >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * n)) - 1; }

int64_t decode_time(uint64_t bytes) {
  uint64_t ms = 0;
  for (int i = 0; i < 6; i++) ms |= (bytes >> (8 * i) & 0x7f) << (7 * i);
  return static_cast<int64_t>(ms);
}

// Adds to `difference` where the `n` >= 16 bytes at `a` and `b` differ. Hot.
inline void compare(const char* a, const char* b, size_t n, __m128i& difference) {
  const auto step = [&](size_t at) {
    const __m128i left = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + at));
    const __m128i right = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + at));
    difference = _mm_or_si128(difference, _mm_xor_si128(left, right));
  };
  for (size_t at = 0; at + 16 <= n; at += 16) step(at);
  step(n - 16);
}

}  // namespace

bool learnable(const Walker& walker, const char* begin, const char* end) {
  if (!walker.kept()) return false;
  const SeriesHead& head = walker.series();
  bool has_value = false;
  if (plain_series_end(begin, end, has_value) != end) return false;
  return head.samples == 1 && head.histograms == 0 && head.exemplars == 0 &&
         head.rest == end - (has_value ? kSampleSize : kZeroSampleSize);
}

// Hot: once a series. Budget: 12 ns.
bool RememberedRun::same(const Run& run) const {
  if (run.bytes().size() != input_.size() || run.series != series_.size()) return false;
  __m128i difference = _mm_setzero_si128();
  uint64_t others = 0;  // differences in values and times where there must be none
  uint64_t time_before = 0;
  uint64_t value_before = 0;
  uint32_t begin = 0;
  for (const Series& s : series_) {
    const char* const time = run.begin + s.end - kTimeSize;
    // The tag of the timestamp is where a plain series has it; all before the value has to be
    // equal.
    const size_t stable =
        s.end - begin - (s.has_value ? kTimeSize + 1 + kValueSize : kTimeSize + 1);
    compare(run.begin + begin, input_.data() + begin, stable, difference);
    const uint64_t now = time_at(time);
    if (s.time_at == EncodedSeries::kNone) others |= now ^ time_before;
    time_before = now;
    const uint64_t value = load64(time - 1 - kValueSize);
    others |= (value & low_bytes(s.zeros)) | ((value ^ value_before) & low_bytes(s.same));
    value_before = value;
    begin = s.end;
  }
  const int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(difference, _mm_setzero_si128()));
  return equal == 0xffff && others == 0;
}

void RememberedRun::put(const Run& run, Buffer& out, int64_t& min_timestamp,
                        int64_t& max_timestamp) const {
  char* const to = out.grow(elements_.size() + kValueSize);
  std::memcpy(to, elements_.data(), elements_.size());
  for (const Series& s : series_) {
    const char* const time = run.begin + s.end - kTimeSize;
    if (s.value_at != EncodedSeries::kNone) {
      const uint32_t bound = std::max(s.zeros, s.same);
      const uint64_t value = load64(time - 1 - kValueSize) >> (8 * bound);
      // What follows a shorter value stays.
      const uint64_t mask = low_bytes(kValueSize - bound);
      const uint64_t mixed = (load64(to + s.value_at) & ~mask) | value;
      std::memcpy(to + s.value_at, &mixed, sizeof mixed);
    }
    if (s.time_at != EncodedSeries::kNone) {
      std::memcpy(to + s.time_at, time, kTimeSize);
      const int64_t ms = decode_time(time_at(time));
      min_timestamp = std::min(min_timestamp, ms);
      max_timestamp = std::max(max_timestamp, ms);
    }
  }
  out.commit(elements_.size());
}

size_t RememberedRun::memory() const {
  const size_t bytes = sizeof(RememberedRun) + input_.capacity() + elements_.capacity() +
                       series_.capacity() * sizeof(Series) + ha_cluster_.capacity() +
                       ha_replica_.capacity();
  // The map's node, the key in the hand's order, and what the allocator rounds up.
  return bytes + bytes / 4 + 128;
}

RunCache::RunCache(size_t max_bytes) { reset(max_bytes); }

void RunCache::reset(size_t max_bytes) {
  max_bytes_ = max_bytes;
  budget_ = 0;
  runs_.clear();
  order_.clear();
  hand_ = 0;
  memory_ = 0;
}

const RememberedRun* RunCache::find(const Run& run, uint64_t owner) {
  budget_ = std::min(budget_ + run.series, kMostBudget);
  const auto found = runs_.find(key_of(run, owner));
  if (found == runs_.end() || found->second->owner_ != owner || !found->second->same(run)) {
    series_missed_ += run.series;
    return nullptr;
  }
  if (found->second->credit_ < kMostCredit) found->second->credit_++;
  series_found_ += run.series;
  return found->second.get();
}

uint64_t RunCache::price_of(const Run& run) const {
  const bool full = memory_ + run.series * kBytesPerSeries > max_bytes_;
  return run.series * (full ? kSeenPerLearnedWhenFull : kSeenPerLearned);
}

bool RunCache::wants(const Run& run, uint64_t owner) {
  if (max_bytes_ == 0 || budget_ < price_of(run)) return false;
  const uint64_t key = key_of(run, owner);
  uint32_t& seen = seen_[key % seen_.size()];
  const auto part = static_cast<uint32_t>(key >> 32) | 1;
  if (seen == part) return true;
  seen = part;
  return false;
}

// Takes credit from those that the hand passes, and forgets who has none left.
bool RunCache::make_room(size_t bytes) {
  if (bytes > max_bytes_) return false;
  for (int i = 0; i < kHandSteps && memory_ + bytes > max_bytes_ && !order_.empty(); i++) {
    if (hand_ >= order_.size()) hand_ = 0;
    const auto found = runs_.find(order_[hand_]);
    if (found->second->credit_ > 0) {
      found->second->credit_--;
      hand_++;
      continue;
    }
    memory_ -= found->second->memory();
    runs_.erase(found);
    order_[hand_] = order_.back();
    order_.pop_back();
  }
  return memory_ + bytes <= max_bytes_;
}

void RunCache::learn(const Run& run, uint64_t owner, std::string_view rewritten,
                     std::span<const uint32_t> sizes, std::string_view ha_cluster,
                     std::string_view ha_replica) {
  TG_CHECK(sizes.size() == run.series);
  budget_ -= std::min(budget_, price_of(run));
  // Copies reach back less than a window.
  if (rewritten.size() > Run::kMostBytes + Run::kMostBytes / 4) return;
  // Encoding is what is expensive: not for what then has no place.
  if (!make_room(run.bytes().size() + run.series * kBytesPerSeries / 2)) return;
  auto made = std::make_unique<RememberedRun>();
  made->owner_ = owner;
  made->input_ = run.bytes();
  made->raw_length_ = static_cast<uint32_t>(rewritten.size());
  made->ha_cluster_ = ha_cluster;
  made->ha_replica_ = ha_replica;
  made->series_.reserve(run.series);
  const uint64_t key = key_of(run, owner);
  const auto known = runs_.find(key);
  // Learned again because a value did not stay what it was: that is not relied on any more.
  const RememberedRun* const former =
      known != runs_.end() && known->second->series_.size() == run.series ? known->second.get()
                                                                          : nullptr;
  scratch_.clear();
  uint32_t end = 0;
  const char* p = run.begin;
  uint64_t value_before = 0;
  bool had_value = false;
  for (size_t i = 0; i < sizes.size(); i++) {
    bool has_value = false;
    p = plain_series_end(p, run.end, has_value);
    TG_CHECK(p != nullptr);
    end += sizes[i];
    EncodedSeries& s = scratch_.emplace_back();
    s.end = end;
    s.has_value = has_value;
    if (has_value) {
      const uint64_t value = load64(p - kTimeSize - 1 - kValueSize);
      s.zeros = first_zeros(value);
      // The next bucket of a histogram, say.
      s.same = had_value && value == value_before ? kValueSize : 0;
      if (former != nullptr) {
        s.zeros = std::min(s.zeros, former->series_[i].zeros);
        s.same = std::min(s.same, former->series_[i].same);
      }
      value_before = value;
    }
    had_value = has_value;
    made->series_.push_back(
        {static_cast<uint32_t>(p - run.begin), 0, 0, has_value, s.zeros, s.same});
  }
  TG_CHECK(end == rewritten.size() && p == run.end);
  made->elements_ = encoder_.encode(rewritten, scratch_);
  for (size_t i = 0; i < scratch_.size(); i++) {
    made->series_[i].value_at = scratch_[i].value_at;
    made->series_[i].time_at = scratch_[i].time_at;
  }
  const size_t memory = made->memory();
  if (!make_room(memory)) return;
  auto& slot = runs_[key];
  if (slot != nullptr) {
    memory_ -= slot->memory();
  } else {
    order_.push_back(key);
  }
  slot = std::move(made);
  memory_ += memory;
}

}  // namespace tollgate::wire
