#include "wire/walker.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <limits>

#include "wire/histogram_check.h"
#include "wire/labels.h"
#include "wire/proto_bytes.h"
#include "wire/refusal.h"
#include "wire/utf8.h"

namespace tollgate::wire {
namespace {

using model::LabelAction;
using model::RejectReason;

// A series with more labels is refused, so that a hostile request cannot make us hold some ten
// times its size in references.
constexpr size_t kMaxLabels = 128 * 1024;
// References kept from one request to the next; more are given back.
constexpr size_t kKeepLabels = 4096;
// The same for the copy of the labels that is hashed.
constexpr size_t kKeepHashBytes = 256 * 1024;
// Copies may read and write this many bytes too many: cheaper than an exact memcpy.
constexpr size_t kSlop = 64;
constexpr size_t kMaxLengthSize = 5;
constexpr size_t kRenderedSeries = 512;
constexpr size_t kRenderedValue = 128;

constexpr char kSeriesTag = field_tag(1, kLength);  // timeseries of WriteRequest
constexpr uint32_t kMetadataTag = field_tag(3, kLength);
constexpr char kLabelTag = field_tag(1, kLength);  // fields of TimeSeries
constexpr char kSampleTag = field_tag(2, kLength);
constexpr uint32_t kExemplarTag = field_tag(3, kLength);
constexpr uint32_t kHistogramTag = field_tag(4, kLength);
constexpr char kNameTag = field_tag(1, kLength);  // fields of Label
constexpr char kLabelValueTag = field_tag(2, kLength);
constexpr char kSampleValueTag = field_tag(1, kFixed64);  // fields of Sample
constexpr char kSampleTimeTag = field_tag(2, kVarint);

// Levels of nesting that are left inside a field of WriteRequest, and of TimeSeries.
constexpr int kSeriesDepth = kMaxDepth - 1;
constexpr int kPartDepth = kMaxDepth - 2;

constexpr std::string_view kMetricName = "__name__";
const uint64_t kMetricNameKey = name_key(kMetricName);

struct Range {
  const char* begin;
  const char* end;
};

// A planned label with its encoding as a field of TimeSeries.
struct Planned {
  uint64_t key;
  std::string_view name;
  std::string_view value;
  LabelAction action;
  Range encoded;
};

uint32_t byte_at(const char* p) { return static_cast<uint8_t>(*p); }

// Copies n > 0 bytes; if `padded`, up to kSlop - 1 more may be read and written. Hot.
char* put_bytes(char* to, const char* from, size_t n, bool padded) {
  char* const end = to + n;
  if (!padded || n > 1024) {
    std::memcpy(to, from, n);
    return end;
  }
  do {
    std::memcpy(to, from, kSlop);
    to += kSlop;
    from += kSlop;
  } while (to < end);
  return end;
}

}  // namespace

struct Walker::State {
  // --- constant during a walk ---
  const char* body = nullptr;
  const char* end = nullptr;
  HaLabels ha;
  uint64_t ha_cluster_key = 0;
  uint64_t ha_replica_key = 0;
  std::vector<Planned> plan;
  Buffer plan_bytes;  // the encodings, with kSlop bytes to spare

  // --- the current field ---
  Step step = Step::kEnd;
  const char* at = nullptr;  // where the next field starts
  Range field{};             // all of it, tag included
  size_t payload = 0;        // of the rewritten series
  size_t labels_size = 0;    // the first bytes of the payload
  bool padded = false;       // kSlop bytes after the field may be read
  std::vector<LabelRef> labels;
  size_t label_count = 0;
  std::vector<Range> rest;  // what is not a label, in order
  std::vector<Range> out;   // the rewritten series: labels, then the rest
  size_t out_size = 0;      // so many of them
  mutable Buffer hash_bytes;

  // --- why it was refused ---
  bool refused = false;
  const LabelRef* culprit = nullptr;    // the label it is about
  const Planned* wanted = nullptr;      // kSpoofedLabel: what it must be
  const char* problem = nullptr;        // the rest of the sentence
  const char* bad_histogram = nullptr;  // first problem of a histogram
  RejectReason reason{};
  Fault fault;

