#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "wire/run.h"
#include "wire/run_encoder.h"
#include "wire/walker.h"

namespace tollgate::wire {

// Whether the walker's current series, which lay at [begin, end), may be part of what is learned:
// it is kept, and what the scan of a run takes for its value and timestamp is just that.
bool learnable(const Walker& walker, const char* begin, const char* end);

// How a run of series came out last time: rewritten and compressed, with places for the values and
// timestamps, which are all that is new 15 seconds later.
class RememberedRun {
 public:
  uint32_t samples() const { return static_cast<uint32_t>(series_.size()); }
  uint32_t raw_length() const { return raw_length_; }  // decoded bytes of what put() appends
  const std::string& ha_cluster() const { return ha_cluster_; }
  const std::string& ha_replica() const { return ha_replica_; }

  // Appends the element stream of `run`, which find() has found to be this one, with its own values
  // and times, and widens [min, max] by its timestamps (ms). Hot.
  void put(const Run& run, Buffer& out, int64_t& min_timestamp, int64_t& max_timestamp) const;

 private:
  friend class RunCache;
  struct Series {
    uint32_t end;       // of the series, in the run as it came in
    uint32_t value_at;  // in elements_, of what is not bound
    uint32_t time_at;   // in elements_
    // See EncodedSeries.
    bool has_value;
    uint8_t zeros;
    uint8_t same;
  };

  bool same(const Run& run) const;
  size_t memory() const;

  uint64_t owner_ = 0;
  std::string input_;
  std::string elements_;
  std::vector<Series> series_;
  uint32_t raw_length_ = 0;
  std::string ha_cluster_;
  std::string ha_replica_;
  uint32_t credit_ = 0;  // found so often, up to a limit, since the hand came by
};

// Remembers runs (wire/run.h), so that series which come again need not be walked and compressed
// again: found ones are compared byte by byte with what they were learned from, all but values and
// timestamps, and then copied. What is not found goes the usual way, and is learned when it comes
// for the second time.
//
// An owner stands for a way of rewriting: equal bytes of the same owner come out equal. A source
// under one version of the configuration is an owner; numbers are never used twice.
//
// Owner and threads: one per core. Memory: at most `max_bytes` (about 290 for a series), then
// what was not found of late goes, by a clock hand; plus some 600 KB to learn with. 0: remembers
// nothing. At most one series in 8 is learned, one in 32 once it is full, and the hand moves two
// steps a run, so that series which do not fit, or never come again, cost little more than the
// look-up and do not push out others, and so that nobody waits for long behind what is learned.
class RunCache {
 public:
  explicit RunCache(size_t max_bytes);

  // Forgets everything; from now on at most `max_bytes`.
  void reset(size_t max_bytes);
  bool enabled() const { return max_bytes_ > 0; }
  // The run as it was learned, or null. Lives until the next learn() or reset().
  const RememberedRun* find(const Run& run, uint64_t owner);
  // After find() has returned null: whether to learn() this run once it is rewritten.
  bool wants(const Run& run, uint64_t owner);
  // `rewritten`: the fields that the run became, of `sizes` bytes each, a series each, in order.
  // Each of them must have been learnable(), and none refused. `owner` as for find().
  void learn(const Run& run, uint64_t owner, std::string_view rewritten,
             std::span<const uint32_t> sizes, std::string_view ha_cluster,
             std::string_view ha_replica);

  size_t memory() const { return memory_; }
  uint64_t series_found() const { return series_found_; }
  uint64_t series_missed() const { return series_missed_; }

 private:
  bool make_room(size_t bytes);
  uint64_t price_of(const Run& run) const;  // of learning it

  size_t max_bytes_ = 0;
  uint64_t budget_ = 0;  // series seen, up to a limit; what learning is paid with
  size_t memory_ = 0;
  uint64_t series_found_ = 0;
  uint64_t series_missed_ = 0;
  std::unordered_map<uint64_t, std::unique_ptr<RememberedRun>> runs_;
  std::vector<uint64_t> order_;  // keys of runs_, for the hand
  size_t hand_ = 0;
  std::array<uint32_t, 8192> seen_{};  // by key: part of the key that came last
  RunEncoder encoder_;
  std::vector<EncodedSeries> scratch_;
};

}  // namespace tollgate::wire
