// Results for people: tables for a terminal, a section of Markdown, and a self-contained HTML page.
#pragma once

#include <string>
#include <vector>

#include "results.h"
#include "table.h"

namespace tollgate::bench {

/// What is to be reached and what was: one row a ratio.
Table ratios_table(const Results& results);

/// Sentences: targets that were missed, and every figure of a scenario in which a peer under the
/// same load did better than Tollgate by more than 5 %.
std::vector<std::string> where_it_loses(const Results& results);

/// kBrief leaves out what a terminal has no room for: some percentiles, and most spreads.
enum class Detail { kBrief, kAll };

/// One row a cell, a column for each figure that any cell has: "median (low..high)". The second
/// column says how many rounds count, and how many do not.
Table scenario_table(const Scenario& scenario, Detail detail);

/// Everything, for a terminal.
std::string text_report(const Results& results);

/// The section "last full run" of docs/benchmarks.md. `plots` is the folder of the plots relative
/// to that page, without a slash at the end.
std::string markdown_report(const Results& results, const std::string& plots);

/// A page of its own with its plots inside; no scripts, nothing loaded.
std::string html_report(const Results& results);

}  // namespace tollgate::bench
