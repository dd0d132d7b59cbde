#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "model/label_plan.h"

// Encoding by hand and at random, for tests.
namespace tollgate::wire {

// --- protobuf fields, written the canonical way ---
std::string varint(uint64_t value);
std::string varint_field(uint32_t field, uint64_t value);
std::string bytes_field(uint32_t field, std::string_view bytes);
std::string fixed64_field(uint32_t field, uint64_t bits);
std::string double_field(uint32_t field, double value);
uint64_t zigzag(int64_t value);

// --- fields of TimeSeries and WriteRequest ---
std::string label(std::string_view name, std::string_view value);
std::string sample(double value, int64_t timestamp);
std::string sample_bits(uint64_t bits, int64_t timestamp);
std::string series(std::string_view fields);

// Random requests: mostly what senders send, with a share of everything that is legal but odd
// (unsorted, repeated, empty, interleaved, unknown, not UTF-8) and histograms good and bad.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  std::string request();
  model::LabelPlan plan();
  // `body` with a few bytes flipped, cut, repeated or inserted.
  std::string mutated(std::string body);
  uint64_t below(uint64_t n) { return random_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  std::string name();
  std::string value();
  std::string a_label();
  std::string a_sample();
  std::string an_exemplar();
  std::string a_histogram();
  std::string unknown_field(int depth = 0);
  std::string a_series();
  int64_t timestamp();

  std::mt19937_64 random_;
};

}  // namespace tollgate::wire
