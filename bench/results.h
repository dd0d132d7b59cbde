// A run's results.json in memory: what bench/run.py wrote, as `report` and `compare` read it. The
// file's keys are described in docs/benchmarks.md; a figure whose verdict failed is not in it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tollgate::bench {

/// The only value of "schema" that is understood.
inline constexpr int kResultsSchema = 1;

/// Of the rounds of one cell: their median, smallest and largest.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};

/// What was read again and again during a round; a gap is where the process was away.
struct Timeline {
  std::vector<double> seconds;
  std::map<std::string, std::vector<std::optional<double>>, std::less<>> columns;
};

/// One peer under one load.
struct Cell {
  std::string name;   // unique in its scenario
  std::string peer;   // "tollgate"
  std::string title;  // for people: "Tollgate, 3 destinations"
  int destinations = 0;
  std::string load;  // command line
  int rounds = 0;    // that count
  std::map<std::string, Spread, std::less<>> figures;
  std::vector<std::string> discarded;  // why rounds do not count
  Timeline timeline;                   // of the last round; may be empty
};

struct Scenario {
  std::string name;
  std::string title;
  std::vector<Cell> cells;
};

/// Something to be reached, from figures of the same rounds of one run.
struct Ratio {
  std::string name;
  std::string title;
  std::string unit;  // "x", "s", "%"
  bool higher_is_better = false;
  double must = 0;
  std::optional<double> aim;
  std::optional<Spread> value;  // none: not measured
  int rounds = 0;
  std::string reached;  // "aim", "must", "missed", "not measured"
  std::string note;
};

struct PeerFacts {
  std::string name;
  std::string title;
  std::string version;
  std::string command;
  std::string configuration;
};

struct Results {
  std::string started;
  std::string mode;  // "short", "full", "chosen"
  double seconds = 0;
  std::vector<std::pair<std::string, std::string>> machine;   // as text, in the file's order
  std::vector<std::pair<std::string, std::string>> settings;  // likewise
  std::vector<PeerFacts> peers;
  std::vector<std::pair<int, double>> capacity;  // sinks, samples a second
  std::vector<Scenario> scenarios;
  std::vector<Ratio> ratios;
  std::vector<std::string> skipped;  // sentences
  std::vector<std::string> failed;   // sentences
};

/// Throws std::runtime_error that says what is wrong where: the text is not JSON, of another
/// schema, or lacks a key.
Results parse_results(std::string_view text);

/// Reads a file. Throws as parse_results(), with the path in front.
Results read_results(const std::filesystem::path& path);

/// What is known of a figure: `name` is its key in the file.
struct Figure {
  std::string_view name;
  std::string_view title;  // with its unit
  int decimals;
  enum class Better { kLower, kHigher, kNeither } better;
  bool brief = true;  // shown where there is little room
};

/// The figures that are shown and compared, in the order of a table's columns.
const std::vector<Figure>& known_figures();

}  // namespace tollgate::bench
