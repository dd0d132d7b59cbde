#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "journal/journal.h"
#include "metrics/registry.h"
#include "net/http_server.h"

namespace tollgate::admin {

// One sender, as ingest sees it. Times are 0 and texts empty where there is nothing yet.
struct SourceStatus {
  std::string name;
  int64_t last_request_ms = 0;
  int last_status = 0;
  std::string last_peer;
  std::string last_problem;                  // the sentence of the last answer that was not 2xx
  uint64_t received = 0;                     // samples since start
  std::map<std::string, uint64_t> rejected;  // samples since start, by reason
};

// One destination, as deliver sees it; what is pending and delivered comes from the ledger.
struct DestinationStatus {
  std::string name;
  std::string url;
  std::string dialect;
  std::string state;  // ok | retrying | held
  int last_status = 0;
  std::string last_error;
  int64_t last_error_ms = 0;
  int64_t last_success_ms = 0;
  int64_t highest_sent_timestamp_ms = 0;
};

// Where admin gets what it shows: services do not include each other, so app fills this in.
// `reload` and `config_yaml` may block (they are called one at a time on a thread of their own);
// the others are called on the admin loop at any time and must be quick. All but `removed` are
// required.
struct AdminHooks {
  std::function<std::optional<std::string>()> not_ready;  // why, or nullopt when ready
  std::function<Status()> reload;
  std::function<std::string()> config_yaml;  // secrets as <secret>
  std::function<std::vector<std::pair<std::string, std::string>>()> flags;
  std::function<std::vector<journal::LedgerRow>()> ledger;
  std::function<std::vector<journal::StreamTotals>()> streams;
  std::function<std::vector<journal::Removed>()> removed;
  std::function<journal::Stats()> stats;
  std::function<std::vector<SourceStatus>()> sources;
  std::function<std::vector<DestinationStatus>()> destinations;
};

// The endpoints for people and monitoring (design §7): health, reload, /metrics, the status API.
//
// Owner: app. The HttpServer goes before it, it goes before the loops (its destructor waits for a
// reload in progress). Threads: handler methods on the admin loop.
// Errors: the API's in Prometheus's envelope, the others as plain text.
// Limits: request bodies of kMaxBody bytes, kMaxBodies bytes of them at a time (503).
class Admin final : public net::HttpHandler {
 public:
  static constexpr uint64_t kMaxBody = 4096;  // no request has a body that means anything
  static constexpr uint64_t kMaxBodies = 1 << 20;

  // Declares the metrics of register_ledger_metrics, too.
  Admin(metrics::Registry& registry, AdminHooks hooks, const Clock& clock = Clock::real());
  ~Admin() override;

  std::optional<net::Response> on_head(net::Loop& loop, const net::RequestHead& head,
                                       uint64_t& max_body) override;
  net::Task<net::Response> on_request(net::Loop& loop, const net::RequestHead& head,
                                      Buffer& body) override;
  net::Response too_large(const net::RequestHead& head, uint64_t max_body) override;
  bool reserve(uint64_t bytes) override;
  void release(uint64_t bytes) override;
  net::Response overloaded(const net::RequestHead& head) override;

 private:
  struct Route;
  static const std::vector<Route>& routes();
  static const Route* find(std::string_view path);
  // Runs `work` on the worker thread; the loop serves others meanwhile.
  net::Task<net::Response> in_worker(net::Loop& loop, std::function<net::Response()> work);

  net::Response healthy();
  net::Response ready();
  net::Response reload();
  net::Response metrics();
  net::Response config();
  net::Response build();
  net::Response flags();
  net::Response ledger();
  net::Response sources();
  net::Response tenants();
  net::Response destinations();
  net::Response index();

  metrics::Registry& registry_;
  const AdminHooks hooks_;
  const Clock& clock_;
  std::atomic<uint64_t> reserved_{0};
  boost::asio::thread_pool worker_{1};
};

}  // namespace tollgate::admin
