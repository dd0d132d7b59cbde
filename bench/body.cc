#include "body.h"

#include <snappy.h>

#include <algorithm>
#include <stdexcept>

#include "labels.h"
#include "wire.h"

namespace tollgate::bench {
namespace {

// For every decoded byte of a sound snappy block, the position of the literal it comes from
// (google/snappy format_description.txt).
void find_origins(std::string_view block, std::vector<uint32_t>& out) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(block[i])); };
  size_t at = 0;
  uint64_t length = 0;
  for (int shift = 0;; shift += 7) {
    const uint32_t b = byte(at++);
    length |= static_cast<uint64_t>(b & 0x7f) << shift;
    if (b < 0x80) break;
  }
  out.resize(length);
  uint32_t* to = out.data();
  while (at < block.size()) {
    const uint32_t tag = byte(at++);
    size_t size = 0;
    size_t offset = 0;
    switch (tag & 3) {
      case 0: {
        size = tag >> 2;
        if (size >= 60) {
          const size_t bytes = size - 59;
          size = 0;
          for (size_t i = 0; i < bytes; i++) size |= static_cast<size_t>(byte(at++)) << (8 * i);
        }
        size++;
        for (size_t i = 0; i < size; i++) *to++ = static_cast<uint32_t>(at + i);
        at += size;
        continue;
      }
      case 1:
        size = 4 + ((tag >> 2) & 7);
        offset = (tag >> 5) << 8 | byte(at++);
        break;
      case 2:
        size = 1 + (tag >> 2);
        offset = byte(at) | byte(at + 1) << 8;
        at += 2;
        break;
      default:
        size = 1 + (tag >> 2);
        offset = byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 |
                 static_cast<size_t>(byte(at + 3)) << 24;
        at += 4;
        break;
    }
    for (size_t i = 0; i < size; i++, to++) *to = *(to - offset);
  }
}

}  // namespace

Body::Body(std::vector<Entry> entries, std::vector<int64_t> t0, int64_t step, size_t variants,
           std::string extra)
    : entries_(std::move(entries)),
      t0_(std::move(t0)),
      step_(step),
      extra_(std::move(extra)),
      variants_(variants) {
  for (const int64_t t : t0_) {
    if (t < kMinTimestamp || t > kMaxTimestamp / 2) {
      throw std::runtime_error("timestamp " + std::to_string(t) + " is not one of our days");
    }
  }
  for (const Entry& e : entries_) {
    if (e.variants() != variants || e.group >= t0_.size()) {
      throw std::runtime_error("an entry does not fit its body");
    }
    (e.kind == Entry::Kind::kExemplar ? exemplars_ : samples_)++;
  }
}

std::string Body::serialise(uint64_t pass, std::vector<Place>* places) const {
  const size_t v = pass % variants_.size();
  std::string out;
  std::string point;
  for (const Entry& e : entries_) {
    point.clear();
    switch (e.kind) {
      case Entry::Kind::kSample:
        // A zero is left out, as by every proto3 encoder.
        if (e.values[v] != 0) {
          point.push_back(0x09);
          put_fixed64(point, e.values[v]);
        }
        point.push_back(0x10);
        break;
      case Entry::Kind::kHistogram:
        point.append(e.payloads[v]);
        point.push_back(0x78);
        break;
      case Entry::Kind::kExemplar:
        point.append(e.payloads[v]);
        point.push_back(0x18);
        break;
    }
    char timestamp[kTimestampBytes];
    put_timestamp(timestamp, t0_[e.group] + static_cast<int64_t>(pass) * step_);
    point.append(timestamp, kTimestampBytes);
    std::string head;
    head.push_back(
        e.kind == Entry::Kind::kSample ? 0x12 : (e.kind == Entry::Kind::kHistogram ? 0x22 : 0x1a));
    put_varint(head, point.size());
    out.push_back(0x0a);
    put_varint(out, e.labels.size() + head.size() + point.size());
    out.append(e.labels).append(head).append(point);
    if (places != nullptr) {
      places->push_back({static_cast<uint32_t>(out.size() - kTimestampBytes), e.group});
    }
  }
  return out += extra_;
}

std::string Body::raw(uint64_t pass) const { return serialise(pass, nullptr); }

