#include "oracle.h"

#define XXH_INLINE_ALL
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

#include "prometheus/remote.pb.h"

namespace tollgate::wire {
namespace {

using model::LabelAction;
using model::RejectReason;
namespace pb = google::protobuf;

bool utf8(const std::string& text) {
  using pb::internal::WireFormatLite;
  return WireFormatLite::VerifyUtf8String(text.data(), static_cast<int>(text.size()),
                                          WireFormatLite::PARSE, nullptr);
}

// Prometheus's rules, on whole vectors.
bool spans_fit(const pb::RepeatedPtrField<prometheus::BucketSpan>& spans, size_t buckets) {
  int64_t total = 0;
  for (int i = 0; i < spans.size(); i++) {
    if (i > 0 && spans[i].offset() < 0) return false;
    total += spans[i].length();
  }
  return total == static_cast<int64_t>(buckets);
}

bool absolute(const pb::RepeatedField<int64_t>& deltas, uint64_t& sum) {
  uint64_t count = 0;
  for (int64_t delta : deltas) {
    count += static_cast<uint64_t>(delta);
    if (static_cast<int64_t>(count) < 0) return false;
    sum += count;
  }
  return true;
}

bool none_negative(const pb::RepeatedField<double>& counts) {
  return std::none_of(counts.begin(), counts.end(), [](double c) { return c < 0; });
}

bool sound(const prometheus::Histogram& h) {
  if (std::bit_cast<uint64_t>(h.sum()) == 0x7ff0000000000002) return true;
  const bool is_float = h.count_case() == prometheus::Histogram::kCountFloat;
  const auto positive =
      static_cast<size_t>(is_float ? h.positive_counts_size() : h.positive_deltas_size());
  const auto negative =
      static_cast<size_t>(is_float ? h.negative_counts_size() : h.negative_deltas_size());
  if (!spans_fit(h.positive_spans(), positive)) return false;
  if (h.schema() == -53) {
    const auto& bounds = h.custom_values();
    for (int i = 0; i < bounds.size(); i++) {
      if (std::isnan(bounds[i])) return false;
      if (i > 0 && !(bounds[i] > bounds[i - 1])) return false;
    }
    if (!bounds.empty() && bounds[bounds.size() - 1] == INFINITY) return false;
    int64_t reach = 0;
    for (const auto& span : h.positive_spans()) {
      if (span.offset() < 0) return false;
      reach += int64_t{span.offset()} + span.length();
    }
    if (reach > bounds.size() + 1) return false;
    if (h.zero_threshold() != 0 || !h.negative_spans().empty() || negative > 0) return false;
    if (is_float ? h.zero_count_float() != 0 : h.zero_count_int() != 0) return false;
  } else {
    if (h.schema() < -4 || h.schema() > 52 || h.custom_values_size() > 0) return false;
    if (!spans_fit(h.negative_spans(), negative)) return false;
  }
  if (is_float) return none_negative(h.positive_counts()) && none_negative(h.negative_counts());
  uint64_t sum = h.zero_count_int();
  if (!absolute(h.positive_deltas(), sum) || !absolute(h.negative_deltas(), sum)) return false;
  return std::isnan(h.sum()) ? sum <= h.count_int() : sum == h.count_int();
}

// What a series has to become.
struct Expected {
  std::optional<RejectReason> reason;
  std::map<std::string, std::string> labels;       // name to value
  std::map<std::string, std::string> whole_label;  // name to the serialised Label
  int64_t min_timestamp = std::numeric_limits<int64_t>::max();
  int64_t max_timestamp = std::numeric_limits<int64_t>::min();
};

Expected expect(const prometheus::TimeSeries& series, const model::LabelPlan& plan) {
  Expected e;
  const auto see = [&e](int64_t t) {
    e.min_timestamp = std::min(e.min_timestamp, t);
    e.max_timestamp = std::max(e.max_timestamp, t);
  };
  for (const auto& sample : series.samples()) see(sample.timestamp());
  for (const auto& histogram : series.histograms()) see(histogram.timestamp());

  bool invalid = false, duplicate = false, spoofed = false;
  std::map<std::string, std::string> seen;
  for (const auto& label : series.labels()) {
    if (label.name().empty() || !utf8(label.name()) || !utf8(label.value())) invalid = true;
    if (!seen.emplace(label.name(), label.value()).second) duplicate = true;
    if (label.value().empty()) continue;
    e.labels[label.name()] = label.value();
    e.whole_label[label.name()] = label.SerializeAsString();
  }
  for (const auto& planned : plan.labels()) {
    const auto found = e.labels.find(planned.name);
    if (found != e.labels.end()) {
      if (planned.action == LabelAction::kAddAbsent || found->second == planned.value) continue;
      if (planned.action == LabelAction::kReject) spoofed = true;
    }
    e.labels[planned.name] = planned.value;
    prometheus::Label label;
    label.set_name(planned.name);
    label.set_value(planned.value);
    e.whole_label[planned.name] = label.SerializeAsString();
  }
  const bool histograms_sound =
      std::all_of(series.histograms().begin(), series.histograms().end(), sound);
  if (invalid) {
    e.reason = RejectReason::kInvalidLabel;
  } else if (duplicate) {
    e.reason = RejectReason::kDuplicateLabel;
  } else if (!e.labels.contains("__name__")) {
    e.reason = RejectReason::kMissingName;
  } else if (spoofed) {
    e.reason = RejectReason::kSpoofedLabel;
  } else if (!histograms_sound) {
    e.reason = RejectReason::kBadHistogram;
  }
  return e;
}

// XXH3 of the label fields at the front of an emitted TimeSeries.
uint64_t hash_of_labels(std::string_view field) {
  pb::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(field.data()),
                              static_cast<int>(field.size()));
  uint32_t length = 0;
  in.ReadTag();
  in.ReadVarint32(&length);
  const int begin = in.CurrentPosition();
  int end = begin;
  while (in.ReadTag() == 10) {
    in.ReadVarint32(&length);
    in.Skip(static_cast<int>(length));
    end = in.CurrentPosition();
  }
  return XXH3_64bits(field.data() + begin, static_cast<size_t>(end - begin));
}

template <typename Messages>
bool same_messages(const Messages& a, const Messages& b) {
  if (a.size() != b.size()) return false;
  for (int i = 0; i < a.size(); i++) {
    if (a[i].SerializeAsString() != b[i].SerializeAsString()) return false;
  }
  return true;
}

std::string unknown(const pb::Message& message) {
  std::string out;
  message.GetReflection()->GetUnknownFields(message).SerializeToString(&out);
  return out;
}

// What is wrong with an emitted series; empty if nothing.
std::string check_series(const prometheus::TimeSeries& in, const Expected& e,
                         const SeriesHead& head, std::string_view emitted, uint64_t hash,
                         HaLabels ha) {
  std::ostringstream wrong;
  prometheus::WriteRequest request;
  if (!request.ParseFromArray(emitted.data(), static_cast<int>(emitted.size())) ||
      request.timeseries_size() != 1) {
    return "what was emitted is not one TimeSeries";
  }
  const prometheus::TimeSeries& out = request.timeseries(0);
  if (head.encoded_size != emitted.size()) wrong << "encoded_size; ";
  if (hash != hash_of_labels(emitted)) wrong << "labels_hash; ";
  auto expected = e.whole_label.begin();
  bool labels_match = static_cast<size_t>(out.labels_size()) == e.whole_label.size();
  for (int i = 0; labels_match && i < out.labels_size(); i++, ++expected) {
    labels_match = out.labels(i).name() == expected->first &&
                   out.labels(i).SerializeAsString() == expected->second;
  }
  if (!labels_match) wrong << "labels: " << out.ShortDebugString() << "; ";
  if (!same_messages(in.samples(), out.samples())) wrong << "samples; ";
  if (!same_messages(in.exemplars(), out.exemplars())) wrong << "exemplars; ";
  if (!same_messages(in.histograms(), out.histograms())) wrong << "histograms; ";
  if (unknown(in) != unknown(out)) wrong << "unknown fields; ";
  const auto value = [&e](std::string_view name) {
    const auto found = e.labels.find(std::string(name));
    return found == e.labels.end() ? std::string() : found->second;
  };
  if (head.ha_cluster != value(ha.cluster)) wrong << "ha_cluster; ";
  if (head.ha_replica != value(ha.replica)) wrong << "ha_replica; ";
  return wrong.str();
}

std::string check_head(const prometheus::TimeSeries& in, const Expected& e,
                       const SeriesHead& head) {
  const bool same = head.samples == static_cast<uint32_t>(in.samples_size()) &&
                    head.histograms == static_cast<uint32_t>(in.histograms_size()) &&
                    head.exemplars == static_cast<uint32_t>(in.exemplars_size()) &&
                    head.min_timestamp == e.min_timestamp && head.max_timestamp == e.max_timestamp;
  return same ? "" : "counts or timestamps; ";
}

std::string check_refusal(const Walker& walker, const Expected& e, const SeriesHead& head) {
  const Refusal refusal = walker.refusal();
  if (!e.reason) return "refused: " + refusal.message;
  std::string wrong;
  if (refusal.reason != *e.reason || walker.refused_reason() != *e.reason) {
    wrong = "refused for " + std::string(model::name(refusal.reason)) + ", not for " +
            std::string(model::name(*e.reason)) + "; ";
  }
  if (refusal.message.empty() || refusal.series.size() > 512 || !utf8(refusal.series) ||
      !utf8(refusal.message)) {
    wrong += "the words of the refusal; ";
  }
  if (refusal.samples != head.samples + head.histograms || refusal.exemplars != head.exemplars) {
    wrong += "the counts of the refusal; ";
  }
  return wrong;
}

}  // namespace

