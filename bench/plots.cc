#include "plots.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "svg.h"

namespace tollgate::bench {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

const Scenario* find_scenario(const Results& results, std::string_view name) {
  for (const auto& scenario : results.scenarios) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

std::string peer_title(const Results& results, const std::string& name) {
  for (const auto& peer : results.peers) {
    if (peer.name == name && !peer.title.empty()) return peer.title;
  }
  return name;
}

// The peers of a scenario in the order in which they first appear.
std::vector<std::string> peers_of(const Scenario& scenario) {
  std::vector<std::string> out;
  for (const auto& cell : scenario.cells) {
    if (std::find(out.begin(), out.end(), cell.peer) == out.end()) out.push_back(cell.peer);
  }
  return out;
}

// A group for each number of destinations, a bar for each peer. Empty without the figure.
std::string by_destinations(const Results& results, std::string_view scenario_name,
                            std::string_view figure, std::string title, std::string y_title) {
  const auto* scenario = find_scenario(results, scenario_name);
  if (scenario == nullptr) return {};
  std::set<int> destinations;
  for (const auto& cell : scenario->cells) {
    if (cell.figures.contains(figure)) destinations.insert(cell.destinations);
  }
  if (destinations.empty()) return {};
  BarPlot plot{std::move(title), std::move(y_title), {}, {}};
  for (const int n : destinations) {
    plot.groups.push_back(n == 1 ? "1 destination" : std::to_string(n) + " destinations");
  }
  for (const auto& peer : peers_of(*scenario)) {
    Bars bars{peer_title(results, peer), {}, {}, {}};
    for (const int n : destinations) {
      Spread spread{kNone, kNone, kNone};
      for (const auto& cell : scenario->cells) {
        const auto found = cell.figures.find(figure);
        if (cell.peer == peer && cell.destinations == n && found != cell.figures.end()) {
          spread = found->second;
        }
      }
      bars.values.push_back(spread.median);
      bars.low.push_back(spread.low);
      bars.high.push_back(spread.high);
    }
    plot.bars.push_back(std::move(bars));
  }
  return to_svg(plot);
}

std::string latency_by_load(const Results& results) {
  const auto* scenario = find_scenario(results, "latency");
  if (scenario == nullptr) return {};
  LinePlot plot{"Acknowledgement latency against load", "samples/s offered", "ms", {}, true};
  for (const auto& peer : peers_of(*scenario)) {
    for (const auto& [figure, name] :
         {std::pair{"p50_ms", "p50"}, {"p99_ms", "p99"}, {"p999_ms", "p99.9"}}) {
      std::vector<std::pair<double, double>> points;
      for (const auto& cell : scenario->cells) {
        const auto x = cell.figures.find("offered_per_second");
        const auto y = cell.figures.find(std::string_view(figure));
        if (cell.peer == peer && x != cell.figures.end() && y != cell.figures.end()) {
          points.emplace_back(x->second.median, y->second.median);
        }
      }
      std::sort(points.begin(), points.end());
      Line line{peer_title(results, peer) + " " + name, {}, {}, true};
      for (const auto& [x, y] : points) {
        line.x.push_back(x);
        line.y.push_back(y);
      }
      if (!points.empty()) plot.lines.push_back(std::move(line));
    }
  }
  return plot.lines.empty() ? std::string() : to_svg(plot);
}

// One column of the timelines of a scenario's cells, a line a cell: of those with the most
// destinations.
std::string over_time(const Scenario* scenario, std::string_view column, std::string title,
                      std::string y_title) {
  if (scenario == nullptr) return {};
  LinePlot plot{std::move(title), "seconds", std::move(y_title), {}, false};
  int most = 0;
  for (const auto& cell : scenario->cells) most = std::max(most, cell.destinations);
  for (const auto& cell : scenario->cells) {
    if (cell.destinations != most) continue;
    const auto found = cell.timeline.columns.find(column);
    if (found == cell.timeline.columns.end()) continue;
    Line line{cell.title.empty() ? cell.name : cell.title, cell.timeline.seconds, {}};
    for (const auto& value : found->second) line.y.push_back(value.value_or(kNone));
    plot.lines.push_back(std::move(line));
  }
  return plot.lines.empty() ? std::string() : to_svg(plot);
}

}  // namespace

std::vector<NamedPlot> plots_of(const Results& results) {
  std::vector<NamedPlot> out;
  auto add = [&out](std::string name, std::string caption, std::string svg) {
    if (!svg.empty()) out.push_back({std::move(name), std::move(caption), std::move(svg)});
  };
  add("throughput",
      "As fast as each is answered, all on the same cores as the load and the sinks. Whiskers: "
      "smallest and largest round.",
      by_destinations(results, "throughput", "samples_per_second",
                      "Throughput by number of destinations", "samples/s"));
  add("cpu",
      "The same bytes at the same pace; CPU by the process's own accounting until every sink has "
      "everything.",
      by_destinations(results, "destinations", "cpu_ns_per_sample",
                      "CPU per sample by number of destinations", "ns/sample"));
  add("rss", "Peak resident memory in the same rounds.",
      by_destinations(results, "destinations", "peak_rss_mib",
                      "Peak resident memory by number of destinations", "MiB"));
  add("latency", "From the intended time of a request to its answer.", latency_by_load(results));
  const auto* outage = find_scenario(results, "outage");
  add("backlog", "Samples that wait for the destination that went away and came back.",
      over_time(outage, "backlog_samples", "Backlog during an outage and its drain", "samples"));
  add("outage-rss", "Resident memory in the same run.",
      over_time(outage, "rss_mib", "Resident memory during the outage", "MiB"));
  add("soak-rss", "Resident memory over the longest run.",
      over_time(find_scenario(results, "soak"), "rss_mib", "Resident memory over time", "MiB"));
  add("load-rss", "Resident memory from the start of the load until the sinks had everything.",
      over_time(find_scenario(results, "destinations"), "rss_mib",
                "Resident memory in a round (the last one)", "MiB"));
  return out;
}

}  // namespace tollgate::bench
