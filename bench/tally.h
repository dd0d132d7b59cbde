#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "labels.h"

namespace tollgate::bench {

// What a sink insists on.
struct Rules {
  // `name` has to have one of `values`, on the series whose label `when_name` is `when_value` (or
  // on all, if `when_name` is empty). What is required does not count for who a series is.
  struct Requirement {
    std::string name;
    std::set<std::string, std::less<>> values;
    std::string when_name;
    std::string when_value;
  };
  std::vector<Requirement> requirements;
  bool allow_unsorted = false;
  std::vector<std::string> same;  // labels that may not differ within one request
  std::string tenant_header;      // compared with the sender's, if not empty

  // Adds "name=value" or "name=value@other=its value"; throws std::runtime_error if it is neither.
  void require(const std::string& text);
  std::set<std::string, std::less<>> required_names() const;
};

// Timestamps that did not arrive between two that did: first, first + step, … last.
struct Gap {
  int64_t first;
  int64_t last;
};

// What arrived of one series.
struct SeriesState {
  uint64_t identity = 0;  // of its labels without the required ones
  uint32_t tenant = 0;    // index into SinkState::tenants
  int64_t first = 0;      // timestamps in ms
  int64_t last = 0;       // the highest
  int64_t step = 0;  // the greatest that all arrived timestamps are multiples of; 0 with only one
  uint64_t received = 0;  // different samples
  uint64_t duplicates = 0;
  uint64_t reordered = 0;  // arrived, for the first time, after a later one
  uint64_t value_sum = 0;  // of mix_value over the different samples
  bool wrong = false;
  std::vector<Gap> gaps;
};

struct Counts {
  uint64_t requests = 0;  // that were taken
  uint64_t bytes = 0;     // compressed, of those
  uint64_t samples = 0;   // floats and native histograms, repeats included
  uint64_t histograms = 0;
  uint64_t exemplars = 0;
  uint64_t metadata = 0;
  uint64_t series = 0;
  uint64_t duplicates = 0;
  uint64_t reordered = 0;
  uint64_t wrong_labels = 0;  // samples of series whose labels break a rule
  uint64_t unsorted = 0;      // samples of series with unsorted labels, where that is allowed
  uint64_t mixed = 0;         // requests with series of more than one group (Rules::same)
  uint64_t malformed = 0;     // requests that are not remote write
};

struct SinkState {
  Counts counts;
  std::set<std::string, std::less<>> required_names;
  bool checks_tenants = false;
  std::vector<std::string> tenants;
  std::vector<std::string> examples;
  std::vector<SeriesState> series;

  static SinkState decode(std::string_view bytes);  // throws std::runtime_error
};

// Remembers, per series, which samples have arrived. A sample is known by its timestamp: the series
// that load sends are evenly spaced, so a missing one shows as a gap. (The samples of a series
// whose spacing changes are told apart only from the last one.)
//
// A series is looked up by the XXH3 of its label bytes, and parsed only the first time; its state
// is one cache line. Cost: some 60 ns a sample once 100,000 series are known; memory: about 400
// bytes a series. Threads: take() is called by one at a time; it locks, so from any.
class Tally {
 public:
  explicit Tally(Rules rules);
  ~Tally();
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  // The decoded WriteRequest of a request with this tenant (empty = none) and so many compressed
  // bytes. False, with nothing counted but `malformed`, if it is not one.
  bool take(std::string_view raw, std::string_view tenant, size_t compressed);
  void count_malformed();

  Counts counts() const;
  // For SinkState::decode, about 80 bytes a series: a million of them fit into an answer.
  std::string encode_state() const;
  // The labels of a series, for people; empty if there is none of this identity.
  std::string name_of(uint64_t identity) const;
  std::vector<std::string> examples() const;
  void forget();

 private:
  struct Slot;
  struct Table;

  bool take_slowly(std::string_view series);
  Slot* add_series(uint64_t key, std::string_view fields);
  void on_sample(Slot& slot, int64_t timestamp, uint64_t bits);
  void refine(Slot& slot, int64_t finer);
  void on_odd_sample(Slot& slot, int64_t timestamp, uint64_t bits);
  void on_series(const Slot& slot);
  std::string judge(const LabelViews& labels, bool& unsorted) const;
  void example(const std::string& sentence);
  std::string name_of(const Slot& slot) const;
  std::string_view labels_of(const Slot& slot) const;
  void clear();

  const Rules rules_;
  const std::set<std::string, std::less<>> required_names_;

  mutable std::mutex mutex_;
  // Everything below is guarded by mutex_.
  Counts counts_;
  std::unique_ptr<Table> table_;
  struct Info {
    uint64_t identity;
    uint64_t labels_at;  // in label_bytes_, up to where the next one begins
  };
  std::vector<Info> infos_;  // by Slot::info
  std::string label_bytes_;  // Label fields of all series as they first arrived
  std::unordered_map<uint64_t, uint64_t> key_of_identity_;  // → key of the slot with the state
  std::unordered_map<uint64_t, uint64_t> alias_;            // key of other bytes → that key
  std::unordered_map<uint64_t, std::vector<Gap>> gaps_;     // by key
  std::vector<std::string> tenants_;
  std::vector<std::string> examples_;
  // Of the request being taken.
  uint16_t tenant_ = 0;
  uint32_t group_ = 0;
  bool grouped_ = false;
  bool mixed_ = false;
  std::string scratch_;
};

}  // namespace tollgate::bench
