#include "admin/json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/utf8.h"
#include "metrics/build_info.h"

namespace tollgate::admin {
namespace {

namespace json = boost::json;

json::string text(std::string_view bytes) { return json::string(to_utf8(bytes)); }

json::value timestamp(int64_t ms) {
  if (ms == 0) return nullptr;
  return static_cast<double>(ms) / 1000;
}

json::value text_or_null(std::string_view bytes) {
  if (bytes.empty()) return nullptr;
  return text(bytes);
}

json::value status_or_null(int status) {
  if (status == 0) return nullptr;
  return status;
}

// Every reason is there, so that a reader needs no defaults.
json::object dropped_json(const Balance& balance) {
  json::object out;
  for (size_t i = 0; i < balance.dropped.size(); i++) {
    out[model::name(static_cast<model::DropReason>(i))] = balance.dropped[i];
  }
  return out;
}

void add_balance(json::object& out, const Balance& balance) {
  out["accepted"] = balance.accepted;
  out["delivered"] = balance.delivered;
  out["dropped"] = dropped_json(balance);
  out["pending"] = balance.pending;
  out["pending_bytes"] = balance.pending_bytes;
  out["oldest_pending_timestamp_seconds"] = timestamp(balance.oldest_pending_ms);
  out["closes"] = balance.closes();
}

}  // namespace

json::value ledger_json(const Ledger& ledger) {
  json::array destinations;
  Balance total;
  for (const auto& [key, balance] : ledger.by_destination_and_tenant()) {
    json::object row;
    row["destination"] = text(key.first);
    row["tenant"] = text(key.second);
    add_balance(row, balance);
    destinations.push_back(std::move(row));
    total += balance;
  }
  json::array rows;
  for (const auto& [key, balance] : ledger.rows) {
    json::object row;
    row["destination"] = text(std::get<0>(key));
    row["tenant"] = text(std::get<1>(key));
    row["source"] = text_or_null(std::get<2>(key));
    add_balance(row, balance);
    rows.push_back(std::move(row));
  }
  json::object totals;
  add_balance(totals, total);
  json::object out;
  out["destinations"] = std::move(destinations);
  out["rows"] = std::move(rows);
  out["totals"] = std::move(totals);
  return out;
}

json::value sources_json(const std::vector<SourceStatus>& sources, const Ledger& ledger) {
  json::array out;
  for (const SourceStatus& source : sources) {
    uint64_t accepted = 0;
    for (const auto& [key, samples] : ledger.accepted) {
      if (key.first == source.name) accepted += samples;
    }
    json::object rejected;
    for (const auto& [reason, samples] : source.rejected) rejected[text(reason)] = samples;
    json::object row;
    row["name"] = text(source.name);
    row["last_request_timestamp_seconds"] = timestamp(source.last_request_ms);
    row["last_status"] = status_or_null(source.last_status);
    row["last_peer"] = text_or_null(source.last_peer);
    row["last_problem"] = text_or_null(source.last_problem);
    row["accepted"] = accepted;
    row["received_since_start"] = source.received;
    row["rejected_since_start"] = std::move(rejected);
    out.push_back(std::move(row));
  }
  json::object data;
  data["sources"] = std::move(out);
  return data;
}

json::value tenants_json(const Ledger& ledger) {
  std::map<std::string, json::object> sources_of;
  std::map<std::string, uint64_t> accepted_of;
  for (const auto& [key, samples] : ledger.accepted) {
    sources_of[key.second][text(key.first)] = samples;
    accepted_of[key.second] += samples;
  }
  json::array out;
  for (auto& [tenant, sources] : sources_of) {
    json::object row;
    row["name"] = text(tenant);
    row["accepted"] = accepted_of[tenant];
    row["accepted_by_source"] = std::move(sources);
    out.push_back(std::move(row));
  }
  json::object data;
  data["tenants"] = std::move(out);
  return data;
}

json::value destinations_json(const std::vector<DestinationStatus>& destinations,
                              const Ledger& ledger, int64_t now_ms) {
  const std::map<std::string, Balance> balances = ledger.by_destination();
  json::array out;
  for (const DestinationStatus& destination : destinations) {
    const auto found = balances.find(destination.name);
    const Balance balance = found == balances.end() ? Balance{} : found->second;
    const int64_t lag_ms = balance.oldest_pending_ms == 0
                               ? 0
                               : std::max<int64_t>(0, now_ms - balance.oldest_pending_ms);
    json::object row;
    row["name"] = text(destination.name);
    row["url"] = text(destination.url);
    row["dialect"] = text(destination.dialect);
    row["state"] = text(destination.state);
    row["last_status"] = status_or_null(destination.last_status);
    row["last_error"] = text_or_null(destination.last_error);
    row["last_error_timestamp_seconds"] = timestamp(destination.last_error_ms);
    row["last_success_timestamp_seconds"] = timestamp(destination.last_success_ms);
    row["highest_sent_timestamp_seconds"] = timestamp(destination.highest_sent_timestamp_ms);
    row["lag_seconds"] = static_cast<double>(lag_ms) / 1000;
    add_balance(row, balance);
    out.push_back(std::move(row));
  }
  json::object data;
  data["destinations"] = std::move(out);
  return data;
}

json::value flags_json(const std::vector<std::pair<std::string, std::string>>& flags) {
  json::object out;
  for (const auto& [name, value] : flags) out[text(name)] = text(value);
  return out;
}

json::value config_json(const std::string& yaml) {
  json::object out;
  out["yaml"] = text(yaml);
  return out;
}

json::value build_json() {
  const metrics::BuildInfo& info = metrics::build_info();
  json::object out;
  out["version"] = info.version;
  out["revision"] = info.revision;
  out["compiler"] = info.compiler;
  return out;
}

std::string success(json::value data) {
  json::object out;
  out["status"] = "success";
  out["data"] = std::move(data);
  return json::serialize(out) + "\n";
}

std::string failure(std::string_view error_type, std::string_view error) {
  json::object out;
  out["status"] = "error";
  out["errorType"] = error_type;
  out["error"] = text(error);
  return json::serialize(out) + "\n";
}

}  // namespace tollgate::admin
