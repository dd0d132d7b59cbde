#include "verdict.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <thread>
#include <unordered_map>

#include "CLI/CLI.hpp"
#include "commands.h"
#include "http.h"
#include "labels.h"

namespace tollgate::bench {
namespace {

constexpr size_t kExamples = 10;

// Which points of an arithmetic progression a sink has.
class Presence {
 public:
  Presence(const ExpectedSeries& expected, const SeriesState& state)
      : expected_(expected), state_(state) {}

  bool has(uint64_t k) const {
    const int64_t t = expected_.t0 + static_cast<int64_t>(k) * expected_.step;
    if (state_.received == 0 || t < state_.first || t > state_.last) return false;
    if (state_.step == 0) return t == state_.first;
    if ((t - state_.first) % state_.step != 0) return false;
    const auto after = std::upper_bound(state_.gaps.begin(), state_.gaps.end(), t,
                                        [](int64_t at, const Gap& g) { return at < g.first; });
    return after == state_.gaps.begin() || t > std::prev(after)->last;
  }
  uint64_t count() const {
    if (expected_.count == 0) return 0;
    if (state_.gaps.empty() && state_.step > 0 && expected_.step % state_.step == 0 && has(0) &&
        has(expected_.count - 1)) {
      return expected_.count;
    }
    uint64_t n = 0;
    for (uint64_t k = 0; k < expected_.count; k++) n += has(k);
    return n;
  }

