#include "admin.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <sstream>

namespace tollgate::e2e {
namespace {

// The end of a double-quoted string that starts at `at`, its escapes resolved into `out`.
size_t read_quoted(const std::string& line, size_t at, std::string& out) {
  for (size_t i = at + 1; i < line.size(); ++i) {
    if (line[i] == '"') return i + 1;
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      out += line[i] == 'n' ? '\n' : line[i];
    } else {
      out += line[i];
    }
  }
  return std::string::npos;
}

bool parse_line(const std::string& line, Scrape::Point& point) {
  size_t at = line.find_first_of("{ ");
  if (at == std::string::npos || at == 0) return false;
  point.name = line.substr(0, at);
  if (line[at] == '{') {
    ++at;
    while (at < line.size() && line[at] != '}') {
      const size_t equals = line.find('=', at);
      if (equals == std::string::npos || equals + 1 >= line.size() || line[equals + 1] != '"') {
        return false;
      }
      std::string value;
      const std::string name = line.substr(at, equals - at);
      at = read_quoted(line, equals + 1, value);
      if (at == std::string::npos) return false;
      if (!point.labels.emplace(name, value).second) return false;
      if (at < line.size() && line[at] == ',') ++at;
    }
    ++at;
  }
  char* end = nullptr;
  if (at >= line.size() || line[at] != ' ') return false;
  point.value = std::strtod(line.c_str() + at + 1, &end);
  return end != line.c_str() + at + 1 && *end == '\0';
}

bool matches(const Scrape::Point& point, const std::string& name, const Scrape::LabelMap& labels) {
  if (point.name != name) return false;
  for (const auto& [key, value] : labels) {
    const auto found = point.labels.find(key);
    if (found == point.labels.end() || found->second != value) return false;
  }
  return true;
}

}  // namespace

Scrape Scrape::parse(const std::string& text) {
  Scrape out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    Point point;
    if (parse_line(line, point)) {
      out.points_.push_back(std::move(point));
    } else {
      out.problems_.push_back(line);
    }
  }
  return out;
}

double Scrape::sum(const std::string& name, const LabelMap& labels) const {
  double total = 0;
  for (const Point& point : points_) {
    if (matches(point, name, labels)) total += point.value;
  }
  return total;
}

bool Scrape::has(const std::string& name, const LabelMap& labels) const {
  for (const Point& point : points_) {
    if (matches(point, name, labels)) return true;
  }
  return false;
}

Scrape scrape(uint16_t admin_port) {
  const Answer answer = http(admin_port, "GET", "/metrics");
  return Scrape::parse(answer.status == 200 ? answer.body : "");
}

std::string render(const LedgerEntry& e) {
  return "accepted " + std::to_string(e.accepted) + ", delivered " + std::to_string(e.delivered) +
         ", dropped " + std::to_string(e.dropped) + ", pending " + std::to_string(e.pending);
}

Ledger ledger_of(const Scrape& scrape) {
  Ledger ledger;
  const auto collect = [&](const std::string& name, uint64_t LedgerEntry::* field) {
    for (const auto& point : scrape.points()) {
      if (point.name != name) continue;
      const auto key = std::pair(point.labels.at("destination"), point.labels.at("tenant"));
      ledger[key].*field += static_cast<uint64_t>(point.value);
    }
  };
  // Of the destination: since it was declared. The oracle's users compare with
  // tollgate_accepted_samples_total where it was there from the beginning.
  collect("tollgate_destination_accepted_samples_total", &LedgerEntry::accepted);
  collect("tollgate_delivered_samples_total", &LedgerEntry::delivered);
  collect("tollgate_dropped_samples_total", &LedgerEntry::dropped);
  collect("tollgate_pending_samples", &LedgerEntry::pending);
  return ledger;
}

Ledger ledger_from_api(uint16_t admin_port) {
  const Answer answer = http(admin_port, "GET", "/api/v1/status/ledger");
  Ledger ledger;
  try {
    const boost::json::value document = boost::json::parse(answer.body);
    EXPECT_EQ(document.at("status").as_string(), "success") << answer.body;
    for (const auto& row : document.at("data").at("rows").as_array()) {
      const auto number = [&](const char* name) { return row.at(name).to_number<uint64_t>(); };
      const std::pair key(std::string(row.at("destination").as_string()),
                          std::string(row.at("tenant").as_string()));
      LedgerEntry& entry = ledger[key];
      entry.accepted += number("accepted");
      entry.delivered += number("delivered");
      entry.pending += number("pending");
      for (const auto& reason : row.at("dropped").as_object()) {
        entry.dropped += reason.value().to_number<uint64_t>();
      }
    }
  } catch (const std::exception& e) {
    ADD_FAILURE() << "/api/v1/status/ledger: " << e.what() << ", status " << answer.status << ":\n"
                  << answer.body;
  }
  return ledger;
}

}  // namespace tollgate::e2e
