#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sockets.h"

namespace tollgate::e2e {

// One scrape of /metrics.
class Scrape {
 public:
  using LabelMap = std::map<std::string, std::string>;
  struct Point {
    std::string name;
    LabelMap labels;
    double value = 0;
  };
  static Scrape parse(const std::string& text);

  bool empty() const { return points_.empty(); }
  // The sum over the points of that name that have all of `labels`.
  double sum(const std::string& name, const LabelMap& labels = {}) const;
  bool has(const std::string& name, const LabelMap& labels = {}) const;
  const std::vector<Point>& points() const { return points_; }
  // What does not look like the exposition format.
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  std::vector<Point> points_;
  std::vector<std::string> problems_;
};

Scrape scrape(uint16_t admin_port);

// accepted = delivered + dropped + pending, of one destination and tenant.
struct LedgerEntry {
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  uint64_t dropped = 0;
  uint64_t pending = 0;
  bool closes() const { return accepted == delivered + dropped + pending; }
  bool operator==(const LedgerEntry&) const = default;
};
std::string render(const LedgerEntry& entry);
// By (destination, tenant).
using Ledger = std::map<std::pair<std::string, std::string>, LedgerEntry>;

// From the metrics; a destination's row exists if delivered, dropped or pending does.
Ledger ledger_of(const Scrape& scrape);
// From /api/v1/status/ledger, summed over sources and streams. Fails the test if the answer is not
// the JSON it should be.
Ledger ledger_from_api(uint16_t admin_port);

}  // namespace tollgate::e2e
