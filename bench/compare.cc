#include "compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "table.h"

namespace tollgate::bench {
namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string fact(const Facts& facts, std::string_view name) {
  for (const auto& [key, value] : facts) {
    if (key == name) return value;
  }
  return {};
}

// What the rounds say about noise; too few of them say nothing, so some is assumed.
Spread with_noise(Spread spread, int rounds) {
  if (rounds < kRoundsForASpread) {
    spread.low = std::min(spread.low, spread.median * (1 - kAssumedSpread));
    spread.high = std::max(spread.high, spread.median * (1 + kAssumedSpread));
  }
  return spread;
}

bool overlap(const Spread& a, const Spread& b) { return a.low <= b.high && b.low <= a.high; }

void judge(Comparison& out, std::string where, const Spread& before, const Spread& after,
           bool higher_is_better, double threshold) {
  out.compared++;
  if (before.median == 0) return;  // no measure of change
  const double change = (after.median - before.median) / before.median;
  const double worse = higher_is_better ? -change : change;
  if (worse <= threshold && worse >= -threshold) return;
  auto kind = worse > 0 ? Difference::Kind::kWorse : Difference::Kind::kBetter;
  if (overlap(before, after)) {
    if (worse < 0) return;
    kind = Difference::Kind::kWithinSpread;
  }
  out.differences.push_back({std::move(where), before.median, after.median, change, kind});
}

const Cell* find_cell(const Results& results, const std::string& scenario,
                      const std::string& name) {
  for (const auto& one : results.scenarios) {
    if (one.name != scenario) continue;
    for (const auto& cell : one.cells) {
      if (cell.name == name) return &cell;
    }
  }
  return nullptr;
}

void compare_cells(Comparison& out, const Results& before, const Results& after, double threshold) {
  for (const auto& scenario : before.scenarios) {
    for (const auto& cell : scenario.cells) {
      const Cell* now = find_cell(after, scenario.name, cell.name);
      if (now == nullptr || cell.peer != "tollgate") continue;
      if (!now->discarded.empty() && cell.discarded.empty()) {
        out.compared++;
        out.differences.push_back({fmt::format("{} / {} / failed rounds", scenario.name, cell.name),
                                   0, static_cast<double>(now->discarded.size()), 1,
                                   Difference::Kind::kWorse});
      }
      for (const auto& figure : known_figures()) {
        if (figure.better == Figure::Better::kNeither) continue;
        const auto a = cell.figures.find(figure.name);
        const auto b = now->figures.find(figure.name);
        if (a == cell.figures.end() || b == now->figures.end()) continue;
        judge(out, fmt::format("{} / {} / {}", scenario.name, cell.name, figure.title),
              with_noise(a->second, cell.rounds), with_noise(b->second, now->rounds),
              figure.better == Figure::Better::kHigher, threshold);
      }
    }
  }
}

void compare_ratios(Comparison& out, const Results& before, const Results& after,
                    double threshold) {
  for (const auto& ratio : before.ratios) {
    for (const auto& now : after.ratios) {
      if (now.name != ratio.name || !ratio.value || !now.value) continue;
      judge(out, ratio.title, with_noise(*ratio.value, ratio.rounds),
            with_noise(*now.value, now.rounds), ratio.higher_is_better, threshold);
    }
  }
}

}  // namespace

bool Comparison::regressed() const {
  return std::any_of(differences.begin(), differences.end(),
                     [](const Difference& d) { return d.kind == Difference::Kind::kWorse; });
}

Comparison compare_results(const Results& before, const Results& after, double threshold) {
  Comparison out;
  for (const auto* name :
       {"rate", "senders", "profile", "series", "samples_per_request", "seed", "sync"}) {
    const auto a = fact(before.settings, name);
    const auto b = fact(after.settings, name);
    if (a != b) {
      out.impossible = fmt::format("the load is another one: {} {} and {}", name, a, b);
      return out;
    }
  }
  if (before.mode != after.mode) {
    out.notes.push_back(fmt::format("one is a {} run, the other a {} run: rounds differ in length",
                                    before.mode, after.mode));
  }
  if (before.machine == after.machine) {
    compare_cells(out, before, after, threshold);
  } else {
    std::string which;
    for (const auto& [name, value] : before.machine) {
      if (fact(after.machine, name) != value) which += (which.empty() ? "" : ", ") + name;
    }
    out.notes.push_back("another machine (" + which + "): only the ratios are compared");
  }
  compare_ratios(out, before, after, threshold);
  if (out.compared == 0) out.impossible = "the two have nothing in common that was measured";
  return out;
}

std::string to_text(const Comparison& comparison) {
  if (!comparison.impossible.empty()) return "cannot compare: " + comparison.impossible + "\n";
  std::string out;
  for (const auto& note : comparison.notes) out += "note: " + note + "\n";
  Table table{{"", "before", "after", "change", ""}, {}};
  int worse = 0;
  for (const auto& one : comparison.differences) {
    std::string_view word = "better";
    if (one.kind == Difference::Kind::kWorse) {
      word = "REGRESSION";
      worse++;
    } else if (one.kind == Difference::Kind::kWithinSpread) {
      word = "worse, within the spread of the rounds";
    }
    table.rows.push_back({one.where, format_number(one.before, 2), format_number(one.after, 2),
                          fmt::format("{:+.1f} %", one.change * 100), std::string(word)});
  }
  if (!table.rows.empty()) out += to_text(table);
  out += fmt::format("{} compared, {} regression{}\n", comparison.compared, worse,
                     worse == 1 ? "" : "s");
  return out;
}

double parse_threshold(const std::string& text) {
  size_t used = 0;
  double value = -1;
  try {
    value = std::stod(text, &used);
  } catch (const std::logic_error&) {
    used = 0;
  }
  const std::string rest = text.substr(used);
  if (used == 0 || !(value >= 0) || (!rest.empty() && rest != "%")) {
    throw std::runtime_error(fmt::format("\"{}\" is not a threshold such as 10% or 0.1", text));
  }
  return rest.empty() ? value : value / 100;
}

}  // namespace tollgate::bench
