#include "page.h"

#include <fmt/format.h>

#include <algorithm>

#include "plots.h"

namespace tollgate::bench {
namespace {

std::string spread_text(const Spread& spread, int decimals, bool bounds) {
  std::string out = format_number(spread.median, decimals);
  if (bounds && spread.high > spread.low) {
    out += fmt::format(" ({}..{})", format_number(spread.low, decimals),
                       format_number(spread.high, decimals));
  }
  return out;
}

int decimals_of(const Ratio& ratio) { return ratio.unit == "%" ? 1 : 2; }

std::string bound_text(const Ratio& ratio, double bound) {
  return fmt::format("{} {:g} {}", ratio.higher_is_better ? ">=" : "<=", bound, ratio.unit);
}

std::string facts_text(const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string out;
  for (const auto& [name, value] : facts) {
    if (!out.empty()) out += ", ";
    out += name + " " + value;
  }
  return out;
}

Table facts_table(const Results& results) {
  Table out{{"", ""}, {}};
  out.rows.push_back({"started", results.started});
  out.rows.push_back({"mode", results.mode});
  out.rows.push_back({"took", format_number(results.seconds, 0) + " s"});
  for (const auto& [name, value] : results.machine) out.rows.push_back({name, value});
  for (const auto& [name, value] : results.settings) out.rows.push_back({name, value});
  for (const auto& [sinks, rate] : results.capacity) {
    out.rows.push_back(
        {fmt::format("load and {} sink(s) alone", sinks), format_number(rate, 0) + " samples/s"});
  }
  return out;
}

// What did not count, and what was not run.
std::vector<std::string> remarks(const Results& results) {
  std::vector<std::string> out;
  for (const auto& one : results.failed) out.push_back("FAILED: " + one);
  for (const auto& one : results.skipped) out.push_back("Skipped: " + one);
  for (const auto& ratio : results.ratios) {
    if (!ratio.note.empty()) out.push_back(ratio.title + ": " + ratio.note);
  }
  return out;
}

// "tollgate-3" and "vmagent-3" are cells under the same load.
std::string load_of(const Cell& cell) {
  return cell.name.starts_with(cell.peer) ? cell.name.substr(cell.peer.size()) : cell.name;
}

void add_losses(std::vector<std::string>& out, const Scenario& scenario, const Cell& own,
                const Cell& peer) {
  constexpr double kMargin = 0.05;
  for (const auto& figure : known_figures()) {
    if (figure.better == Figure::Better::kNeither || !figure.brief) continue;
    const auto a = own.figures.find(figure.name);
    const auto b = peer.figures.find(figure.name);
    if (a == own.figures.end() || b == peer.figures.end()) continue;
    const double ours = a->second.median;
    const double theirs = b->second.median;
    const bool lost = figure.better == Figure::Better::kLower ? theirs < ours * (1 - kMargin)
                                                              : theirs > ours * (1 + kMargin);
    if (!lost) continue;
    out.push_back(fmt::format("{}: {}: {} {}, {} {}", scenario.name, figure.title, own.title,
                              format_number(ours, figure.decimals), peer.title,
                              format_number(theirs, figure.decimals)));
  }
}

std::string html_list(const std::vector<std::string>& items) {
  if (items.empty()) return {};
  std::string out = "<ul>\n";
  for (const auto& item : items) out += "<li>" + escape_html(item) + "</li>\n";
  return out + "</ul>\n";
}

constexpr std::string_view kPageStyle = R"(<style>
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;
background:#fff;color:#222}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:13px;margin:.6em 0}
th,td{padding:.25em .7em;border-bottom:1px solid #ccc;text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;background:#f4f4f4;padding:.7em}
svg{max-width:100%;height:auto}figure{margin:1em 0}figcaption{font-size:13px}
@media (prefers-color-scheme:dark){body{background:#181a1b;color:#ddd}th,td{border-color:#444}
pre{background:#242628}}
</style>
)";

std::string html_table(const Table& table) {
  return "<div class=\"scroll\">" + to_html(table) + "</div>\n";
}

}  // namespace

Table ratios_table(const Results& results) {
  Table out{{"to reach", "median", "spread", "rounds", "must", "aim", "reached"}, {}};
  for (const auto& ratio : results.ratios) {
    const int decimals = decimals_of(ratio);
    std::vector<std::string> row{ratio.title};
    if (ratio.value) {
      row.push_back(format_number(ratio.value->median, decimals) + " " + ratio.unit);
      row.push_back(format_number(ratio.value->low, decimals) + ".." +
                    format_number(ratio.value->high, decimals));
      row.push_back(std::to_string(ratio.rounds));
    } else {
      row.insert(row.end(), {"-", "-", "-"});
    }
    row.push_back(bound_text(ratio, ratio.must));
    row.push_back(ratio.aim ? bound_text(ratio, *ratio.aim) : "-");
    row.push_back(ratio.reached);
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::vector<std::string> where_it_loses(const Results& results) {
  std::vector<std::string> out;
  for (const auto& ratio : results.ratios) {
    if (ratio.reached != "missed" || !ratio.value) continue;
    out.push_back(fmt::format("target missed: {}: {} {} instead of {}", ratio.title,
                              format_number(ratio.value->median, decimals_of(ratio)), ratio.unit,
                              bound_text(ratio, ratio.must)));
  }
  for (const auto& scenario : results.scenarios) {
    for (const auto& own : scenario.cells) {
      if (own.peer != "tollgate") continue;
      for (const auto& peer : scenario.cells) {
        if (peer.peer != own.peer && load_of(peer) == load_of(own)) {
          add_losses(out, scenario, own, peer);
        }
      }
    }
  }
  return out;
}

Table scenario_table(const Scenario& scenario, Detail detail) {
  std::vector<Figure> columns;
  for (const auto& figure : known_figures()) {
    if (detail == Detail::kBrief && !figure.brief) continue;
    if (std::any_of(scenario.cells.begin(), scenario.cells.end(),
                    [&](const Cell& cell) { return cell.figures.contains(figure.name); })) {
      columns.push_back(figure);
    }
  }
  Table out{{"", "rounds"}, {}};
  for (const auto& column : columns) out.header.emplace_back(column.title);
  for (const auto& cell : scenario.cells) {
    std::vector<std::string> row{cell.title.empty() ? cell.name : cell.title};
    row.push_back(fmt::format("{}", cell.rounds));
    if (!cell.discarded.empty()) row.back() += fmt::format(", {} failed", cell.discarded.size());
    for (const auto& column : columns) {
      const auto found = cell.figures.find(column.name);
      const bool bounds = detail == Detail::kAll || column.name == "cpu_ns_per_sample";
      row.push_back(
          found == cell.figures.end() ? "-" : spread_text(found->second, column.decimals, bounds));
    }
    out.rows.push_back(std::move(row));
  }
  return out;
}

std::string text_report(const Results& results) {
  std::string out = fmt::format("{} run of {}, {} s\n{}\n{}\n", results.mode, results.started,
                                format_number(results.seconds, 0), facts_text(results.machine),
                                facts_text(results.settings));
  for (const auto& [sinks, rate] : results.capacity) {
    out += fmt::format("load and {} sink(s) alone: {} samples/s\n", sinks, format_number(rate, 0));
  }
  for (const auto& peer : results.peers) {
    out += fmt::format("\n{} {}\n  {}\n", peer.title, peer.version, peer.command);
  }
  for (const auto& scenario : results.scenarios) {
    out += fmt::format("\n{}: {}\n", scenario.name, scenario.title);
    out += to_text(scenario_table(scenario, Detail::kBrief));
    for (const auto& cell : scenario.cells) {
      for (const auto& why : cell.discarded) {
        out += fmt::format("  {} does not count, {}\n", cell.name, why);
      }
    }
  }
  out += "\n" + to_text(ratios_table(results));
  for (const auto& remark : remarks(results)) out += remark + "\n";
  return out;
}

std::string markdown_report(const Results& results, const std::string& plots) {
  std::string out = to_markdown(facts_table(results)) + "\n### What is to be reached\n\n" +
                    to_markdown(ratios_table(results));
  const auto notes = remarks(results);
  if (!notes.empty()) out += "\n";
  for (const auto& remark : notes) out += "- " + remark + "\n";
  out += "\n### Where Tollgate loses\n\n";
  for (const auto& loss : where_it_loses(results)) out += "- " + loss + "\n";
  out += "\n### Plots\n";
  for (const auto& plot : plots_of(results)) {
    out += fmt::format("\n![{0}]({1}/{2}.svg)\n\n{0}\n", plot.caption, plots, plot.name);
  }
  for (const auto& scenario : results.scenarios) {
    out += fmt::format("\n### {}\n\n{}\n\n{}", scenario.name, scenario.title,
                       to_markdown(scenario_table(scenario, Detail::kAll)));
  }
  out += "\n### What was compared\n";
  for (const auto& peer : results.peers) {
    out += fmt::format("\n{} {}\n\n```\n{}\n```\n", peer.title, peer.version, peer.command);
    if (!peer.configuration.empty()) out += fmt::format("\n```\n{}```\n", peer.configuration);
  }
  return out;
}

std::string html_report(const Results& results) {
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n"
      "<title>Tollgate benchmarks</title>\n";
  out += kPageStyle;
  out += "</head>\n<body>\n<h1>Tollgate benchmarks</h1>\n";
  out += "<h2>What is to be reached</h2>\n" + html_table(ratios_table(results));
  out += html_list(remarks(results));
  out += "<h2>Where Tollgate loses</h2>\n" + html_list(where_it_loses(results));
  out += "<h2>Plots</h2>\n";
  for (const auto& plot : plots_of(results)) {
    out += "<figure>\n" + plot.svg + "<figcaption>" + escape_html(plot.caption) +
           "</figcaption>\n</figure>\n";
  }
  for (const auto& scenario : results.scenarios) {
    out += "<h2>" + escape_html(scenario.name) + "</h2>\n<p>" + escape_html(scenario.title) +
           "</p>\n" + html_table(scenario_table(scenario, Detail::kAll));
    for (const auto& cell : scenario.cells) {
      for (const auto& why : cell.discarded) {
        out += "<p>" + escape_html(cell.name + " does not count, " + why) + "</p>\n";
      }
    }
  }
  out += "<h2>Machine and settings</h2>\n" + html_table(facts_table(results));
  out += "<h2>What was compared</h2>\n";
  for (const auto& peer : results.peers) {
    out += "<h3>" + escape_html(peer.title + " " + peer.version) + "</h3>\n<pre>" +
           escape_html(peer.command + "\n\n" + peer.configuration) + "</pre>\n";
  }
  return out + "</body>\n</html>\n";
}

}  // namespace tollgate::bench
