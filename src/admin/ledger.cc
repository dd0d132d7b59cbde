#include "admin/ledger.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "admin/admin.h"

namespace tollgate::admin {
namespace {

int64_t earliest(int64_t a, int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

double seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

// What one scrape shows.
struct Snapshot {
  Ledger ledger;
  std::map<std::pair<std::string, std::string>, Balance> balances;  // (destination, tenant)
  std::map<std::string, Balance> destinations;  // also those without any samples
  journal::Stats stats;
};

Snapshot take_snapshot(const AdminHooks& hooks) {
  Snapshot out;
  out.ledger = take_ledger(hooks);
  out.balances = out.ledger.by_destination_and_tenant();
  out.destinations = out.ledger.by_destination();
  for (const auto& destination : hooks.destinations()) out.destinations[destination.name];
  out.stats = hooks.stats();
  return out;
}

}  // namespace

uint64_t Balance::dropped_total() const {
  return std::accumulate(dropped.begin(), dropped.end(), uint64_t{0});
}

Balance& Balance::operator+=(const Balance& other) {
  accepted += other.accepted;
  delivered += other.delivered;
  for (size_t i = 0; i < dropped.size(); i++) dropped[i] += other.dropped[i];
  pending += other.pending;
  pending_bytes += other.pending_bytes;
  oldest_pending_ms = earliest(oldest_pending_ms, other.oldest_pending_ms);
  return *this;
}

std::map<std::pair<std::string, std::string>, Balance> Ledger::by_destination_and_tenant() const {
  std::map<std::pair<std::string, std::string>, Balance> out;
  for (const auto& [key, balance] : rows) out[{std::get<0>(key), std::get<1>(key)}] += balance;
  return out;
}

std::map<std::string, Balance> Ledger::by_destination() const {
  std::map<std::string, Balance> out;
  for (const auto& [key, balance] : rows) out[std::get<0>(key)] += balance;
  return out;
}

Ledger take_ledger(const AdminHooks& hooks) {
  // The order matters while others write. Streams before rows: every stream with samples then has
  // its rows if there is any destination, and the rows, which are consistent among themselves,
  // decide. Removed before rows: a destination that goes away in between is missing once instead
  // of being counted twice.
  const std::vector<journal::StreamTotals> streams = hooks.streams();
  const std::vector<journal::Removed> removed =
      hooks.removed ? hooks.removed() : std::vector<journal::Removed>{};
  const std::vector<journal::LedgerRow> rows = hooks.ledger();

  Ledger out;
  std::map<journal::StreamId, const journal::LedgerRow*> row_of;
  for (const journal::LedgerRow& row : rows) {
    row_of[row.stream] = &row;
    Balance balance;
    balance.accepted = row.accepted;
    balance.delivered = row.cursor.delivered;
    balance.dropped = row.cursor.dropped;
    balance.pending = row.pending_samples;
    balance.pending_bytes = row.pending_bytes;
    balance.oldest_pending_ms = row.oldest_pending_ms;
    out.rows[{row.destination, row.key.tenant, row.key.source}] += balance;
  }
  for (const journal::Removed& r : removed) {
    Balance balance;
    balance.accepted = r.samples;
    balance.dropped[static_cast<size_t>(model::DropReason::kDestinationRemoved)] = r.samples;
    out.rows[{r.destination, r.tenant, ""}] += balance;
  }
  for (const auto& [stream, row] : row_of) {
    out.accepted[{row->key.source, row->key.tenant}] += row->accepted + row->cursor.baseline;
  }
  for (const journal::StreamTotals& stream : streams) {
    if (row_of.count(stream.stream) != 0) continue;
    out.accepted[{stream.key.source, stream.key.tenant}] += stream.accepted;
  }
  return out;
}

void register_ledger_metrics(metrics::Registry& registry, const AdminHooks& hooks) {
  using metrics::Type;
  using metrics::Value;
  // Written by on_scrape, read by the collectors of the same scrape: the registry takes one
  // scrape at a time.
  auto now = std::make_shared<Snapshot>();
  registry.on_scrape([now, hooks] { *now = take_snapshot(hooks); });

  registry.collect("tollgate_accepted_samples_total",
                   "Samples acknowledged as durable, since the journal's directory was created.",
                   Type::kCounter, [now](std::vector<Value>& out) {
                     for (const auto& [key, accepted] : now->ledger.accepted) {
                       out.push_back({{{"source", key.first}, {"tenant", key.second}},
                                      static_cast<double>(accepted)});
                     }
                   });

  // By destination and tenant.
  const auto balance = [&](const char* name, const char* help, Type type,
                           uint64_t Balance::* field) {
    registry.collect(name, help, type, [now, field](std::vector<Value>& out) {
      for (const auto& [key, b] : now->balances) {
        out.push_back(
            {{{"destination", key.first}, {"tenant", key.second}}, static_cast<double>(b.*field)});
      }
    });
  };
  balance("tollgate_destination_accepted_samples_total",
          "Samples accepted for the destination since it was declared: always delivered + dropped "
          "+ pending.",
          Type::kCounter, &Balance::accepted);
  balance("tollgate_delivered_samples_total", "Samples that the destination has taken.",
          Type::kCounter, &Balance::delivered);
  balance("tollgate_pending_samples", "Samples in the journal that the destination still gets.",
          Type::kGauge, &Balance::pending);
  registry.collect(
      "tollgate_dropped_samples_total",
      "Accepted samples that the destination will not get, by reason.", Type::kCounter,
      [now](std::vector<Value>& out) {
        for (const auto& [key, b] : now->balances) {
          for (size_t i = 0; i < b.dropped.size(); i++) {
            const std::string reason(model::name(static_cast<model::DropReason>(i)));
            out.push_back({{{"destination", key.first}, {"tenant", key.second}, {"reason", reason}},
                           static_cast<double>(b.dropped[i])});
          }
        }
      });

  // By destination.
  registry.collect(
      "tollgate_pending_bytes", "Compressed bytes in the journal that the destination still gets.",
      Type::kGauge, [now](std::vector<Value>& out) {
        for (const auto& [name, b] : now->destinations) {
          out.push_back({{{"destination", name}}, static_cast<double>(b.pending_bytes)});
        }
      });
  registry.collect("tollgate_destination_oldest_pending_timestamp_seconds",
                   "When the oldest pending samples were accepted; 0 = nothing is pending.",
                   Type::kGauge, [now](std::vector<Value>& out) {
                     for (const auto& [name, b] : now->destinations) {
                       out.push_back({{{"destination", name}}, seconds(b.oldest_pending_ms)});
                     }
                   });

  const auto stat = [&](const char* name, const char* help, Type type,
                        double (*read)(const journal::Stats&)) {
    registry.collect(name, help, type, [now, read](std::vector<Value>& out) {
      out.push_back({{}, read(now->stats)});
    });
  };
  stat("tollgate_journal_appended_bytes_total", "Bytes written to the journal since start.",
       Type::kCounter,
       [](const journal::Stats& s) { return static_cast<double>(s.appended_bytes); });
  stat("tollgate_journal_size_bytes", "Size of the journal's segments.", Type::kGauge,
       [](const journal::Stats& s) { return static_cast<double>(s.size_bytes); });
  stat("tollgate_journal_segments", "Number of the journal's segments.", Type::kGauge,
       [](const journal::Stats& s) { return static_cast<double>(s.segments); });
  stat("tollgate_journal_oldest_timestamp_seconds",
       "When the oldest block that is kept was written; 0 = the journal is empty.", Type::kGauge,
       [](const journal::Stats& s) { return seconds(s.oldest_ms); });
  stat("tollgate_journal_corrupt_records_total", "Damaged records found and skipped since start.",
       Type::kCounter,
       [](const journal::Stats& s) { return static_cast<double>(s.corrupt_records); });
  stat("tollgate_journal_checkpoint_failures_total",
       "Times the destinations' cursors could not be written since start.", Type::kCounter,
       [](const journal::Stats& s) { return static_cast<double>(s.checkpoint_failures); });
  stat("tollgate_journal_healthy", "0 while the journal refuses writes after a disk error.",
       Type::kGauge, [](const journal::Stats& s) { return s.healthy ? 1.0 : 0.0; });
}

}  // namespace tollgate::admin
