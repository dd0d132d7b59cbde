#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "journal/journal.h"
#include "metrics/registry.h"
#include "model/reasons.h"

namespace tollgate::admin {

struct AdminHooks;

// What became of accepted samples, and of how many nothing became yet.
struct Balance {
  uint64_t accepted = 0;
  uint64_t delivered = 0;
  std::array<uint64_t, model::kDropReasons> dropped{};
  uint64_t pending = 0;
  uint64_t pending_bytes = 0;
  int64_t oldest_pending_ms = 0;  // when the journal took it; 0 = nothing pending

  uint64_t dropped_total() const;
  bool closes() const { return accepted == delivered + dropped_total() + pending; }
  Balance& operator+=(const Balance& other);
};

// The journal's books at one moment, summed over shards and generations.
struct Ledger {
  // By (destination, tenant, source). The source is empty for samples that were given up when
  // their destination was taken out of the configuration.
  std::map<std::tuple<std::string, std::string, std::string>, Balance> rows;
  // Accepted samples by (source, tenant), each counted once however many destinations there are.
  std::map<std::pair<std::string, std::string>, uint64_t> accepted;

  std::map<std::pair<std::string, std::string>, Balance> by_destination_and_tenant() const;
  std::map<std::string, Balance> by_destination() const;
};

Ledger take_ledger(const AdminHooks& hooks);

// Declares the metrics that come from the journal (design §9): accepted, delivered, dropped and
// pending samples, and the journal's own. All values of one scrape come from one take_ledger, so
// that accepted = delivered + dropped + pending holds exactly within each scrape. The registry
// keeps copies of `hooks`; it must not be scraped after what they refer to is gone.
void register_ledger_metrics(metrics::Registry& registry, const AdminHooks& hooks);

}  // namespace tollgate::admin
