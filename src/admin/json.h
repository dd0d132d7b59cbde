#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "admin/admin.h"
#include "admin/ledger.h"

// The data of the status API's answers. Times are seconds since the Unix epoch, null where there
// is none; counts are exact integers.
namespace tollgate::admin {

boost::json::value ledger_json(const Ledger& ledger);
boost::json::value sources_json(const std::vector<SourceStatus>& sources, const Ledger& ledger);
boost::json::value tenants_json(const Ledger& ledger);
// `now_ms`: what the age of pending samples is measured against.
boost::json::value destinations_json(const std::vector<DestinationStatus>& destinations,
                                     const Ledger& ledger, int64_t now_ms);
boost::json::value flags_json(const std::vector<std::pair<std::string, std::string>>& flags);
boost::json::value config_json(const std::string& yaml);
boost::json::value build_json();

// Prometheus's envelope, with a line feed at the end.
std::string success(boost::json::value data);
std::string failure(std::string_view error_type, std::string_view error);

}  // namespace tollgate::admin
