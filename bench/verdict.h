#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "expectation.h"
#include "tally.h"

namespace tollgate::bench {

struct SinkVerdict {
  std::string address;
  uint64_t received = 0;      // different samples
  uint64_t lost = 0;          // acknowledged and not there
  uint64_t duplicates = 0;    // arrived once more
  uint64_t reordered = 0;     // arrived, for the first time, after a later one of their series
  uint64_t wrong_labels = 0;  // samples under labels or a tenant that break the sink's rules
  uint64_t wrong_values = 0;  // series whose samples are all there, but not with the values sent
  uint64_t unexpected = 0;    // never offered by any load
  uint64_t unsorted = 0;      // samples with unsorted labels, where the sink allows that
  uint64_t mixed = 0;         // requests that mix what may not be mixed
  uint64_t malformed = 0;     // requests that are not remote write
  uint64_t lost_exemplars = 0;
  std::vector<std::string> examples;  // at most 10 sentences

  bool ok(bool allow_duplicates) const;
};

struct Verdict {
  bool ok = false;
  uint64_t acknowledged = 0;
  std::vector<SinkVerdict> sinks;

  std::string json() const;  // one line
};

// The labels of one of the sink's series, by its identity: asked for examples only.
using NameOf = std::function<std::string(uint64_t)>;

// Compares what was acknowledged with what a sink has.
SinkVerdict judge(const std::vector<Expectation>& expectations, const SinkState& sink,
                  const std::string& address, const NameOf& name_of);
// Every sink has to have everything.
Verdict judge_all(const std::vector<Expectation>& expectations, std::vector<SinkVerdict> sinks,
                  bool allow_duplicates);

}  // namespace tollgate::bench
