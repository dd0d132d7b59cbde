#include "tally.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <stdexcept>

#include "bytes.h"
#include "wire.h"

namespace tollgate::bench {
namespace {

constexpr size_t kExamples = 10;
constexpr uint16_t kWrong = 1;
constexpr uint16_t kUnsorted = 2;
constexpr uint64_t kStateMagic = 0x3254415453474254;  // "TBGSTAT1"

// `12 10 09 <8 bytes value> 10 <6 bytes timestamp>`: a Sample, the whole rest of its series.
constexpr size_t kSampleTail = 4 + 8 + kTimestampBytes;
// `12 07 10 <6 bytes timestamp>`: the same of value zero.
constexpr size_t kZeroTail = 3 + kTimestampBytes;

bool has_sample_tail(const char* end, size_t size) {
  if (size < kSampleTail) return false;
  const char* p = end - kSampleTail;
  return p[0] == 0x12 && p[1] == 0x10 && p[2] == 0x09 && p[11] == 0x10 && is_timestamp(p + 12);
}
bool has_zero_tail(const char* end, size_t size) {
  if (size < kZeroTail) return false;
  const char* p = end - kZeroTail;
  return p[0] == 0x12 && p[1] == 0x07 && p[2] == 0x10 && is_timestamp(p + 3);
}

uint64_t key_of(std::string_view fields) {
  const uint64_t key = XXH3_64bits(fields.data(), fields.size());
  return key == 0 ? 1 : key;  // 0 marks an empty slot
}

std::string_view value_of(const LabelViews& labels, std::string_view name) {
  for (const auto& [n, value] : labels) {
    if (n == name) return value;
  }
  return {};
}

}  // namespace

void Rules::require(const std::string& text) {
  const size_t at = text.find('@');
  const std::string rule = text.substr(0, at);
  const size_t equals = rule.find('=');
  Requirement r;
  r.name = rule.substr(0, equals);
  if (at != std::string::npos) {
    const std::string when = text.substr(at + 1);
    const size_t other = when.find('=');
    r.when_name = when.substr(0, other);
    if (other != std::string::npos) r.when_value = when.substr(other + 1);
    if (r.when_value.empty()) r.name.clear();
  }
  if (equals == std::string::npos || r.name.empty()) {
    throw std::runtime_error("\"" + text + "\" is not name=value or name=value@other=value");
  }
  for (Requirement& known : requirements) {
    if (known.name == r.name && known.when_name == r.when_name &&
        known.when_value == r.when_value) {
      known.values.insert(rule.substr(equals + 1));
      return;
    }
  }
  r.values.insert(rule.substr(equals + 1));
  requirements.push_back(std::move(r));
}

std::set<std::string, std::less<>> Rules::required_names() const {
  std::set<std::string, std::less<>> out;
  for (const Requirement& r : requirements) out.insert(r.name);
  return out;
}

// One cache line a series.
struct alignas(64) Tally::Slot {
  uint64_t key = 0;
  int64_t first = 0;
  int64_t last = 0;
  uint64_t received = 0;
  uint64_t value_sum = 0;
  uint32_t step = 0;
  uint32_t duplicates = 0;
  uint32_t reordered = 0;
  uint32_t info = 0;  // index into labels_
  uint32_t group = 0;
  uint16_t tenant = 0;
  uint16_t flags = 0;
};

// Open addressing, at most half full, a power of two.
struct Tally::Table {
  std::vector<Slot> slots = std::vector<Slot>(1 << 12);
  size_t used = 0;

