#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "oracle.h"
#include "process.h"
#include "sender.h"
#include "sink.h"

namespace tollgate::e2e {

// A configuration in parts. Each text is YAML, indented by two spaces where it goes below a key.
struct Topology {
  std::string ingest;        // more lines below `ingest:`
  std::string journal;       // more lines below `journal:`
  std::string journal_path;  // default: the gateway's
  std::string sources;       // the whole block, or empty
  struct Destination {
    std::string name;
    std::string url;
    std::string more;  // lines indented by four, e.g. "    dialect: thanos\n"
  };
  std::vector<Destination> destinations;

  Topology& to(const Sink& sink, const std::string& more = "");
  std::string yaml(const Gateway& gateway) const;
};

// Short time-outs and back-offs, so that a test sees many of them.
inline constexpr const char* kQuickRetry =
    "    remote_timeout: 2s\n"
    "    queue_config: {min_backoff: 10ms, max_backoff: 200ms, batch_send_deadline: 20ms}\n";

// Prints it, so that a failure can be repeated with TOLLGATE_E2E_SEED.
uint64_t test_seed();
// TOLLGATE_E2E_SECONDS, or the default.
milliseconds test_duration(int default_seconds);

// Three clusters as in design.md: blue (bearer token, tenant team-blue), green (basic, the tenant
// from a header) and ops (open). Each enforces its `cluster`.
extern const char* const kThreeSources;
// The senders of one of them, `count` of them with every awkward option in turn: spoofed clusters,
// HA replicas, unsorted labels, exemplars, histograms, every path.
using Senders = std::vector<std::unique_ptr<Sender>>;
void add_senders(Senders& senders, const std::string& source, int count, uint16_t port,
                 uint64_t seed, const SenderOptions& base = {});
std::vector<Sender*> all(const Senders& senders);
std::vector<const Sender*> all_const(const Senders& senders);

// Starts all; stops all, waiting for what is in flight to be acknowledged.
void start(const std::vector<Sender*>& senders);
void stop(const std::vector<Sender*>& senders);
// Waits until each sender has `more` values acknowledged beyond what it has now, or has failed.
void wait_for_progress(const std::vector<Sender*>& senders, uint64_t more,
                       milliseconds limit = milliseconds(60'000));

// Sends `message` once with the usual headers.
Answer write(uint16_t port, const prometheus::WriteRequest& message, const Headers& more = {},
             const std::string& path = "/api/v1/write");

}  // namespace tollgate::e2e
