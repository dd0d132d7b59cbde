#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "admin/admin.h"
#include "config/config.h"
#include "deliver/deliver.h"
#include "ingest/ingest.h"
#include "journal/journal.h"
#include "metrics/registry.h"
#include "net/http_server.h"
#include "net/loop.h"

namespace tollgate::app {

struct ServeOptions {
  std::string config_file = "tollgate.yml";
  // How long a stopping gateway goes on sending before it leaves the rest to the journal.
  std::chrono::milliseconds drain_timeout{10'000};
  // How long a stopping gateway waits for senders to finish the request they are in.
  std::chrono::milliseconds grace_period{5'000};
  size_t loops = 0;                                        // 0 = one per core this process may use
  std::vector<std::pair<std::string, std::string>> flags;  // as given, for people
};

// The whole life of a serving process: builds everything, passes it down, ends it in order.
// Threads: start, reload and stop from any thread, one at a time.
class Gateway {
 public:
  // Loads the configuration, recovers the journal, binds the ports. Errors are sentences.
  static Result<std::unique_ptr<Gateway>> start(ServeOptions options);
  ~Gateway();

  // Reads the configuration again; a broken one changes nothing and is the error returned.
  Status reload();
  // Not ready → no new requests → last acknowledgements → drain → checkpoint → close.
  void stop();

  uint16_t data_port() const { return server_->port(); }
  uint16_t admin_port() const { return admin_server_->port(); }

 private:
  Gateway(ServeOptions options, config::Config config);
  Status open();
  admin::AdminHooks hooks();
  std::optional<std::string> not_ready() const;

  const ServeOptions options_;
  mutable std::mutex mutex_;  // guards config_ and serialises reloads
  config::Config config_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> started_{false};

  metrics::Registry registry_;
  std::unique_ptr<journal::Journal> journal_;
  std::unique_ptr<net::Loops> loops_;
  std::unique_ptr<net::Loops> admin_loop_;
  std::unique_ptr<deliver::Deliver> deliver_;
  std::unique_ptr<ingest::Ingest> ingest_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<admin::Admin> admin_;
  std::unique_ptr<net::HttpServer> admin_server_;
};

}  // namespace tollgate::app
