#pragma once

#include <snappy.h>

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "body.h"
#include "labels.h"
#include "prometheus/remote.pb.h"
#include "tally.h"

namespace tollgate::bench::testing_support {

using Pairs = std::vector<std::pair<std::string, std::string>>;

inline std::string fields(const Pairs& labels) {
  std::string out;
  for (const auto& [name, value] : labels) put_label(out, name, value);
  return out;
}

inline void add_sample(prometheus::WriteRequest& request, const Pairs& labels, int64_t timestamp,
                       double value = 1) {
  auto* series = request.add_timeseries();
  for (const auto& [name, value_of_label] : labels) {
    auto* label = series->add_labels();
    label->set_name(name);
    label->set_value(value_of_label);
  }
  auto* sample = series->add_samples();
  sample->set_timestamp(timestamp);
  sample->set_value(value);
}

// Gives the tally a request with one sample.
inline void take(Tally& tally, const Pairs& labels, int64_t timestamp, double value = 1,
                 std::string_view tenant = "") {
  prometheus::WriteRequest request;
  add_sample(request, labels, timestamp, value);
  tally.take(request.SerializeAsString(), tenant, 100);
}

inline SinkState state_of(const Tally& tally) { return SinkState::decode(tally.encode_state()); }
inline std::string no_name(uint64_t) { return "?"; }

inline prometheus::WriteRequest decode(std::string_view packed) {
  std::string raw;
  prometheus::WriteRequest request;
  if (!snappy::Uncompress(packed.data(), packed.size(), &raw) || !request.ParseFromString(raw)) {
    ADD_FAILURE() << "not a remote write body";
  }
  return request;
}

inline Entry sample_entry(const Pairs& labels, const std::vector<double>& values,
                          uint32_t group = 0) {
  Entry e;
  e.labels = fields(labels);
  e.group = group;
  for (const double v : values) e.values.push_back(std::bit_cast<uint64_t>(v));
  return e;
}

}  // namespace tollgate::bench::testing_support
