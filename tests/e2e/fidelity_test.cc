#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "scenario.h"

// What the gateway has no business changing arrives bit for bit.
namespace tollgate::e2e {
namespace {

double from_bits(uint64_t bits) { return std::bit_cast<double>(bits); }

prometheus::TimeSeries* named(prometheus::WriteRequest& request, const std::string& series) {
  auto* out = request.add_timeseries();
  for (const auto& [name, value] :
       Labels{{"__name__", "m"}, {"sender", "fidelity"}, {"series", series}}) {
    auto* label = out->add_labels();
    label->set_name(name);
    label->set_value(value);
  }
  return out;
}

void add_spans(prometheus::Histogram& h) {
  for (const auto& [offset, length] : std::vector<std::pair<int, uint32_t>>{{-3, 2}, {4, 1}}) {
    for (auto* span : {h.add_positive_spans(), h.add_negative_spans()}) {
      span->set_offset(offset);
      span->set_length(length);
    }
  }
}

prometheus::WriteRequest everything() {
  const int64_t t = now_ms();
  prometheus::WriteRequest request;
  const std::vector<uint64_t> bits = {
      0x7ff0000000000002,  // stale, a signalling NaN
      0x7ff8000000000001,  // the usual NaN
      0xfff8dead0000beef,  // some other one
      0x8000000000000000,  // -0
      0x0000000000000001,  // the smallest denormal
      std::bit_cast<uint64_t>(std::numeric_limits<double>::infinity()),
      std::bit_cast<uint64_t>(-std::numeric_limits<double>::max()),
  };
  for (size_t i = 0; i < bits.size(); ++i) {
    auto* sample = named(request, "bits-" + std::to_string(i))->add_samples();
    sample->set_value(from_bits(bits[i]));
    sample->set_timestamp(t);
  }
  auto* many = named(request, "many");
  for (int i = 0; i < 3; ++i) {
    auto* sample = many->add_samples();
    sample->set_value(i);
    sample->set_timestamp(t - 1000 + i);
    auto* exemplar = many->add_exemplars();
    exemplar->set_value(0.25 * i);
    exemplar->set_timestamp(t - 1000 + i);
    auto* label = exemplar->add_labels();
    label->set_name("trace_id");
    label->set_value("z\xc3\xa4" + std::to_string(i));
    label = exemplar->add_labels();  // not sorted, and not ours to sort
    label->set_name("a");
    label->set_value("");
  }
  auto* only_exemplar = named(request, "only-exemplar")->add_exemplars();
  only_exemplar->set_value(1);
  only_exemplar->set_timestamp(t);

  auto* integer = named(request, "integer-histogram")->add_histograms();
  integer->set_count_int(34);
  integer->set_sum(-18.4);
  integer->set_schema(-4);
  integer->set_zero_threshold(1e-128);
  integer->set_zero_count_int(2);
  add_spans(*integer);
  for (const int delta : {5, 1, -2}) {
    integer->add_positive_deltas(delta);
    integer->add_negative_deltas(delta + 1);
  }
  // 5 + 6 + 4 positive, 6 + 8 + 7 negative: 2 + 15 + 21 observations
  integer->set_count_int(38);
  integer->set_reset_hint(prometheus::Histogram::NO);
  integer->set_timestamp(t);

  auto* floating = named(request, "float-histogram")->add_histograms();
  floating->set_count_float(12.5);
  floating->set_sum(0.1);
  floating->set_schema(8);
  floating->set_zero_count_float(0);  // present, though zero
  add_spans(*floating);
  for (const double count : {1.5, 0.0, 2.25}) {
    floating->add_positive_counts(count);
    floating->add_negative_counts(count);
  }
  floating->set_reset_hint(prometheus::Histogram::GAUGE);
  floating->set_timestamp(t);

  auto* stale = named(request, "stale-histogram")->add_histograms();
  stale->set_count_int(0);
  stale->set_sum(from_bits(0x7ff0000000000002));
  stale->set_zero_count_int(0);
  stale->set_timestamp(t);

  auto* custom = named(request, "custom-buckets")->add_histograms();
  custom->set_count_int(3);
  custom->set_sum(4);
  custom->set_schema(-53);
  auto* span = custom->add_positive_spans();
  span->set_length(2);
  custom->add_positive_deltas(1);
  custom->add_positive_deltas(1);
  custom->add_custom_values(0.5);
  custom->add_custom_values(2.5);
  custom->set_timestamp(t);

  auto* unknown = named(request, "unknown-fields");
  auto* sample = unknown->add_samples();
  sample->set_value(1);
  sample->set_timestamp(t);
  auto* fields = unknown->GetReflection()->MutableUnknownFields(unknown);
  fields->AddVarint(6, 1'700'000'000'000);  // created_timestamp of later Prometheus
  fields->AddLengthDelimited(99, std::string("\0\1\2", 3));

  auto* metadata = request.add_metadata();
  metadata->set_type(prometheus::MetricMetadata::COUNTER);
  metadata->set_metric_family_name("m");
  metadata->set_help("line one\nline \"two\" \\ \xe2\x98\x83");
  metadata->set_unit("bytes");
  return request;
}

TEST(Fidelity, SamplesHistogramsExemplarsAndMetadataArriveBitForBit) {
  TempDir dir;
  Sink sink("sink");
  sink.keep_requests();
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources =
      "sources:\n  - name: blue\n    auth: none\n    tenant: team-blue\n    enforced_labels: "
      "{cluster: blue}\n";
  gateway.configure(topology.to(sink, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  const prometheus::WriteRequest sent = everything();
  const Answer answer = write(gateway.port(), sent);
  ASSERT_EQ(answer.status, 204) << answer.body;

  std::map<std::string, prometheus::TimeSeries> arrived;
  std::vector<prometheus::MetricMetadata> metadata;
  EXPECT_TRUE(eventually(in(milliseconds(20'000)),
                         [&] {
                           arrived.clear();
                           metadata.clear();
                           for (const auto& request : sink.requests()) {
                             for (const auto& m : request.metadata()) metadata.push_back(m);
                             for (const auto& series : request.timeseries()) {
                               for (const auto& label : series.labels()) {
                                 if (label.name() == "series") arrived[label.value()] = series;
                               }
                             }
                           }
                           return arrived.size() == static_cast<size_t>(sent.timeseries_size()) &&
                                  metadata.size() == 1;
                         }))
      << arrived.size() << " of " << sent.timeseries_size()
      << " series, metadata: " << metadata.size();
  for (const auto& series : sent.timeseries()) {
    // Expected: the same bytes with one more label.
    prometheus::TimeSeries expected = series;
    expected.clear_labels();
    for (const auto& [name, value] : Labels{{"__name__", "m"},
                                            {"cluster", "blue"},
                                            {"sender", "fidelity"},
                                            {"series", series.labels(2).value()}}) {
      auto* label = expected.add_labels();
      label->set_name(name);
      label->set_value(value);
    }
    EXPECT_EQ(arrived[series.labels(2).value()].SerializeAsString(), expected.SerializeAsString())
        << "sent " << expected.ShortDebugString() << "\narrived "
        << arrived[series.labels(2).value()].ShortDebugString();
  }
  ASSERT_EQ(metadata.size(), 1u);
  EXPECT_EQ(metadata[0].SerializeAsString(), sent.metadata(0).SerializeAsString());
  for (const std::string& a : sink.anomalies()) ADD_FAILURE() << a;
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