  void compile(const model::LabelPlan& labels_plan);
  LabelRef& next_label();
  bool read_usual_series(const char* p, const char* stop, SeriesHead& head);
  bool read_series(const char* p, const char* stop, SeriesHead& head);
  const char* read_part(const char* tag_at, const char* stop, SeriesHead& head);
  const char* read_label(const char* p, const char* stop, LabelRef& label);
  const char* read_sample(const char* p, const char* stop, int64_t& timestamp);
  const char* read_exemplar(const char* p, const char* stop);
  void add_rest(const char* from, const char* to);
  void check_text(const char* labels_begin, const char* labels_end, bool contiguous);
  void sort_labels();
  void merge(SeriesHead& head);
  void refuse(RejectReason why, const LabelRef* about, const char* words);
  Step malformed() { return step = Step::kMalformed; }
};

Walker::Walker() : state_(std::make_unique<State>()) {}
Walker::~Walker() = default;

// Encodes the plan anew for each request: a few dozen ns, and no cache that could go stale.
void Walker::State::compile(const model::LabelPlan& labels_plan) {
  plan.clear();
  plan_bytes.clear();
  size_t size = 0;
  for (const auto& label : labels_plan.labels()) {
    size += label.name.size() + label.value.size() + 3 * (1 + kMaxLengthSize);
  }
  plan_bytes.grow(size + kSlop);
  for (const auto& label : labels_plan.labels()) {
    const size_t inner = 1 + varint_size(label.name.size()) + label.name.size() + 1 +
                         varint_size(label.value.size()) + label.value.size();
    char* const begin = plan_bytes.data() + plan_bytes.size();
    char* p = begin;
    *p++ = kLabelTag;
    p = write_varint(p, inner);
    *p++ = kNameTag;
    p = write_varint(p, label.name.size());
    p = std::copy(label.name.begin(), label.name.end(), p);
    *p++ = kLabelValueTag;
    p = write_varint(p, label.value.size());
    p = std::copy(label.value.begin(), label.value.end(), p);
    plan_bytes.commit(static_cast<size_t>(p - begin));
    plan.push_back({name_key(label.name), label.name, label.value, label.action, {begin, p}});
  }
  // The usual series: each planned label may be a range, and so may what stands before it.
  if (out.size() < 2 * plan.size() + 2) out.resize(2 * plan.size() + 2);
}

void Walker::begin(std::string_view body, const model::LabelPlan& plan, HaLabels ha) {
  State& s = *state_;
  s.body = s.at = body.data();
  s.end = body.data() + body.size();
  s.ha = ha;
  s.ha_cluster_key = name_key(ha.cluster);
  s.ha_replica_key = name_key(ha.replica);
  s.step = Step::kOther;
  s.field = {};
  s.label_count = 0;
  if (s.labels.size() > kKeepLabels) {
    std::vector<LabelRef>(kKeepLabels).swap(s.labels);
    std::vector<Range>().swap(s.rest);
    std::vector<Range>().swap(s.out);
  }
  s.hash_bytes.release_above(kKeepHashBytes);
  s.compile(plan);
  head_ = {};
}

void Walker::seek(const char* at) {
  State& s = *state_;
  TG_CHECK(at >= s.body && at <= s.end && s.step != Step::kMalformed);
  s.at = at;
}

bool Walker::kept() const { return state_->step == Step::kSeries; }

const char* Walker::position() const { return state_->at; }

Step Walker::next() {
  State& s = *state_;
  if (s.step == Step::kMalformed || s.at == s.end) {
    if (s.step != Step::kMalformed) s.step = Step::kEnd;
    return s.step;
  }
  head_ = {};
  const char* p = s.at;
  s.field.begin = p;
  uint32_t tag;
  p = read_tag(p, s.end, tag, s.fault);
  if (p == nullptr) return s.malformed();
  if (tag == static_cast<uint32_t>(kSeriesTag)) {
    uint32_t length;
    p = read_length(p, s.end, length, s.fault);
    if (p == nullptr) return s.malformed();
    const char* stop = p + length;
    s.refused = false;
    s.bad_histogram = nullptr;
    s.padded = static_cast<size_t>(s.end - stop) >= kSlop;
    if (!s.padded || !s.read_usual_series(p, stop, head_)) {
      head_ = {};
      if (!s.read_series(p, stop, head_)) return s.malformed();
    }
    s.at = s.field.end = stop;
    if (s.refused) {
      reason_ = s.reason;
      return s.step = Step::kRefused;
    }
    return s.step = Step::kSeries;
  }
  const char* value = p;
  p = skip_value(s.field.begin, p, s.end, tag, kMaxDepth, s.fault);
  if (p == nullptr) return s.malformed();
  if (tag == kMetadataTag) {
    uint32_t length;
    value = read_length(value, p, length, s.fault);
    if (!well_formed(value, p, kSeriesDepth, s.fault)) return s.malformed();
  }
  s.at = s.field.end = p;
  head_.encoded_size = static_cast<size_t>(p - s.field.begin);
  return s.step = Step::kOther;
}

void Walker::State::refuse(RejectReason why, const LabelRef* about, const char* words) {
  if (refused) return;  // the first finding is the one that is told
  refused = true;
  reason = why;
  culprit = about;
  problem = words;
}

// Where the next label is to be noted.
LabelRef& Walker::State::next_label() {
  if (__builtin_expect(label_count == labels.size(), 0)) {
    if (label_count < kMaxLabels) {
      labels.resize(std::max<size_t>(64, 2 * label_count));
    } else {
      refuse(RejectReason::kInvalidLabel, nullptr, "it has more than 131072 labels");
      label_count = 64;  // enough to tell which series it was
    }
  }
  return labels[label_count];
}

void Walker::State::add_rest(const char* from, const char* to) {
  if (!rest.empty() && rest.back().end == from) {
    rest.back().end = to;
  } else {
    rest.push_back({from, to});
  }
}

// Any label: fields in any order, repeated (the last one counts), unknown ones in between.
// `p` is after the field's tag, label.begin at it.
const char* Walker::State::read_label(const char* p, const char* stop, LabelRef& label) {
  uint32_t inner;
  p = read_length(p, stop, inner, fault);
  if (p == nullptr) return nullptr;
  const char* const label_end = p + inner;
  label.name_at = label.value_at = p;
  label.name_size = label.value_size = 0;
  while (p < label_end) {
    const char* const tag_at = p;
    uint32_t tag;
    p = read_tag(p, label_end, tag, fault);
    if (p == nullptr) return nullptr;
    const bool is_name = tag == static_cast<uint32_t>(kNameTag);
    if (is_name || tag == static_cast<uint32_t>(kLabelValueTag)) {
      uint32_t length;
      p = read_length(p, label_end, length, fault);
      if (p == nullptr) return nullptr;
      (is_name ? label.name_at : label.value_at) = p;
      (is_name ? label.name_size : label.value_size) = length;
      p += length;
    } else {
      p = skip_value(tag_at, p, label_end, tag, kPartDepth, fault);
      if (p == nullptr) return nullptr;
    }
  }
  label.key = name_key(label.name());
  label.size = static_cast<uint32_t>(label_end - label.begin);
  return label_end;
}

// `p` is after the field's tag.
const char* Walker::State::read_sample(const char* p, const char* stop, int64_t& timestamp) {
  uint32_t length;
  p = read_length(p, stop, length, fault);
  if (p == nullptr) return nullptr;
  const char* const sample_end = p + length;
  timestamp = 0;
  while (p < sample_end) {
    const char* const tag_at = p;
    uint32_t tag;
    p = read_tag(p, sample_end, tag, fault);
    if (p == nullptr) return nullptr;
    if (tag == static_cast<uint32_t>(kSampleTimeTag)) {
      uint64_t value;
      p = read_varint(p, sample_end, value, fault);
      timestamp = static_cast<int64_t>(value);
    } else {
      p = skip_value(tag_at, p, sample_end, tag, kPartDepth, fault);
    }
    if (p == nullptr) return nullptr;
  }
  return p;
}

const char* Walker::State::read_exemplar(const char* p, const char* stop) {
  uint32_t length;
  p = read_length(p, stop, length, fault);
  if (p == nullptr) return nullptr;
  const char* const exemplar_end = p + length;
  while (p < exemplar_end) {
    const char* const tag_at = p;
    uint32_t tag;
    p = read_tag(p, exemplar_end, tag, fault);
    if (p == nullptr) return nullptr;
    const char* const value = p;
    p = skip_value(tag_at, p, exemplar_end, tag, kPartDepth, fault);
    if (p == nullptr) return nullptr;
    if (tag == field_tag(1, kLength)) {
      const char* const label = read_length(value, p, length, fault);
      if (!well_formed(label, p, kPartDepth - 1, fault)) return nullptr;
    }
  }
  return p;
}

// A field of TimeSeries that is not a label; its tag is at `tag_at`.
const char* Walker::State::read_part(const char* tag_at, const char* stop, SeriesHead& head) {
  uint32_t tag;
  const char* p = read_tag(tag_at, stop, tag, fault);
  if (p == nullptr) return nullptr;
  int64_t timestamp = 0;
  switch (tag) {
    case static_cast<uint32_t>(kSampleTag):
      p = read_sample(p, stop, timestamp);
      head.samples++;
      break;
    case kHistogramTag: {
      uint32_t length;
      p = read_length(p, stop, length, fault);
      HistogramVerdict verdict;
      if (p == nullptr || !check_histogram(p, p + length, kPartDepth, verdict, fault)) {
        return nullptr;
      }
      p += length;
      timestamp = verdict.timestamp;
      if (bad_histogram == nullptr) bad_histogram = verdict.problem;
      head.histograms++;
      break;
    }
    case kExemplarTag:
      head.exemplars++;
      return read_exemplar(p, stop);
    default:
      return skip_value(tag_at, p, stop, tag, kSeriesDepth, fault);
  }
  head.min_timestamp = std::min(head.min_timestamp, timestamp);
  head.max_timestamp = std::max(head.max_timestamp, timestamp);
  return p;
}

// What nearly every series looks like: sorted labels first, each encoded the canonical way, no
// empty value, then anything else, and nothing to refuse. Labels are compared with the plan while
// they are read and nothing is noted about them. Returns false, having decided nothing, for any
// other series; read_series() then does it all again.
// Hot: once a series. Budget: 60 ns for a one-sample series (bench/wire_bench.cc).
bool Walker::State::read_usual_series(const char* p, const char* stop, SeriesHead& head) {
  const Planned* planned = plan.data();
  const Planned* const plan_end = planned + plan.size();
  uint64_t planned_key = planned < plan_end ? planned->key : ~uint64_t{0};
  Range* to = out.data();     // compile() made room
  const char* run = p;        // from here on nothing is in `out` yet
  const char* unchecked = p;  // from here on text is not yet known to be ASCII
  size_t planned_size = 0;
  bool has_name = false;
  uint64_t key_before = 0;
  std::string_view name_before;

  const auto put_planned = [&] {
    *to++ = planned->encoded;
    planned_size += static_cast<size_t>(planned->encoded.end - planned->encoded.begin);
    has_name |= planned->key == kMetricNameKey && planned->name == kMetricName;
    if (planned->key == ha_cluster_key && planned->name == ha.cluster) {
      head.ha_cluster = planned->value;
    }
    if (planned->key == ha_replica_key && planned->name == ha.replica) {
      head.ha_replica = planned->value;
    }
    planned++;
    planned_key = planned < plan_end ? planned->key : ~uint64_t{0};
  };

  const char* const labels_begin = p;
  size_t replaced_size = 0;
  while (p < stop && *p == kLabelTag) {
    const uint32_t inner = byte_at(p + 1);
    const uint32_t name_size = byte_at(p + 3);
    const char* next = p + 2 + inner;
    std::string_view name(p + 4, name_size);
    const char* const value_tag = p + 4 + name_size;
    std::string_view value;
    if (inner < 0x80 && next <= stop && p[2] == kNameTag && name_size + 5 <= inner &&
        name_size > 0 && *value_tag == kLabelValueTag &&
        value_tag + 2 + byte_at(value_tag + 1) == next) {
      value = {value_tag + 2, byte_at(value_tag + 1)};
    } else {
      LabelRef label;
      label.begin = p;
      next = read_label(p + 1, stop, label);
      if (next == nullptr) return false;
      name = label.name();
      value = label.value();
      if (name.empty() || !is_utf8(name) || !is_utf8(value)) return false;
      if (!is_ascii({unchecked, static_cast<size_t>(p - unchecked)})) return false;
      unchecked = next;
    }
    if (value.empty()) return false;
    const uint64_t key = name_key_padded(name.data(), name.size());
    if (key <= key_before && (key < key_before || name <= name_before)) return false;
    key_before = key;
    name_before = name;

    bool replaced = false;
    while (__builtin_expect(key >= planned_key, 0)) {
      if (planned == plan_end) break;
      const int order = compare_names(planned_key, planned->name, key, name);
      if (order > 0) break;
      if (order == 0 && (planned->action == LabelAction::kAddAbsent || value == planned->value)) {
        planned++;
        planned_key = planned < plan_end ? planned->key : ~uint64_t{0};
        break;
      }
      if (order == 0 && planned->action == LabelAction::kReject) return false;
      if (run < p) *to++ = {run, p};
      run = p;
      put_planned();
      if (order < 0) continue;
      run = next;
      replaced = true;
      replaced_size += static_cast<size_t>(next - p);
      break;
    }
    if (!replaced) {
      has_name |= key == kMetricNameKey && name.size() == kMetricName.size();
      if (key == ha_cluster_key && name == ha.cluster) head.ha_cluster = value;
      if (key == ha_replica_key && name == ha.replica) head.ha_replica = value;
    }
    p = next;
  }
  if (!is_ascii({unchecked, static_cast<size_t>(p - unchecked)})) return false;

  const char* const parts = p;
  while (p < stop) {
    // `12 10 09 <8 bytes> 10 <6 bytes>`: a sample of our time, or without `09 …` if it is 0.
    if (p[0] == kSampleTag && p + 2 + byte_at(p + 1) <= stop) {
      const char* t = p + 2;
      if (p[1] == 16 && *t == kSampleValueTag) t += 9;
      if (t + 7 == p + 2 + byte_at(p + 1) && *t == kSampleTimeTag) {
        const uint64_t bytes = load64(t + 1);
        if ((bytes & 0x808080808080) == 0x008080808080) {
          const auto seven = [bytes](int i) { return (bytes >> (8 * i) & 0x7f) << (7 * i); };
          const auto timestamp =
              static_cast<int64_t>(seven(0) | seven(1) | seven(2) | seven(3) | seven(4) | seven(5));
          head.samples++;
          head.min_timestamp = std::min(head.min_timestamp, timestamp);
          head.max_timestamp = std::max(head.max_timestamp, timestamp);
          p = t + 7;
          continue;
        }
      }
    }
    if (byte_at(p) == field_tag(1, kLength) || byte_at(p) >= 0x80) return false;
    p = read_part(p, stop, head);
    if (p == nullptr) return false;
  }
  if (bad_histogram != nullptr) return false;

  if (planned < plan_end) {
    if (run < parts) *to++ = {run, parts};
    run = parts;
    while (planned < plan_end) put_planned();
  }
  if (!has_name) return false;
  if (run < stop) *to++ = {run, stop};
  out_size = static_cast<size_t>(to - out.data());
  labels_size = static_cast<size_t>(parts - labels_begin) - replaced_size + planned_size;
  payload = labels_size + static_cast<size_t>(stop - parts);
  head.encoded_size = 1 + varint_size(payload) + payload;
  head.rest = parts;
  return true;
}

// Any series. Every label is noted, so that they can be sorted, judged and shown.
bool Walker::State::read_series(const char* p, const char* stop, SeriesHead& head) {
  bad_histogram = nullptr;
  culprit = nullptr;
  wanted = nullptr;
  label_count = 0;
  rest.clear();
  bool ascending = true;
  const char* const labels_begin = p;
  const char* labels_end = p;
  while (p < stop) {
    const char* const tag_at = p;
    uint32_t tag;
    p = read_tag(p, stop, tag, fault);
    if (p == nullptr) return false;
    if (tag != static_cast<uint32_t>(kLabelTag)) {
      p = read_part(tag_at, stop, head);
      if (p == nullptr) return false;
      add_rest(tag_at, p);
      continue;
    }
    LabelRef& label = next_label();
    label.begin = tag_at;
    p = labels_end = read_label(p, stop, label);
    if (p == nullptr) return false;
    if (label.name_size == 0) {
      refuse(RejectReason::kInvalidLabel, nullptr, "it has a label with an empty name");
    }
    if (label_count > 0) {
      const LabelRef& before = labels[label_count - 1];
      ascending &= compare_names(before.key, before.name(), label.key, label.name()) < 0;
    }
    label_count++;
  }
  if (rest.size() == 1 && rest.front().begin == labels_end && rest.front().end == stop) {
    head.rest = labels_end;
  }
  check_text(labels_begin, labels_end, rest.empty() || rest.front().begin >= labels_end);
  if (!ascending) sort_labels();
  merge(head);
  return true;
}

// Text that is ASCII from the first label's tag to the last one's end is fine in one go.
void Walker::State::check_text(const char* labels_begin, const char* labels_end, bool contiguous) {
  const bool ascii =
      contiguous && is_ascii({labels_begin, static_cast<size_t>(labels_end - labels_begin)});
  if (ascii) return;
  for (size_t i = 0; i < label_count; i++) {
    const LabelRef& label = labels[i];
    if (!is_utf8(label.name())) {
      refuse(RejectReason::kInvalidLabel, &label, "is not UTF-8 in its name");
    } else if (!is_utf8(label.value())) {
      refuse(RejectReason::kInvalidLabel, &label, "is not UTF-8 in its value");
    }
  }
}

// Ties stay in the order of arrival, so that the outcome depends on the bytes alone.
void Walker::State::sort_labels() {
  if (refused) return;
  LabelRef* const first = labels.data();
  std::sort(first, first + label_count, [](const LabelRef& a, const LabelRef& b) {
    const int order = compare_names(a.key, a.name(), b.key, b.name());
    return order != 0 ? order < 0 : a.begin < b.begin;
  });
  for (size_t i = 1; i < label_count; i++) {
    if (same_name(labels[i - 1], labels[i].key, labels[i].name())) {
      refuse(RejectReason::kDuplicateLabel, &labels[i], "is there twice");
      return;
    }
  }
}

// Merges the sorted labels with the plan; both are walked once. Runs of labels that stay as they
// are and lie next to each other become one range. Hot.
void Walker::State::merge(SeriesHead& head) {
  const size_t most = label_count + plan.size() + rest.size();
  if (out.size() < most) out.resize(2 * most);
  Range* const first = out.data();
  Range* to = first;
  out_size = 0;
  payload = 0;
  if (refused) return;
  const Planned* planned = plan.data();
  const Planned* const plan_end = planned + plan.size();
  bool has_name = false;
  const auto note = [&](uint64_t key, std::string_view name, std::string_view value) {
    if (key == kMetricNameKey && name == kMetricName) has_name = true;
    if (key == ha_cluster_key && name == ha.cluster) head.ha_cluster = value;
    if (key == ha_replica_key && name == ha.replica) head.ha_replica = value;
  };
  const auto put = [&](const char* begin, const char* stop) {
    payload += static_cast<size_t>(stop - begin);
    if (to > first && to[-1].end == begin) {
      to[-1].end = stop;
    } else {
      *to++ = {begin, stop};
    }
  };
  const auto put_planned = [&](const Planned& label) {
    put(label.encoded.begin, label.encoded.end);
    note(label.key, label.name, label.value);
  };
  for (size_t i = 0; i < label_count; i++) {
    const LabelRef& label = labels[i];
    bool keep = label.value_size > 0;  // an empty value means: no such label
    while (planned < plan_end) {
      const int order = compare_names(planned->key, planned->name, label.key, label.name());
      if (order > 0) break;
      if (order < 0) {
        put_planned(*planned++);
        continue;
      }
      if (!keep) {
        put_planned(*planned);
      } else if (planned->action != LabelAction::kAddAbsent && label.value() != planned->value) {
        if (planned->action == LabelAction::kReject && !refused) {
          refuse(RejectReason::kSpoofedLabel, &label, nullptr);
          wanted = planned;
        }
        put_planned(*planned);
        keep = false;
      }
      planned++;
      break;
    }
    if (!keep) continue;
    put(label.begin, label.begin + label.size);
    note(label.key, label.name(), label.value());
  }
  for (; planned < plan_end; planned++) put_planned(*planned);
  labels_size = payload;
  if (!has_name) {
    refused = false;  // what a series without a name is called says more than its other faults
    refuse(RejectReason::kMissingName, nullptr, "it has no label __name__");
  }
  if (bad_histogram != nullptr) refuse(RejectReason::kBadHistogram, nullptr, bad_histogram);
  for (const Range& range : rest) put(range.begin, range.end);
  out_size = static_cast<size_t>(to - first);
  head.encoded_size = 1 + varint_size(payload) + payload;
}

uint64_t Walker::labels_hash() const {
  const State& s = *state_;
  s.hash_bytes.clear();
  char* p = s.hash_bytes.grow(s.labels_size + kSlop);
  size_t left = s.labels_size;
  for (const Range* range = s.out.data(); left > 0; range++) {
    const size_t n = std::min(left, static_cast<size_t>(range->end - range->begin));
    p = put_bytes(p, range->begin, n, s.padded);
    left -= n;
  }
  return XXH3_64bits(s.hash_bytes.data(), s.labels_size);
}

void Walker::emit(Buffer& out) const {
  const State& s = *state_;
  if (s.step == Step::kOther) {
    out.append({s.field.begin, head_.encoded_size});
    return;
  }
  TG_CHECK(s.step == Step::kSeries);
  char* p = out.grow(head_.encoded_size + kSlop);
  *p++ = kSeriesTag;
  p = write_varint(p, s.payload);
  for (size_t i = 0; i < s.out_size; i++) {
    const Range range = s.out[i];
    p = put_bytes(p, range.begin, static_cast<size_t>(range.end - range.begin), s.padded);
  }
  out.commit(head_.encoded_size);
}

Refusal Walker::refusal() const {
  const State& s = *state_;
  Refusal r{};
  r.reason = s.reason;
  r.samples = head_.samples + head_.histograms;
  r.exemplars = head_.exemplars;
  r.series = render_series({s.labels.data(), s.label_count}, kRenderedSeries);
  if (s.wanted != nullptr && s.reason == RejectReason::kSpoofedLabel) {
    r.message = "label " + std::string(s.wanted->name) + " is " +
                quoted(s.culprit->value(), kRenderedValue) + ", but this source must write " +
                quoted(s.wanted->value, kRenderedValue);
  } else if (s.culprit != nullptr) {
    r.message = "label " + quoted(s.culprit->name(), kRenderedValue) + " " + s.problem;
  } else if (s.reason == RejectReason::kBadHistogram) {
    r.message = std::string("bad native histogram: ") + s.problem;
  } else {
    r.message = s.problem;
  }
  return r;
}

Error Walker::error() const {
  const State& s = *state_;
  return sender_error(
      Code::kInvalid,
      "bad protobuf at byte " + std::to_string(s.fault.at - s.body) + ": " + s.fault.what);
}

}  // namespace tollgate::wire
