#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "model/label_plan.h"
#include "model/reasons.h"

namespace tollgate::wire {

// Walks the protobuf bytes of a remote write 1.0 `prometheus.WriteRequest` once and re-emits each
// TimeSeries with its labels rewritten: sorted by name, merged with a LabelPlan, empty values
// removed. Samples, exemplars, histograms and unknown fields are copied bit for bit (byte ranges,
// never doubles, so a signalling stale NaN survives). Nothing is parsed into objects; in steady
// state nothing is allocated.
//
//   walker.begin(body, plan, ha);
//   for (;;) switch (walker.next()) {
//     case Step::kSeries:   walker.emit(staging_for(walker.series())); break;
//     case Step::kRefused:  count(walker.refusal()); break;      // this series only; go on
//     case Step::kOther:    walker.emit(staging_for_stream()); break;  // metadata, unknown fields
//     case Step::kMalformed: return walker.error();               // roll back what was emitted
//     case Step::kEnd: return ok;
//   }
//
// Owner and threads: one per core. Lifetime: `body` and `plan` outlive the walk. Limits: a series
// with more than 131072 labels is refused (kInvalidLabel), which bounds the memory at some 12 MB.
// Cost: about 50 ns a one-sample series with two planned labels (bench/wire_bench.cc).
enum class Step { kSeries, kRefused, kOther, kMalformed, kEnd };

// Names of the labels whose (final) values name the sender's HA replica; empty = not looked for.
struct HaLabels {
  std::string_view cluster;
  std::string_view replica;
};

// What the walker knows of the current series. Views live until the next call.
struct SeriesHead {
  uint32_t samples = 0;     // float samples
  uint32_t histograms = 0;  // native histograms, integer or float
  uint32_t exemplars = 0;
  int64_t min_timestamp = INT64_MAX;  // ms, over samples and histograms; as here if there are none
  int64_t max_timestamp = INT64_MIN;
  std::string_view ha_cluster;  // values after rewriting; empty if absent
  std::string_view ha_replica;
  size_t encoded_size = 0;  // bytes that emit() will append
  // Where samples and whatever else follow the labels in the body; null if the series is not made
  // of its labels and then, in one piece, all the rest.
  const char* rest = nullptr;
};

// A refused series. Views live until the next call.
struct Refusal {
  model::RejectReason reason;
  uint32_t samples = 0;  // samples + histograms in it
  uint32_t exemplars = 0;
  // For people: the series in `{name="value", …}` form, cut at 512 bytes, and what is wrong with
  // it ("label cluster is \"green\", but this source must write \"blue\"").
  std::string series;
  std::string message;
};

class Walker {
 public:
  Walker();
  ~Walker();
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;

  void begin(std::string_view body, const model::LabelPlan& plan, HaLabels ha = {});
  Step next();
  // Goes on at `at`, where a field of the body begins, or at its end.
  void seek(const char* at);
  // Where next() will go on.
  const char* position() const;
  const SeriesHead& series() const { return head_; }
  bool kept() const;  // whether next() has come to kSeries
  // XXH3-64 over the rewritten label bytes of the current series: the shard key.
  uint64_t labels_hash() const;
  // Details are rendered only when asked for: refuse cheaply, explain once.
  Refusal refusal() const;
  // Reason and counts of the refused series, without rendering.
  model::RejectReason refused_reason() const { return reason_; }
  // Byte offset and field of the malformation: "bad protobuf at byte 17: …".
  Error error() const;
  // Appends the current element, with its field tag and length, to `out`.
  void emit(Buffer& out) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  SeriesHead head_;
  model::RejectReason reason_{};
};

}  // namespace tollgate::wire