  size_t mask() const { return slots.size() - 1; }
  void prefetch(uint64_t key) const { __builtin_prefetch(&slots[key & mask()], 1); }
  Slot* find(uint64_t key) {
    for (size_t i = key & mask();; i = (i + 1) & mask()) {
      if (slots[i].key == key) return &slots[i];
      if (slots[i].key == 0) return nullptr;
    }
  }
  Slot* insert(uint64_t key) {
    if ((used + 1) * 2 > slots.size()) {
      std::vector<Slot> old(slots.size() * 2);
      old.swap(slots);
      for (const Slot& s : old) {
        if (s.key != 0) *place(s.key) = s;
      }
    }
    used++;
    Slot* s = place(key);
    s->key = key;
    return s;
  }
  Slot* place(uint64_t key) {
    size_t i = key & mask();
    while (slots[i].key != 0) i = (i + 1) & mask();
    return &slots[i];
  }
};

Tally::Tally(Rules rules) : rules_(std::move(rules)), required_names_(rules_.required_names()) {
  static_assert(sizeof(Slot) == 64);
  clear();
}

Tally::~Tally() = default;

void Tally::clear() {
  counts_ = {};
  table_ = std::make_unique<Table>();
  infos_.clear();
  label_bytes_.clear();
  key_of_identity_.clear();
  alias_.clear();
  gaps_.clear();
  tenants_ = {""};
  tenant_ = 0;
  examples_.clear();
}

void Tally::forget() {
  std::lock_guard lock(mutex_);
  clear();
}

void Tally::count_malformed() {
  std::lock_guard lock(mutex_);
  counts_.malformed++;
  example("a request is not a snappy block");
}

void Tally::example(const std::string& sentence) {
  if (examples_.size() < kExamples) examples_.push_back(sentence);
}

std::string_view Tally::labels_of(const Slot& slot) const {
  const uint64_t begin = infos_[slot.info].labels_at;
  const uint64_t end =
      slot.info + 1 < infos_.size() ? infos_[slot.info + 1].labels_at : label_bytes_.size();
  return std::string_view(label_bytes_).substr(begin, end - begin);
}

std::string Tally::name_of(const Slot& slot) const { return render_fields(labels_of(slot)); }

std::string Tally::name_of(uint64_t identity) const {
  std::lock_guard lock(mutex_);
  const auto found = key_of_identity_.find(identity);
  return found == key_of_identity_.end() ? std::string() : name_of(*table_->find(found->second));
}

// What is wrong with these labels; empty if nothing is.
std::string Tally::judge(const LabelViews& labels, bool& unsorted) const {
  unsorted = false;
  std::string wrong;
  for (size_t i = 0; i < labels.size(); i++) {
    const auto& [name, value] = labels[i];
    if (name.empty()) return "a label without a name";
    if (value.empty()) return "label " + std::string(name) + " is empty";
    if (i == 0 || labels[i - 1].first < name) continue;
    for (size_t j = 0; j < i; j++) {
      if (labels[j].first == name) return "label " + std::string(name) + " occurs twice";
    }
    unsorted = true;
    if (!rules_.allow_unsorted && wrong.empty()) {
      wrong = "label " + std::string(name) + " comes after " + std::string(labels[i - 1].first);
    }
  }
  if (!wrong.empty()) return wrong;
  if (value_of(labels, "__name__").empty()) return "it has no __name__";
  for (const Rules::Requirement& r : rules_.requirements) {
    if (!r.when_name.empty() && value_of(labels, r.when_name) != r.when_value) continue;
    const std::string_view value = value_of(labels, r.name);
    if (r.values.contains(value)) continue;
    return value.empty() ? "label " + r.name + " is missing"
                         : "label " + r.name + " is \"" + std::string(value) +
                               "\", which is not what was required";
  }
  return wrong;
}

Tally::Slot* Tally::add_series(uint64_t key, std::string_view fields) {
  if (const auto known = alias_.find(key); known != alias_.end()) {
    return table_->find(known->second);
  }
  LabelViews labels;
  if (!read_labels(fields, labels)) return nullptr;
  const uint64_t who = identity(labels, required_names_);
  const auto [same, is_new] = key_of_identity_.try_emplace(who, key);
  bool unsorted = false;
  const std::string problem = judge(labels, unsorted);
  if (!problem.empty()) example("series " + render(labels) + ": " + problem);
  const uint16_t flags = static_cast<uint16_t>((problem.empty() ? 0 : kWrong) |
                                               (unsorted && problem.empty() ? kUnsorted : 0));
  if (!is_new) {
    // The same series in other bytes: another order, or other values of required labels.
    alias_.emplace(key, same->second);
    Slot* slot = table_->find(same->second);
    slot->flags |= flags;
    return slot;
  }
  Slot* slot = table_->insert(key);
  slot->info = static_cast<uint32_t>(infos_.size());
  infos_.push_back({who, label_bytes_.size()});
  label_bytes_.append(fields);
  slot->flags = flags;
  slot->tenant = tenant_;
  for (const std::string& name : rules_.same) {
    const std::string_view value = value_of(labels, name);
    slot->group = static_cast<uint32_t>(
        XXH3_64bits_withSeed(value.data(), value.size(), slot->group + 1) | 1);
  }
  counts_.series++;
  return slot;
}

void Tally::on_series(const Slot& slot) {
  if (!grouped_) {
    grouped_ = true;
    group_ = slot.group;
  } else if (slot.group != group_ && !mixed_) {
    mixed_ = true;
    example("one request mixes series that differ in what may not differ; one is " + name_of(slot));
  }
}

// Hot: bench sinks share the machine with what is measured. Budget 60 ns with its lookup.
inline void Tally::on_sample(Slot& slot, int64_t timestamp, uint64_t bits) {
  counts_.samples++;
  if (slot.step != 0 && timestamp == slot.last + slot.step && slot.flags == 0 &&
      slot.tenant == tenant_ && grouped_ && slot.group == group_) [[likely]] {
    slot.last = timestamp;
    slot.received++;
    slot.value_sum += mix_value(bits);
    return;
  }
  on_odd_sample(slot, timestamp, bits);
}

// What had looked like the step was several steps of `finer`: all that lies between is missing.
void Tally::refine(Slot& slot, int64_t finer) {
  constexpr int64_t kMostRefined = 10'000;
  const int64_t step = slot.step;
  std::vector<Gap>& old = gaps_[slot.key];
  std::vector<Gap> gaps;
  if ((slot.last - slot.first) / step < kMostRefined) {
    for (int64_t t = slot.first; t < slot.last; t += step) {
      gaps.push_back({t + finer, t + step - finer});
      const int64_t next = t + step;
      for (const Gap& g : old) {
        if (next >= g.first && next <= g.last) gaps.push_back({next, next});
      }
    }
  }
  old = std::move(gaps);
  slot.step = static_cast<uint32_t>(finer);
}

void Tally::on_odd_sample(Slot& slot, int64_t timestamp, uint64_t bits) {
  on_series(slot);
  if ((slot.flags & kWrong) != 0) counts_.wrong_labels++;
  if ((slot.flags & kUnsorted) != 0) counts_.unsorted++;
  if (slot.tenant != tenant_) {
    counts_.wrong_labels++;
    example("series " + name_of(slot) + " arrived for tenant \"" + tenants_[tenant_] +
            "\" and before for \"" + tenants_[slot.tenant] + "\"");
  }
  const auto accept = [&] {
    slot.received++;
    slot.value_sum += mix_value(bits);
  };
  if (slot.received == 0) {
    slot.first = slot.last = timestamp;
    accept();
    return;
  }
  if (timestamp > slot.last) {
    const int64_t distance = timestamp - slot.last;
    const int64_t step = slot.step;
    if (step == 0) {
      slot.step = static_cast<uint32_t>(std::min<int64_t>(distance, UINT32_MAX));
    } else if (distance % step == 0) {
      if (distance > step) gaps_[slot.key].push_back({slot.last + step, timestamp - step});
    } else {
      refine(slot, std::gcd(step, distance));
      const auto finer = static_cast<int64_t>(slot.step);
      if (distance > finer) {
        gaps_[slot.key].push_back({slot.last + finer, timestamp - finer});
      }
    }
    slot.last = timestamp;
    accept();
    return;
  }
  bool late = timestamp < slot.first;
  if (late) {
    // Before all others: what lies between is missing as well.
    const int64_t distance = slot.first - timestamp;
    if (slot.step == 0) slot.step = static_cast<uint32_t>(distance);
    if (distance % slot.step != 0) refine(slot, std::gcd<int64_t>(slot.step, distance));
    if (distance > slot.step) {
      gaps_[slot.key].push_back({timestamp + slot.step, slot.first - slot.step});
    }
    slot.first = timestamp;
  } else {
    const int64_t distance = timestamp - slot.first;
    if (slot.step != 0 && distance % slot.step != 0) {
      refine(slot, std::gcd<int64_t>(slot.step, distance));
    }
  }
  if (const auto found = gaps_.find(slot.key); !late && found != gaps_.end()) {
    auto& gaps = found->second;
    for (size_t i = 0; i < gaps.size(); i++) {
      const Gap g = gaps[i];
      if (timestamp < g.first || timestamp > g.last) continue;
      late = true;
      const auto step = static_cast<int64_t>(slot.step);
      gaps.erase(gaps.begin() + static_cast<std::ptrdiff_t>(i));
      if (g.first < timestamp) gaps.push_back({g.first, timestamp - step});
      if (timestamp < g.last) gaps.push_back({timestamp + step, g.last});
      break;
    }
    if (gaps.empty()) gaps_.erase(found);
  }
  if (late) {
    slot.reordered++;
    counts_.reordered++;
    example("series " + name_of(slot) + ": the sample of " + std::to_string(timestamp) +
            " arrived after that of " + std::to_string(slot.last));
    accept();
  } else {
    slot.duplicates++;
    counts_.duplicates++;
  }
}

// Any TimeSeries: new, with several samples, with histograms, with exemplars only.
bool Tally::take_slowly(std::string_view series) {
  scratch_.clear();
  FieldReader reader(series);
  bool has_points = false;
  while (reader.next()) {
    if (reader.is(1, 2)) scratch_.append(reader.whole());
    if (reader.is(2, 2) || reader.is(4, 2)) has_points = true;
  }
  if (!reader.ok()) return false;
  const uint64_t key = key_of(scratch_);
  // What has exemplars alone is not followed: nobody keeps an order of them.
  Slot* slot = has_points ? table_->find(key) : nullptr;
  if (has_points && slot == nullptr) slot = add_series(key, scratch_);
  if (has_points && slot == nullptr) return false;
  FieldReader points(series);
  while (points.next()) {
    if (points.is(2, 2)) {
      int64_t timestamp = 0;
      uint64_t bits = 0;
      FieldReader sample(points.bytes());
      while (sample.next()) {
        if (sample.is(1, 1)) bits = sample.number();
        if (sample.is(2, 0)) timestamp = static_cast<int64_t>(sample.number());
      }
      if (!sample.ok()) return false;
      on_sample(*slot, timestamp, bits);
    } else if (points.is(4, 2)) {
      int64_t timestamp = 0;
      uint64_t bits = 0;
      if (!read_histogram(points.bytes(), timestamp, bits)) return false;
      counts_.histograms++;
      on_sample(*slot, timestamp, bits);
    } else if (points.is(3, 2)) {
      counts_.exemplars++;
    }
  }
  return true;
}

bool Tally::take(std::string_view raw, std::string_view tenant, size_t compressed) {
  struct Pending {
    const char* begin;
    const char* end;
    uint64_t key;  // 0: neither kind of tail
    bool zero;
  };
  constexpr size_t kBatch = 16;
  Pending batch[kBatch];
  size_t size = 0;

  std::lock_guard lock(mutex_);
  if (tenants_[tenant_] != tenant) {
    const auto known = std::find(tenants_.begin(), tenants_.end(), tenant);
    tenant_ = static_cast<uint16_t>(known - tenants_.begin());
    if (known == tenants_.end()) tenants_.emplace_back(tenant);
  }
  grouped_ = mixed_ = false;
  bool sound = true;

  const auto settle = [&] {
    for (size_t i = 0; i < size && sound; i++) {
      const Pending& s = batch[i];
      Slot* slot = s.key != 0 ? table_->find(s.key) : nullptr;
      // A known key means that these label bytes were parsed once, so the tail is what it looks
      // like.
      if (slot == nullptr) {
        sound = take_slowly({s.begin, static_cast<size_t>(s.end - s.begin)});
      } else {
        uint64_t bits = 0;
        if (!s.zero) std::memcpy(&bits, s.end - kTimestampBytes - 1 - 8, 8);
        on_sample(*slot, get_timestamp(s.end - kTimestampBytes), bits);
      }
    }
    size = 0;
  };

  FieldReader reader(raw);
  while (sound && reader.next()) {
    if (reader.is(3, 2)) counts_.metadata++;
    if (!reader.is(1, 2)) continue;
    const std::string_view series = reader.bytes();
    const char* end = series.data() + series.size();
    Pending& s = batch[size++];
    s = {series.data(), end, 0, false};
    if (has_sample_tail(end, series.size())) {
      s.key = key_of(series.substr(0, series.size() - kSampleTail));
    } else if (has_zero_tail(end, series.size())) {
      s.key = key_of(series.substr(0, series.size() - kZeroTail));
      s.zero = true;
    }
    table_->prefetch(s.key);
    if (size == kBatch) settle();
  }
  settle();
  if (!sound || !reader.ok()) {
    counts_.malformed++;
    example("a request is not protobuf");
    return false;
  }
  if (mixed_) counts_.mixed++;
  counts_.requests++;
  counts_.bytes += compressed;
  return true;
}

Counts Tally::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<std::string> Tally::examples() const {
  std::lock_guard lock(mutex_);
  return examples_;
}

std::string Tally::encode_state() const {
  std::lock_guard lock(mutex_);
  ByteWriter w;
  w.reserve(4096 + table_->used * 80);
  w.put(kStateMagic);
  for (const uint64_t n :
       {counts_.requests, counts_.bytes, counts_.samples, counts_.histograms, counts_.exemplars,
        counts_.metadata, counts_.series, counts_.duplicates, counts_.reordered,
        counts_.wrong_labels, counts_.unsorted, counts_.mixed, counts_.malformed}) {
    w.put(n);
  }
  w.put<uint8_t>(!rules_.tenant_header.empty());
  w.put_texts(required_names_);
  w.put_texts(tenants_);
  w.put_texts(examples_);
  w.put<uint64_t>(table_->used);
  for (const Slot& s : table_->slots) {
    if (s.key == 0) continue;
    w.put(infos_[s.info].identity);
    w.put<uint32_t>(s.tenant);
    w.put(s.first);
    w.put(s.last);
    w.put<int64_t>(s.step);
    w.put(s.received);
    w.put<uint64_t>(s.duplicates);
    w.put<uint64_t>(s.reordered);
    w.put(s.value_sum);
    w.put<uint8_t>((s.flags & kWrong) != 0);
    const auto found = gaps_.find(s.key);
    if (found == gaps_.end()) {
      w.put<uint32_t>(0);
      continue;
    }
    std::vector<Gap> gaps = found->second;
    std::sort(gaps.begin(), gaps.end(),
              [](const Gap& a, const Gap& b) { return a.first < b.first; });
    w.put<uint32_t>(static_cast<uint32_t>(gaps.size()));
    for (const Gap& g : gaps) {
      w.put(g.first);
      w.put(g.last);
    }
  }
  return w.take();
}

SinkState SinkState::decode(std::string_view bytes) {
  ByteReader r(bytes, "the sink's state");
  if (r.get<uint64_t>() != kStateMagic) {
    throw std::runtime_error("what the sink answered to /state is not its state");
  }
  SinkState out;
  for (uint64_t* n :
       {&out.counts.requests, &out.counts.bytes, &out.counts.samples, &out.counts.histograms,
        &out.counts.exemplars, &out.counts.metadata, &out.counts.series, &out.counts.duplicates,
        &out.counts.reordered, &out.counts.wrong_labels, &out.counts.unsorted, &out.counts.mixed,
        &out.counts.malformed}) {
    *n = r.get<uint64_t>();
  }
  out.checks_tenants = r.get<uint8_t>() != 0;
  for (auto n = r.get<uint32_t>(); n > 0; n--) out.required_names.emplace(r.get_text());
  for (auto n = r.get<uint32_t>(); n > 0; n--) out.tenants.emplace_back(r.get_text());
  for (auto n = r.get<uint32_t>(); n > 0; n--) out.examples.emplace_back(r.get_text());
  auto series = r.get<uint64_t>();
  out.series.reserve(std::min<uint64_t>(series, bytes.size() / 64));
  for (; series > 0; series--) {
    SeriesState& s = out.series.emplace_back();
    s.identity = r.get<uint64_t>();
    s.tenant = r.get<uint32_t>();
    if (s.tenant >= out.tenants.size()) throw std::runtime_error("the sink's state has no sense");
    s.first = r.get<int64_t>();
    s.last = r.get<int64_t>();
    s.step = r.get<int64_t>();
    s.received = r.get<uint64_t>();
    s.duplicates = r.get<uint64_t>();
    s.reordered = r.get<uint64_t>();
    s.value_sum = r.get<uint64_t>();
    s.wrong = r.get<uint8_t>() != 0;
    for (auto g = r.get<uint32_t>(); g > 0; g--) {
      const auto first = r.get<int64_t>();
      const auto last = r.get<int64_t>();
      s.gaps.push_back({first, last});
    }
  }
  return out;
}

}  // namespace tollgate::bench
