#pragma once

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tollgate::bench {

// A pass whose request was not acknowledged.
struct ExceptionalPass {
  uint64_t pass = 0;
  // Whether the samples may have arrived all the same: a refusal may have kept the valid part, and
  // of a request without an answer nobody knows.
  bool may_have_arrived = true;
};

// The samples offered of one series by one request template: t0 + k * step for k in [0, count).
struct ExpectedSeries {
  std::string_view labels;  // Label fields as sent; of the load, or of the file that was read
  std::string tenant;       // empty = no tenant header was sent
  int64_t t0 = 0;           // ms
  int64_t step = 0;
  uint64_t count = 0;
  uint64_t first_pass = 0;  // of the template: sample k was sent in pass first_pass + k
  uint64_t value_sum = 0;   // of mix_value over all of them
  uint32_t body = 0;        // index into Expectation::exceptions
};

// What one run of load has sent, for the verdict. (One series may be here several times, when
// several recorded bodies have it.)
struct Expectation {
  uint64_t acknowledged = 0;  // samples
  uint64_t exemplars = 0;     // acknowledged
  uint64_t unknown = 0;       // requests retried after an unknown outcome
  std::vector<std::vector<ExceptionalPass>> exceptions;  // by body, ascending
  std::vector<ExpectedSeries> series;
  std::shared_ptr<const std::string> bytes;  // what was decoded, where the labels are views into

  void write(std::ostream& out) const;
  std::string encode() const;
  static Expectation decode(std::string encoded);  // throws std::runtime_error
  void save(const std::string& path) const;
  static Expectation load(const std::string& path);
};

}  // namespace tollgate::bench
