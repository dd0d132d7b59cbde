#include "results.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace tollgate::bench {
namespace {

namespace json = boost::json;

std::string as_text(const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(*text);
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return json::serialize(value);
}

const json::value* find(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

std::string text(const json::object& object, std::string_view key) {
  const auto* value = find(object, key);
  return value == nullptr ? std::string() : as_text(*value);
}

std::string needed_text(const json::object& object, std::string_view key) {
  if (find(object, key) == nullptr) throw std::runtime_error(fmt::format("no \"{}\"", key));
  return text(object, key);
}

std::optional<double> number(const json::object& object, std::string_view key) {
  const auto* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) throw std::runtime_error(fmt::format("\"{}\" is not a number", key));
  return value->to_number<double>();
}

const json::array& array(const json::object& object, std::string_view key) {
  static const json::array none;
  const auto* value = find(object, key);
  if (value == nullptr) return none;
  if (!value->is_array()) throw std::runtime_error(fmt::format("\"{}\" is not a list", key));
  return value->get_array();
}

const json::object& as_object(const json::value& value, std::string_view what) {
  if (!value.is_object()) throw std::runtime_error(fmt::format("{} is not an object", what));
  return value.get_object();
}

std::vector<std::string> sentences(const json::object& object, std::string_view key) {
  std::vector<std::string> out;
  for (const auto& one : array(object, key)) out.push_back(as_text(one));
  return out;
}

std::vector<std::pair<std::string, std::string>> facts(const json::object& object,
                                                       std::string_view key) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto* value = find(object, key);
  if (value == nullptr) return out;
  for (const auto& [name, fact] : as_object(*value, key)) out.emplace_back(name, as_text(fact));
  return out;
}

std::optional<Spread> spread(const json::object& object) {
  const auto median = number(object, "median");
  if (!median) return std::nullopt;
  return Spread{*median, number(object, "low").value_or(*median),
                number(object, "high").value_or(*median)};
}

Timeline timeline(const json::object& object) {
  Timeline out;
  for (const auto& [name, values] : object) {
    for (const auto& value : array(object, name)) {
      if (name == "seconds") {
        out.seconds.push_back(value.to_number<double>());
      } else {
        out.columns[name].push_back(value.is_null() ? std::nullopt
                                                    : std::optional(value.to_number<double>()));
      }
    }
  }
  for (const auto& [name, values] : out.columns) {
    if (values.size() != out.seconds.size()) {
      throw std::runtime_error(
          fmt::format("timeline column \"{}\" is not as long as its "
                      "seconds",
                      name));
    }
  }
  return out;
}

Cell cell(const json::object& object) {
  Cell out;
  out.name = needed_text(object, "name");
  out.peer = needed_text(object, "peer");
  out.title = text(object, "title");
  out.destinations = static_cast<int>(number(object, "destinations").value_or(0));
  out.load = text(object, "load");
  out.rounds = static_cast<int>(array(object, "rounds").size());
  if (const auto* summary = find(object, "summary")) {
    for (const auto& [name, value] : as_object(*summary, "\"summary\"")) {
      const auto figure = spread(as_object(value, name));
      if (!figure) throw std::runtime_error(fmt::format("figure \"{}\" has no median", name));
      out.figures.emplace(name, *figure);
    }
  }
  for (const auto& one : array(object, "discarded")) {
    const auto& discarded = as_object(one, "a discarded round");
    out.discarded.push_back(
        fmt::format("round {}: {}", text(discarded, "round"), text(discarded, "why")));
  }
  if (const auto* line = find(object, "timeline")) {
    out.timeline = timeline(as_object(*line, "\"timeline\""));
  }
  return out;
}

Ratio ratio(const json::object& object) {
  Ratio out;
  out.name = needed_text(object, "name");
  out.title = needed_text(object, "title");
  out.unit = text(object, "unit");
  out.higher_is_better = text(object, "better") == "higher";
  out.must = number(object, "must").value_or(0);
  out.aim = number(object, "aim");
  out.value = spread(object);
  out.rounds = static_cast<int>(array(object, "rounds").size());
  out.reached = text(object, "reached");
  out.note = text(object, "note");
  return out;
}

