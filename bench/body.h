#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "expectation.h"

namespace tollgate::bench {

// One datum of a request: a TimeSeries with one sample, one native histogram or one exemplar, as
// Prometheus sends them. Its value goes round a few variants; its timestamp moves with every pass.
struct Entry {
  enum class Kind : uint8_t { kSample, kHistogram, kExemplar };
  Kind kind = Kind::kSample;
  uint32_t group = 0;  // whose clock: index into Body's t0
  std::string labels;  // Label fields
  // By variant: the bits of the value of a sample.
  std::vector<uint64_t> values;
  // By variant: the fields of a Histogram or an Exemplar without the timestamp.
  std::vector<std::string> payloads;
  // Set by the body: the pass in which this series began.
  uint64_t first_pass = 0;

  size_t variants() const { return kind == Kind::kSample ? values.size() : payloads.size(); }
};

// A remote-write request that is sent again and again, each time one step later.
//
// What costs is done once per variant: serialising, compressing, and finding out which compressed
// bytes the timestamps come from (a snappy copy repeats bytes that stand somewhere as a literal),
// so that a pass only patches those. Where a patch would change other bytes too, the variant is
// made anew. Either way the bytes are those of a correct request, which tests check by decoding
// them.
//
// Owner and thread: one sender's. Memory: about 24 bytes a sample and variant for
// node-exporter-like series, and 300 bytes a series.
class Body {
 public:
  // Entry e of pass p has the timestamp t0[e.group] + p * step (ms). All entries have `variants`
  // variants. `extra`: fields of the WriteRequest sent as they are (metadata).
  Body(std::vector<Entry> entries, std::vector<int64_t> t0, int64_t step, size_t variants,
       std::string extra = {});

  // The compressed request of a pass; valid until the next call. Passes may be repeated and
  // skipped.
  std::string_view packed(uint64_t pass);
  // The same, before compression.
  std::string raw(uint64_t pass) const;
  // Makes all variants, so that packed() only patches.
  void prepare();

  size_t samples() const { return samples_; }  // with histograms
  size_t exemplars() const { return exemplars_; }
  size_t raw_size(uint64_t pass) const { return variants_[pass % variants_.size()].raw_size; }
  const std::vector<Entry>& entries() const { return entries_; }
  // From pass `pass` on, entry `index` has these labels: another series.
  void rename(size_t index, std::string labels, uint64_t pass);
  // How often a variant had to be made because a patch would not do.
  uint64_t remakes() const { return remakes_; }

  // What a sink should have after `passes` passes, of which `exceptions` were not acknowledged.
  // Appends to `out`, with `tenant`.
  void expect(uint64_t passes, const std::vector<ExceptionalPass>& exceptions,
              const std::string& tenant, Expectation& out) const;

 private:
  struct Patch {
    uint32_t at;  // in the compressed bytes
    uint32_t group;
    uint8_t byte;  // of the timestamp
    bool shared;   // other bytes are copied from there too
  };
  struct Variant {
    bool made = false;
    std::string packed;
    size_t raw_size = 0;
    std::vector<Patch> patches;  // by position
  };
  struct Place {
    uint32_t at;  // of a timestamp in the raw bytes
    uint32_t group;
  };
  // A series that was renamed away.
  struct Past {
    Entry entry;
    uint64_t end_pass;
  };

  std::string serialise(uint64_t pass, std::vector<Place>* places) const;
  void make(uint64_t pass);
  bool patch(Variant& variant, uint64_t pass) const;
  void expect_entry(const Entry& entry, uint64_t end_pass, const std::string& tenant, uint32_t body,
                    Expectation& out) const;

  std::vector<Entry> entries_;
  std::vector<int64_t> t0_;
  int64_t step_;
  std::string extra_;
  std::vector<Variant> variants_;
  std::vector<Past> past_;
  size_t samples_ = 0;
  size_t exemplars_ = 0;
  uint64_t remakes_ = 0;
};

}  // namespace tollgate::bench
