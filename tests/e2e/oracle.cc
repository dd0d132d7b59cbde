#include "oracle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <unordered_set>

namespace tollgate::e2e {

std::vector<std::string> check_series(const std::string& name, const Received& received,
                                      uint64_t acknowledged, uint64_t attempted,
                                      const std::vector<Labels>& expected_labels,
                                      const std::string& tenant, const DeliveryRules& rules) {
  std::vector<std::string> problems;
  const auto problem = [&](const std::string& text) {
    if (problems.size() < 5) problems.push_back(name + ": " + text);
  };
  uint64_t highest = 0;
  std::unordered_set<uint64_t> seen;
  for (size_t i = 0; i < received.values.size(); ++i) {
    const uint64_t value = received.values[i];
    if (value == 0 || value > attempted)
      problem("value " + std::to_string(value) + " was never sent");
    if (!seen.insert(value).second) {
      if (!rules.repeats) problem("value " + std::to_string(value) + " arrived twice");
      continue;
    }
    if (value < highest) {
      problem("value " + std::to_string(value) + " arrived for the first time after " +
              std::to_string(highest));
    } else if (value != highest + 1 && !rules.gaps && !(i == 0 && !rules.from_start)) {
      problem("value " + std::to_string(value) + " arrived right after " + std::to_string(highest));
    }
    highest = std::max(highest, value);
  }
  if (rules.to_end && !rules.gaps && highest < acknowledged) {
    problem("acknowledged up to " + std::to_string(acknowledged) + ", arrived up to " +
            std::to_string(highest));
  }
  for (const Labels& labels : received.label_sets) {
    if (std::find(expected_labels.begin(), expected_labels.end(), labels) ==
        expected_labels.end()) {
      problem("arrived as " + render(labels) + ", expected " + render(expected_labels.back()));
    }
  }
  for (const std::string& seen_tenant : received.tenants) {
    if (seen_tenant != tenant) {
      problem("arrived for tenant '" + seen_tenant + "', expected '" + tenant + "'");
    }
  }
  return problems;
}

std::vector<std::string> check_delivery(const Sender& sender, const Sink& sink,
                                        const DeliveryRules& rules) {
  std::vector<std::string> problems;
  const auto received = sink.received();
  const auto names = sender.series();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = received.find(names[i]);
    const auto series_problems =
        check_series(names[i], found == received.end() ? Received{} : found->second,
                     sender.acknowledged(), sender.attempted(),
                     sender.expected_labels(static_cast<int>(i)), sender.options().tenant, rules);
    for (const auto& p : series_problems) problems.push_back("sink " + sink.name() + ", " + p);
  }
  return problems;
}

bool has_everything(const Sender& sender, const Sink& sink) {
  const uint64_t acknowledged = sender.acknowledged();
  const auto names = sender.series();
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return sink.highest(name) >= acknowledged; });
}

void wait_for_everything(const std::vector<const Sender*>& senders,
                         const std::vector<const Sink*>& sinks, milliseconds limit) {
  const Deadline deadline = in(limit);
  for (const Sink* sink : sinks) {
    for (const Sender* sender : senders) {
      EXPECT_TRUE(eventually(deadline, [&] { return has_everything(*sender, *sink); }))
          << "sink " << sink->name() << " has " << sink->highest(sender->series()[0]) << " of "
          << sender->acknowledged() << " values of " << sender->series()[0] << "; it answered "
          << sink->answered(200) + sink->answered(202) + sink->answered(204) << " requests well";
    }
  }
}

Ledger expect_ledger_closes(uint16_t admin_port, const std::vector<std::string>& destinations,
                            bool drops_allowed, milliseconds limit) {
  Ledger from_metrics;
  Ledger from_api;
  const auto at_rest = [&] {
    from_metrics = ledger_of(scrape(admin_port));
    from_api = ledger_from_api(admin_port);
    if (from_metrics.empty() || from_metrics != from_api) return false;
    return std::all_of(from_metrics.begin(), from_metrics.end(), [&](const auto& row) {
      return row.second.closes() &&
             (row.second.pending == 0 || std::find(destinations.begin(), destinations.end(),
                                                   row.first.first) == destinations.end());
    });
  };
  if (!eventually(in(limit), at_rest)) {
    std::string text;
    for (const auto& [key, entry] : from_metrics) {
      text += "metrics " + key.first + " " + key.second + ": " + render(entry) + "\n";
    }
    for (const auto& [key, entry] : from_api) {
      text += "api     " + key.first + " " + key.second + ": " + render(entry) + "\n";
    }
    ADD_FAILURE() << "the ledger does not close:\n" << text;
  }
  for (const std::string& destination : destinations) {
    EXPECT_TRUE(std::any_of(from_metrics.begin(), from_metrics.end(),
                            [&](const auto& row) { return row.first.first == destination; }))
        << "no ledger row for " << destination;
  }
  if (!drops_allowed) {
    for (const auto& [key, entry] : from_metrics) {
      EXPECT_EQ(entry.dropped, 0u) << key.first << " " << key.second << ": " << render(entry);
    }
  }
  return from_metrics;
}

void expect_delivered(const std::vector<const Sender*>& senders,
                      const std::vector<const Sink*>& sinks, const DeliveryRules& rules) {
  for (const Sender* sender : senders) {
    EXPECT_EQ(sender->failure(), "");
    EXPECT_GT(sender->acknowledged(), 0u) << sender->options().name << " never got through";
    for (const Sink* sink : sinks) {
      size_t shown = 0;
      for (const std::string& p : check_delivery(*sender, *sink, rules)) {
        if (shown++ < 10) ADD_FAILURE() << p;
      }
    }
  }
  for (const Sink* sink : sinks) {
    size_t shown = 0;
    for (const std::string& a : sink->anomalies()) {
      if (shown++ < 10) ADD_FAILURE() << "sink " << sink->name() << ": " << a;
    }
  }
}

}  // namespace tollgate::e2e