std::string differs_from_libprotobuf(std::string_view body, const model::LabelPlan& plan,
                                     HaLabels ha) {
  static const pb::LogSilencer quiet;
  prometheus::WriteRequest request;
  const bool parses = request.ParseFromArray(body.data(), static_cast<int>(body.size()));

  static thread_local Walker walker;
  Buffer out;
  std::string others;
  int index = 0;
  walker.begin(body, plan, ha);
  for (;;) {
    const Step step = walker.next();
    if (step == Step::kEnd || step == Step::kMalformed) {
      if (walker.next() != step) return "the end does not stay the end";
      if (step == Step::kMalformed && parses) return "refused: " + walker.error().message;
      if (step == Step::kEnd && !parses) return "accepted what libprotobuf refuses";
      break;
    }
    out.clear();
    if (step == Step::kOther) {
      walker.emit(out);
      if (walker.series().encoded_size != out.size()) return "encoded_size of another field";
      others += out.view();
      continue;
    }
    if (!parses) continue;  // libprotobuf has nothing to compare with
    const std::string where = "series " + std::to_string(index) + ": ";
    if (index >= request.timeseries_size()) return where + "there is no such series";
    const prometheus::TimeSeries& in = request.timeseries(index++);
    const Expected e = expect(in, plan);
    const SeriesHead& head = walker.series();
    std::string wrong = check_head(in, e, head);
    if (step == Step::kRefused) {
      wrong += check_refusal(walker, e, head);
    } else if (e.reason) {
      wrong += "kept in spite of " + std::string(model::name(*e.reason));
    } else {
      const uint64_t hash = walker.labels_hash();
      walker.emit(out);
      wrong += check_series(in, e, head, out.view(), hash, ha);
    }
    if (!wrong.empty()) return where + wrong;
  }
  if (!parses) return "";
  if (index != request.timeseries_size()) return "too few series";
  prometheus::WriteRequest rest;
  if (!rest.ParseFromString(others)) return "the other fields do not parse";
  request.clear_timeseries();
  if (rest.SerializeAsString() != request.SerializeAsString()) return "the other fields differ";
  return "";
}

}  // namespace tollgate::wire