void Body::make(uint64_t pass) {
  Variant& variant = variants_[pass % variants_.size()];
  std::vector<Place> places;
  const std::string raw_bytes = serialise(pass, &places);
  variant.raw_size = raw_bytes.size();
  snappy::Compress(raw_bytes.data(), raw_bytes.size(), &variant.packed);
  variant.packed.shrink_to_fit();
  variant.patches.clear();

  thread_local std::vector<uint32_t> origin;
  thread_local std::vector<uint8_t> shared;     // by compressed byte: more than timestamps
  thread_local std::vector<uint32_t> first_of;  // by compressed byte: its first patch + 1
  find_origins(variant.packed, origin);
  shared.assign(variant.packed.size(), 0);
  first_of.assign(variant.packed.size(), 0);
  size_t begin = 0;
  for (size_t p = 0; p <= places.size(); p++) {
    const size_t end = p < places.size() ? places[p].at : raw_bytes.size();
    for (size_t i = begin; i < end; i++) shared[origin[i]] = 1;
    begin = end + kTimestampBytes;
  }
  for (const Place& p : places) {
    for (uint8_t b = 0; b < kTimestampBytes; b++) {
      const uint32_t at = origin[p.at + b];
      // Most timestamps of a group come from one place: the first patch does for them all.
      if (first_of[at] != 0) {
        const Patch& first = variant.patches[first_of[at] - 1];
        if (first.group == p.group && first.byte == b) continue;
      } else {
        first_of[at] = static_cast<uint32_t>(variant.patches.size() + 1);
      }
      variant.patches.push_back({at, p.group, b, shared[at] != 0});
    }
  }
  std::sort(variant.patches.begin(), variant.patches.end(),
            [](const Patch& a, const Patch& b) { return a.at < b.at; });
  variant.patches.shrink_to_fit();
  variant.made = true;
}

bool Body::patch(Variant& variant, uint64_t pass) const {
  std::vector<char> timestamps(t0_.size() * kTimestampBytes);
  for (size_t g = 0; g < t0_.size(); g++) {
    put_timestamp(&timestamps[g * kTimestampBytes], t0_[g] + static_cast<int64_t>(pass) * step_);
  }
  uint32_t before = UINT32_MAX;
  for (const Patch& p : variant.patches) {
    char& byte = variant.packed[p.at];
    const char wanted = timestamps[p.group * kTimestampBytes + p.byte];
    // Two owners of a byte have to agree, and a byte that is more than a timestamp stays.
    if (byte != wanted && (p.shared || p.at == before)) return false;
    byte = wanted;
    before = p.at;
  }
  return true;
}

std::string_view Body::packed(uint64_t pass) {
  Variant& variant = variants_[pass % variants_.size()];
  if (!variant.made || !patch(variant, pass)) {
    remakes_++;
    make(pass);
  }
  return variant.packed;
}

void Body::prepare() {
  for (size_t v = 0; v < variants_.size(); v++) make(v);
}

void Body::rename(size_t index, std::string labels, uint64_t pass) {
  Entry& e = entries_[index];
  past_.push_back({e, pass});
  e.labels = std::move(labels);
  e.first_pass = pass;
  for (Variant& variant : variants_) variant.made = false;
}

void Body::expect_entry(const Entry& entry, uint64_t end_pass, const std::string& tenant,
                        uint32_t body, Expectation& out) const {
  if (entry.kind == Entry::Kind::kExemplar || end_pass <= entry.first_pass) return;
  ExpectedSeries& s = out.series.emplace_back();
  s.labels = entry.labels;
  s.tenant = tenant;
  s.t0 = t0_[entry.group] + static_cast<int64_t>(entry.first_pass) * step_;
  s.step = step_;
  s.count = end_pass - entry.first_pass;
  s.first_pass = entry.first_pass;
  s.body = body;
  const size_t n = variants_.size();
  for (size_t v = 0; v < n; v++) {
    // Passes below `end` whose remainder is v.
    const auto below = [&](uint64_t end) { return end / n + (v < end % n ? 1 : 0); };
    uint64_t bits = 0;
    if (entry.kind == Entry::Kind::kSample) {
      bits = entry.values[v];
    } else {
      int64_t none = 0;
      read_histogram(entry.payloads[v], none, bits);
    }
    s.value_sum += (below(end_pass) - below(entry.first_pass)) * mix_value(bits);
  }
}

void Body::expect(uint64_t passes, const std::vector<ExceptionalPass>& exceptions,
                  const std::string& tenant, Expectation& out) const {
  const auto body = static_cast<uint32_t>(out.exceptions.size());
  out.exceptions.push_back(exceptions);
  for (const Entry& e : entries_) expect_entry(e, passes, tenant, body, out);
  for (const Past& p : past_) {
    expect_entry(p.entry, std::min(passes, p.end_pass), tenant, body, out);
  }
  const uint64_t acknowledged = passes - exceptions.size();
  out.acknowledged += acknowledged * samples_;
  out.exemplars += acknowledged * exemplars_;
}

}  // namespace tollgate::bench
