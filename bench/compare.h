// Two results against each other: what got worse.
#pragma once

#include <string>
#include <vector>

#include "results.h"

namespace tollgate::bench {

/// Fewer rounds show no spread: this share of the median, up and down, is taken for one.
inline constexpr int kRoundsForASpread = 3;
inline constexpr double kAssumedSpread = 0.25;

struct Difference {
  std::string where;  // "destinations / tollgate-3 / CPU ns/sample", or a ratio's title
  double before = 0;  // medians
  double after = 0;
  double change = 0;  // (after - before) / before
  enum class Kind {
    kWorse,         // beyond the threshold, and the rounds of the two do not overlap
    kBetter,        // likewise
    kWithinSpread,  // worse beyond the threshold, but the rounds overlap: noise may do that
  } kind;
};

struct Comparison {
  std::string impossible;          // why the two cannot be compared; empty: they can
  std::vector<std::string> notes;  // sentences: what was left out, and why
  std::vector<Difference> differences;
  int compared = 0;  // figures and ratios that both have
  bool regressed() const;
};

/// `threshold` is a fraction: 0.1 is 10 %. Only Tollgate's figures are compared, and the ratios. Of
/// different machines only the ratios, which are made for that. Not comparable: another load (rate,
/// series, senders, …), or nothing in common. What `before` has measured and `after` has discarded
/// because of its verdict is a regression.
Comparison compare_results(const Results& before, const Results& after, double threshold);

/// For a terminal.
std::string to_text(const Comparison& comparison);

/// "10%" or "0.1" -> 0.1. Throws std::runtime_error for anything else, and below 0.
double parse_threshold(const std::string& text);

}  // namespace tollgate::bench