 private:
  const ExpectedSeries& expected_;
  const SeriesState& state_;
};

struct Sent {
  const ExpectedSeries* series;
  const std::vector<ExceptionalPass>* exceptions;
};

// The exceptional passes that fall into the life of a series.
std::vector<uint64_t> exceptional_samples(const Sent& sent) {
  std::vector<uint64_t> out;
  for (const ExceptionalPass& p : *sent.exceptions) {
    if (p.pass >= sent.series->first_pass &&
        p.pass - sent.series->first_pass < sent.series->count) {
      out.push_back(p.pass - sent.series->first_pass);
    }
  }
  return out;
}

}  // namespace

bool SinkVerdict::ok(bool allow_duplicates) const {
  return lost == 0 && reordered == 0 && wrong_labels == 0 && wrong_values == 0 && unexpected == 0 &&
         mixed == 0 && malformed == 0 && lost_exemplars == 0 &&
         (allow_duplicates || duplicates == 0);
}

SinkVerdict judge(const std::vector<Expectation>& expectations, const SinkState& sink,
                  const std::string& address, const NameOf& name_of) {
  SinkVerdict out;
  out.address = address;
  out.duplicates = sink.counts.duplicates;
  out.reordered = sink.counts.reordered;
  out.wrong_labels = sink.counts.wrong_labels;
  out.unsorted = sink.counts.unsorted;
  out.mixed = sink.counts.mixed;
  out.malformed = sink.counts.malformed;
  out.examples = sink.examples;
  // Sentences are made only while there is room for them.
  const auto example = [&](auto make) {
    if (out.examples.size() < kExamples) out.examples.push_back(make());
  };

  std::unordered_map<uint64_t, std::vector<Sent>> sent;
  size_t series = 0;
  for (const Expectation& e : expectations) series += e.series.size();
  sent.reserve(series);
  uint64_t exemplars = 0;
  LabelViews labels;
  for (const Expectation& e : expectations) {
    exemplars += e.exemplars;
    for (const ExpectedSeries& s : e.series) {
      read_labels(s.labels, labels);
      sent[identity(labels, sink.required_names)].push_back({&s, &e.exceptions[s.body]});
    }
  }
  if (exemplars > sink.counts.exemplars) out.lost_exemplars = exemplars - sink.counts.exemplars;

  // What one series should be, against what it is; `state` is empty if it never arrived.
  const auto compare = [&](const std::vector<Sent>& parts, const SeriesState& state) {
    uint64_t offered = 0;
    uint64_t present = 0;
    uint64_t lost = 0;
    uint64_t value_sum = 0;
    bool exact = true;
    std::string first_lost;
    for (const Sent& part : parts) {
      const Presence presence(*part.series, state);
      const auto exceptions = exceptional_samples(part);
      const uint64_t here = presence.count();
      uint64_t here_exceptionally = 0;
      for (const uint64_t k : exceptions) here_exceptionally += presence.has(k);
      const uint64_t acknowledged = part.series->count - exceptions.size();
      const uint64_t missing = acknowledged - (here - here_exceptionally);
      if (missing > 0 && first_lost.empty()) {
        for (uint64_t k = 0; k < part.series->count; k++) {
          if (presence.has(k) || std::binary_search(exceptions.begin(), exceptions.end(), k)) {
            continue;
          }
          first_lost =
              std::to_string(k) + " (timestamp " +
              std::to_string(part.series->t0 + static_cast<int64_t>(k) * part.series->step) + ")";
          break;
        }
      }
      lost += missing;
      present += here;
      offered += part.series->count;
      value_sum += part.series->value_sum;
      exact = exact && exceptions.empty();
    }
    // A sink that could not keep the points of a series apart never claims more than it counted.
    if (present > state.received) lost += present - state.received;
    if (present < state.received) {
      out.unexpected += state.received - present;
      example([&] {
        return "series " + render_fields(parts[0].series->labels) + " has " +
               std::to_string(state.received - present) + " samples that were never offered";
      });
    }
    if (lost > 0) {
      out.lost += lost;
      example([&] {
        return "series " + render_fields(parts[0].series->labels) + " lost " +
               std::to_string(lost) + " of " + std::to_string(offered) +
               " samples, the first is number " + (first_lost.empty() ? "?" : first_lost);
      });
    } else if (exact && state.received == offered && state.value_sum != value_sum) {
      out.wrong_values++;
      example([&] {
        return "series " + render_fields(parts[0].series->labels) +
               " has other values than were sent";
      });
    }
    const std::string& tenant = parts[0].series->tenant;
    if (sink.checks_tenants && !tenant.empty() && state.received > 0 &&
        sink.tenants[state.tenant] != tenant) {
      out.wrong_labels += state.received;
      example([&] {
        return "series " + render_fields(parts[0].series->labels) + " of tenant \"" + tenant +
               "\" arrived for tenant \"" + sink.tenants[state.tenant] + "\"";
      });
    }
  };

  for (const SeriesState& state : sink.series) {
    out.received += state.received;
    const auto found = sent.find(state.identity);
    if (found == sent.end()) {
      out.unexpected += state.received;
      example([&] { return "series " + name_of(state.identity) + " was never offered"; });
      continue;
    }
    compare(found->second, state);
    sent.erase(found);
  }
  const SeriesState nothing;
  for (const auto& [who, parts] : sent) compare(parts, nothing);
  return out;
}

Verdict judge_all(const std::vector<Expectation>& expectations, std::vector<SinkVerdict> sinks,
                  bool allow_duplicates) {
  Verdict out;
  out.ok = !sinks.empty();
  for (const Expectation& e : expectations) out.acknowledged += e.acknowledged;
  for (const SinkVerdict& s : sinks) out.ok = out.ok && s.ok(allow_duplicates);
  out.sinks = std::move(sinks);
  return out;
}

std::string Verdict::json() const {
  boost::json::array list;
  for (const SinkVerdict& s : sinks) {
    boost::json::array examples;
    for (const std::string& sentence : s.examples) examples.emplace_back(sentence);
    list.push_back(boost::json::object{{"address", s.address},
                                       {"received", s.received},
                                       {"lost", s.lost},
                                       {"duplicates", s.duplicates},
                                       {"reordered", s.reordered},
                                       {"wrong_labels", s.wrong_labels},
                                       {"wrong_values", s.wrong_values},
                                       {"unexpected", s.unexpected},
                                       {"unsorted", s.unsorted},
                                       {"mixed", s.mixed},
                                       {"malformed", s.malformed},
                                       {"lost_exemplars", s.lost_exemplars},
                                       {"examples", std::move(examples)}});
  }
  return boost::json::serialize(
      boost::json::object{{"ok", ok}, {"acknowledged", acknowledged}, {"sinks", std::move(list)}});
}

namespace {

struct VerdictOptions {
  std::vector<std::string> expect;
  std::vector<std::string> sinks;
  bool allow_duplicates = false;
  std::string wait = "0s";
  std::string ca;
};

// Waits until a sink has as many samples as were acknowledged, as long as some keep coming.
void wait_for(const std::string& sink, uint64_t acknowledged, std::chrono::milliseconds patience,
              const std::string& ca) {
  using Clock = std::chrono::steady_clock;
  uint64_t before = 0;
  auto last_progress = Clock::now();
  while (Clock::now() - last_progress < patience) {
    const Reply reply = call(sink + "/stats", "GET", "", "", std::chrono::seconds(30), ca);
    const auto stats = boost::json::parse(reply.body);
    const auto samples = stats.at("samples").to_number<uint64_t>();
    const auto distinct = samples - stats.at("duplicates").to_number<uint64_t>();
    if (distinct >= acknowledged) return;
    if (samples != before) {
      before = samples;
      last_progress = Clock::now();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

int verdict(const VerdictOptions& options) {
  std::vector<Expectation> expectations;
  uint64_t acknowledged = 0;
  for (const std::string& path : options.expect) {
    expectations.push_back(Expectation::load(path));
    acknowledged += expectations.back().acknowledged;
  }
  const auto patience = parse_duration(options.wait);
  std::vector<SinkVerdict> sinks;
  for (const std::string& sink : options.sinks) {
    wait_for(sink, acknowledged, patience, options.ca);
    const Reply reply = call(sink + "/state", "GET", "", "", std::chrono::seconds(120), options.ca);
    const auto name_of = [&](uint64_t who) {
      return call(sink + "/name?" + std::to_string(who), "GET", "", "", std::chrono::seconds(30),
                  options.ca)
          .body;
    };
    // One after the other: a state may be large.
    sinks.push_back(judge(expectations, SinkState::decode(reply.body), sink, name_of));
  }
  const Verdict result = judge_all(expectations, std::move(sinks), options.allow_duplicates);
  std::printf("%s\n", result.json().c_str());
  return result.ok ? 0 : 1;
}

}  // namespace

void add_verdict_command(CLI::App& app, std::function<int()>& run) {
  auto* command = app.add_subcommand(
      "verdict", "Compares what loads were acknowledged with what sinks have; prints JSON.");
  auto options = std::make_shared<VerdictOptions>();
  command->add_option("--expect", options->expect, "File written by load --expect (repeatable).")
      ->required();
  command->add_option("--sink", options->sinks, "host:port of a sink (repeatable).")->required();
  command->add_flag("--allow-duplicates", options->allow_duplicates,
                    "Duplicates are no failure: a crash or a lost answer was injected.");
  command->add_option("--wait", options->wait,
                      "Waits for samples that are still on their way, until none has come for so "
                      "long.");
  command->add_option("--ca", options->ca, "CA file for https:// sinks.");
  command->callback([options, &run] { run = [options] { return verdict(*options); }; });
}

}  // namespace tollgate::bench
