#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "admin.h"
#include "sender.h"
#include "sink.h"

namespace tollgate::e2e {

struct DeliveryRules {
  bool repeats = true;     // at least once; false: each value exactly once
  bool gaps = false;       // values may be missing (counted elsewhere), but never out of order
  bool from_start = true;  // false: the sink was added later and may begin with any value
  bool to_end = true;      // false: the sink was removed and need not have the last values
};

// The one property above all, for one sender and one sink: every acknowledged value arrived, per
// series in the order 1, 2, 3, … after removing repeats (a value at most the highest so far is a
// repeat only if it was seen before), with exactly the expected labels, under the right tenant.
// Returns what is wrong, at most a few sentences a series; empty = all well.
std::vector<std::string> check_series(const std::string& name, const Received& received,
                                      uint64_t acknowledged, uint64_t attempted,
                                      const std::vector<Labels>& expected_labels,
                                      const std::string& tenant, const DeliveryRules& rules);
std::vector<std::string> check_delivery(const Sender& sender, const Sink& sink,
                                        const DeliveryRules& rules = {});

// True when the sink has every acknowledged value of the sender.
bool has_everything(const Sender& sender, const Sink& sink);
// Waits for that; a GoogleTest failure naming what is missing at the deadline.
void wait_for_everything(const std::vector<const Sender*>& senders,
                         const std::vector<const Sink*>& sinks,
                         milliseconds limit = milliseconds(60'000));

// Waits until nothing is pending at any of the destinations, then checks from /metrics and from
// /api/v1/status/ledger that both agree and each row closes with nothing dropped (unless allowed).
// Returns the rows.
Ledger expect_ledger_closes(uint16_t admin_port, const std::vector<std::string>& destinations,
                            bool drops_allowed = false, milliseconds limit = milliseconds(60'000));

// GoogleTest expectations over all pairs, the sinks' anomalies and the senders' failures.
void expect_delivered(const std::vector<const Sender*>& senders,
                      const std::vector<const Sink*>& sinks, const DeliveryRules& rules = {});

}  // namespace tollgate::e2e
