#pragma once

#include <array>
#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "config/config.h"
#include "ingest/stager.h"
#include "journal/journal.h"
#include "metrics/registry.h"
#include "net/http_server.h"
#include "policy/policy.h"

namespace tollgate::ingest {

// What the gateway knows of one sender, for people.
struct SourceStatus {
  std::string name;
  int64_t last_request_ms = 0;  // 0 = never
  int last_status = 0;
  std::string last_peer;
  std::string last_problem;  // the sentence of the last answer that was not 2xx
  uint64_t received = 0;
  std::map<std::string, uint64_t> rejected;  // by reason
};

// The remote write endpoint: identity, snappy, the walk, staging, and the answers of the contract
// (design §5).
// Owner: app. Threads: handler methods run on the loops; everything else from any thread.
// Limits: ingest.max_request_size (413), ingest.max_decoded_size (400), ingest.max_inflight_size
// (503), journal.max_streams (503).
class Ingest final : public net::HttpHandler {
 public:
  Ingest(net::Loops& loops, journal::Journal& journal, metrics::Registry& registry,
         const Clock& clock, const config::Config& config, Stager::Announce announce);
  ~Ingest() override;

  // A reload: sources, labels, limits. Requests in progress end under the old rules.
  void configure(const config::Config& config);
  // From now on every request is answered 503, so that senders go elsewhere.
  void stop() { stopping_ = true; }
  Shards& shards() { return shards_; }
  std::vector<SourceStatus> sources() const;

  std::optional<net::Response> on_head(net::Loop& loop, const net::RequestHead& head,
                                       uint64_t& max_body) override;
  net::Task<net::Response> on_request(net::Loop& loop, const net::RequestHead& head,
                                      Buffer& body) override;
  net::Response too_large(const net::RequestHead& head, uint64_t max_body) override;
  bool reserve(uint64_t bytes) override;
  void release(uint64_t bytes) override;
  net::Response overloaded(const net::RequestHead& head) override;

 private:
  // What a reload replaces as a whole.
  struct Rules {
    std::shared_ptr<const policy::Policy> policy;
    config::Ingest limits;
  };
  // Counters of one (source, tenant), and the last things seen of the source.
  struct TenantMetrics {
    metrics::Counter* received = nullptr;
    std::array<metrics::Counter*, model::kRejectReasons> rejected{};
  };
  struct SourceMetrics {
    std::string name;
    metrics::Counter* bytes = nullptr;
    std::map<int, metrics::Counter*> by_code;
    std::unordered_map<std::string, TenantMetrics> tenants;
  };
  // What one loop owns; no locks.
  struct Core {
    Core(net::Loop& loop, journal::Journal& journal, Shards& shards, InflightBytes& inflight,
         const Stager::Announce& announce)
        : stager(loop, journal, shards, inflight, announce) {}
    wire::Walker walker;
    wire::RunCache runs{0};
    std::vector<uint32_t> run_sizes;  // of the series of the run being learned
    // Of `runs`, for the metrics: read on another thread.
    std::atomic<uint64_t> runs_memory{0};
    std::atomic<uint64_t> series_found{0};
    std::atomic<uint64_t> series_missed{0};
    Buffer decoded;
    Stager stager;
    std::unordered_map<std::string, SourceMetrics> sources;
  };
  // The sums of one request.
  struct Tally {
    uint64_t series = 0;
    uint64_t samples = 0;
    uint64_t refused_series = 0;
    std::array<uint64_t, model::kRejectReasons> refused_series_by{};
    std::array<uint64_t, model::kRejectReasons> refused_samples_by{};
    std::string first;  // the first offender, for people
  };

  std::shared_ptr<const Rules> rules() const;
  net::Response counted(net::Response response);
  metrics::Counter& request_counter(const std::string& source, int status);
  Result<policy::Admission> admit(const Rules& rules, const net::RequestHead& head,
                                  bool& needs_verification) const;
  net::Task<void> verify(net::Loop& loop, std::shared_ptr<const Rules> rules, std::string header);
  Status stage(Core& core, const policy::Admission& admission, Tally& tally);
  Status stage_next(Core& core, wire::Step step, Tally& tally);
  Result<bool> stage_remembered(Core& core, const wire::Run& run, uint64_t rewriting, Tally& tally);
  Status stage_and_learn(Core& core, const wire::Run& run, uint64_t rewriting, Tally& tally);
  net::Response answer(Core& core, std::string_view source, const net::RequestHead& head,
                       net::Response response);
  net::Response refuse(net::Loop& loop, std::string_view source, const net::RequestHead& head,
                       const Error& error);
  SourceMetrics& source_metrics(Core& core, std::string_view source);
  TenantMetrics& tenant_metrics(SourceMetrics& source, const std::string& tenant);
  void count(SourceMetrics& source, const std::string& tenant, const Tally& tally);

  metrics::Registry& registry_;
  const Clock& clock_;
  const Stager::Announce announce_;
  Shards shards_;
  InflightBytes inflight_{0};
  std::atomic<bool> stopping_{false};
  Guarded<std::shared_ptr<const Rules>> rules_;
  std::vector<std::unique_ptr<Core>> cores_;
  net::Loops& loops_;
  metrics::Histogram& duration_;
  boost::asio::thread_pool password_checks_{1};  // bcrypt takes tens of milliseconds
  Guarded<std::map<std::string, SourceStatus>> status_;
};

}  // namespace tollgate::ingest
