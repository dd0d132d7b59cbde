#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "body.h"

namespace tollgate::bench {

// Recorded requests (the *.snappy files that `record` or anything else has stored: RW1 bodies),
// decoded once so that they can be sent again with timestamps of our own.
class Recording {
 public:
  // In name order. Throws std::runtime_error naming the file that is not a remote-write body.
  static Recording load(const std::string& directory);

  // The bodies as sender number `copy` sends them: labels as recorded for the first, and with
  // `prometheus_replica` of its own for every other, so that no two senders write the same series.
  // A series that occurs m times in the recording has m samples a pass, evenly spaced, in the order
  // of the files. Values are those recorded. `step_ms` is about what lies between two samples.
  std::vector<Body> bodies(size_t copy, int64_t t0, int64_t step_ms) const;

  size_t series() const { return series_; }    // different ones
  size_t samples() const { return samples_; }  // of one pass

 private:
  struct Datum {
    Entry entry;
    uint32_t occurrence = 0;   // which of its series
    uint32_t occurrences = 1;  // of its series in the recording
  };
  struct File {
    std::vector<Datum> data;
    std::string extra;
  };
  std::vector<File> files_;
  size_t series_ = 0;
  size_t samples_ = 0;
};

}  // namespace tollgate::bench