Results results(const json::object& object) {
  const auto schema = number(object, "schema");
  if (!schema || *schema != kResultsSchema) {
    throw std::runtime_error(
        fmt::format("schema {} is not {}", text(object, "schema"), kResultsSchema));
  }
  Results out;
  out.started = text(object, "started");
  out.mode = text(object, "mode");
  out.seconds = number(object, "seconds").value_or(0);
  out.machine = facts(object, "machine");
  out.settings = facts(object, "settings");
  for (const auto& one : array(object, "peers")) {
    const auto& peer = as_object(one, "a peer");
    out.peers.push_back({needed_text(peer, "name"), text(peer, "title"), text(peer, "version"),
                         text(peer, "command"), text(peer, "configuration")});
  }
  for (const auto& one : array(object, "capacity")) {
    const auto& capacity = as_object(one, "a capacity");
    out.capacity.emplace_back(static_cast<int>(number(capacity, "sinks").value_or(0)),
                              number(capacity, "samples_per_second").value_or(0));
  }
  for (const auto& one : array(object, "scenarios")) {
    const auto& scenario = as_object(one, "a scenario");
    Scenario next{needed_text(scenario, "name"), text(scenario, "title"), {}};
    for (const auto& each : array(scenario, "cells")) {
      next.cells.push_back(cell(as_object(each, "a cell")));
    }
    out.scenarios.push_back(std::move(next));
  }
  for (const auto& one : array(object, "ratios")) {
    out.ratios.push_back(ratio(as_object(one, "a ratio")));
  }
  out.skipped = sentences(object, "skipped");
  out.failed = sentences(object, "failed");
  return out;
}

}  // namespace

Results parse_results(std::string_view text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  if (error) throw std::runtime_error("not JSON: " + error.message());
  try {
    return results(as_object(value, "the whole"));
  } catch (const std::runtime_error& e) {  // boost::system::system_error is one, too
    throw std::runtime_error(fmt::format("not results of bench/run.py: {}", e.what()));
  }
}

Results read_results(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(fmt::format("{}: cannot be read", path.string()));
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  try {
    return parse_results(text);
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(fmt::format("{}: {}", path.string(), e.what()));
  }
}

const std::vector<Figure>& known_figures() {
  using enum Figure::Better;
  static const std::vector<Figure> figures = {
      {"offered_per_second", "offered/s", 0, kNeither},
      {"samples_per_second", "samples/s", 0, kHigher},
      {"cpu_ns_per_sample", "CPU ns/sample", 0, kLower},
      {"peak_rss_mib", "peak RSS MiB", 1, kLower},
      {"p50_ms", "p50 ms", 2, kLower},
      {"p90_ms", "p90 ms", 2, kLower, false},
      {"p99_ms", "p99 ms", 2, kLower},
      {"p999_ms", "p99.9 ms", 2, kNeither, false},
      {"fdatasync_p99_ms", "fdatasync p99 ms", 2, kNeither},
      {"bytes_in_per_sample", "B in/sample", 1, kNeither, false},
      {"bytes_out_per_sample", "B out/sample", 1, kLower},
      {"catch_up_seconds", "catch-up s", 2, kNeither},
      {"behind_seconds", "load behind s", 2, kNeither},
      {"fast_lag_seconds", "fast one's lag s", 2, kLower},
      {"backlog_samples", "backlog", 0, kNeither},
      {"resumed_seconds", "resumed after s", 2, kNeither},
      {"drain_multiple", "drain x live", 1, kHigher},
      {"pending_gib", "pending GiB", 2, kNeither},
      {"ready_seconds", "ready after s", 2, kLower},
      {"duplicates", "duplicates", 0, kNeither},
      {"reordered", "reordered", 0, kNeither},
  };
  return figures;
}

}  // namespace tollgate::bench
