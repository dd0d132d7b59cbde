#include "app/gateway.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <map>
#include <thread>

#include "base/log.h"

namespace tollgate::app {
namespace {

// Cores this process may run on: the affinity mask, and a cgroup's cpu.max where there is one.
size_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  size_t cores = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    cores = static_cast<size_t>(std::max(1, CPU_COUNT(&set)));
  }
  auto quota = fs::read_file(fs::FileSystem::real(), "/sys/fs/cgroup/cpu.max");
  if (quota) {
    unsigned long long max = 0;
    unsigned long long period = 0;
    if (std::sscanf(quota->c_str(), "%llu %llu", &max, &period) == 2 && period > 0) {
      cores = std::min<size_t>(cores, std::max<size_t>(1, (max + period - 1) / period));
    }
  }
  return cores;
}

journal::Options journal_options(const config::Journal& c) {
  journal::Options o;
  o.path = c.path;
  switch (c.sync) {
    case config::SyncMode::kAlways:
      o.sync = journal::Sync::kAlways;
      break;
    case config::SyncMode::kInterval:
      o.sync = journal::Sync::kInterval;
      break;
    case config::SyncMode::kNever:
      o.sync = journal::Sync::kNever;
      break;
  }
  o.sync_interval = c.sync_interval;
  o.max_size = c.max_size;
  o.segment_size = c.segment_size;
  o.retention = c.retention;
  o.on_full = c.on_full == config::OnFull::kReject ? journal::OnFull::kReject
                                                   : journal::OnFull::kDropOldest;
  o.max_streams = c.max_streams;
  return o;
}

net::ServerTlsContext::ClientAuth client_auth(config::ClientAuth auth) {
  switch (auth) {
    case config::ClientAuth::kNone:
      return net::ServerTlsContext::ClientAuth::kNone;
    case config::ClientAuth::kRequest:
      return net::ServerTlsContext::ClientAuth::kRequest;
    case config::ClientAuth::kRequire:
      return net::ServerTlsContext::ClientAuth::kRequire;
  }
  return net::ServerTlsContext::ClientAuth::kNone;
}

// What a reload cannot change, as a sentence; empty if nothing of it was changed.
std::string needs_restart(const config::Config& old, const config::Config& now) {
  std::vector<std::string> keys;
  auto differs = [](const config::Address& a, const config::Address& b) {
    return a.host != b.host || a.port != b.port;
  };
  if (differs(old.ingest.listen, now.ingest.listen)) keys.emplace_back("ingest.listen");
  if (differs(old.admin.listen, now.admin.listen)) keys.emplace_back("admin.listen");
  if (old.ingest.tls.cert_file != now.ingest.tls.cert_file ||
      old.ingest.tls.key_file != now.ingest.tls.key_file ||
      old.ingest.tls.client_ca_file != now.ingest.tls.client_ca_file) {
    keys.emplace_back("ingest.tls");
  }
  if (old.ingest.max_connections != now.ingest.max_connections) {
    keys.emplace_back("ingest.max_connections");
  }
  if (old.ingest.max_connection_age != now.ingest.max_connection_age) {
    keys.emplace_back("ingest.max_connection_age");
  }
  if (old.ingest.idle_timeout != now.ingest.idle_timeout) keys.emplace_back("ingest.idle_timeout");
  if (old.journal.path != now.journal.path) keys.emplace_back("journal.path");
  if (old.journal.sync != now.journal.sync ||
      old.journal.sync_interval != now.journal.sync_interval) {
    keys.emplace_back("journal.sync");
  }
  return fmt::format("{}", fmt::join(keys, ", "));
}

std::string_view dialect_name(config::Dialect dialect) {
  switch (dialect) {
    case config::Dialect::kPrometheus:
      return "prometheus";
    case config::Dialect::kThanos:
      return "thanos";
    case config::Dialect::kAmp:
      return "amp";
    case config::Dialect::kMimir:
      return "mimir";
    case config::Dialect::kVictoriaMetrics:
      return "victoriametrics";
  }
  return "prometheus";
}

}  // namespace

Gateway::Gateway(ServeOptions options, config::Config config)
    : options_(std::move(options)), config_(std::move(config)) {}

Gateway::~Gateway() { stop(); }

Result<std::unique_ptr<Gateway>> Gateway::start(ServeOptions options) {
  auto config = config::load(options.config_file);
  if (!config) return config.error();
  std::unique_ptr<Gateway> gateway(new Gateway(std::move(options), std::move(config).value()));
  if (auto opened = gateway->open(); !opened) return opened.error();
  return gateway;
}

Status Gateway::open() {
  const Clock& clock = Clock::real();
  metrics::add_process_metrics(registry_);

  auto journal =
      journal::Journal::open(journal_options(config_.journal), fs::FileSystem::real(), clock);
  if (!journal) return journal.error();
  journal_ = std::move(journal).value();
  metrics::Histogram& sync_time = registry_.histogram("tollgate_journal_fsync_duration_seconds",
                                                      "Time of each fdatasync of the journal.");
  journal_->time_syncs([&sync_time](double seconds) { sync_time.observe(seconds); });

  loops_ = std::make_unique<net::Loops>(options_.loops > 0 ? options_.loops : usable_cores());
  admin_loop_ = std::make_unique<net::Loops>(1);
  deliver_ = std::make_unique<deliver::Deliver>(*loops_, *journal_, registry_, clock);
  ingest_ = std::make_unique<ingest::Ingest>(
      *loops_, *journal_, registry_, clock, config_,
      [this](journal::StreamId id, const journal::StreamKey& key) { deliver_->announce(id, key); });
  deliver_->on_saturated([this](const journal::StreamKey& key, uint32_t wanted) {
    const std::string stream = ingest::Shards::key(key.source, key.tenant, key.replica);
    if (!ingest_->shards().grow(stream, wanted)) return;
    log::info("a stream gets more shards because a lane cannot keep up",
              {{"source", key.source}, {"tenant", key.tenant}, {"shards", wanted}});
  });
  if (auto s = deliver_->configure(config_); !s) return s;
  journal_->observe(
      [this](const std::vector<journal::StreamId>& streams) { deliver_->wake(streams); });

  admin_ = std::make_unique<admin::Admin>(registry_, hooks());
  net::ServerOptions admin_options;
  admin_options.host = config_.admin.listen.host;
  admin_options.port = config_.admin.listen.port;
  auto admin_server = net::HttpServer::start(*admin_loop_, admin_options, *admin_);
  if (!admin_server) return admin_server.error();
  admin_server_ = std::move(admin_server).value();

  net::ServerOptions data_options;
  data_options.host = config_.ingest.listen.host;
  data_options.port = config_.ingest.listen.port;
  data_options.max_connections = config_.ingest.max_connections;
  data_options.idle_timeout = config_.ingest.idle_timeout;
  data_options.max_connection_age = config_.ingest.max_connection_age;
  if (config_.ingest.tls.enabled()) {
    auto tls = net::ServerTlsContext::make(
        config_.ingest.tls.cert_file, config_.ingest.tls.key_file,
        config_.ingest.tls.client_ca_file, client_auth(config_.ingest.tls.client_auth));
    if (!tls) return tls.error();
    data_options.tls = *tls;
  }
  auto server = net::HttpServer::start(*loops_, data_options, *ingest_);
  if (!server) return server.error();
  server_ = std::move(server).value();
  registry_.collect("tollgate_ingest_connections", "Open connections of senders.",
                    metrics::Type::kGauge, [this](std::vector<metrics::Value>& out) {
                      out.push_back({{}, static_cast<double>(server_->connections())});
                    });
  registry_.collect("tollgate_ingest_refused_connections_total",
                    "Connections closed at once because of ingest.max_connections.",
                    metrics::Type::kCounter, [this](std::vector<metrics::Value>& out) {
                      out.push_back({{}, static_cast<double>(server_->refused_connections())});
                    });

  registry_.gauge("tollgate_config_last_reload_successful", "1 if the last (re)load worked.")
      .set(1);
  registry_
      .gauge("tollgate_config_last_reload_success_timestamp_seconds",
             "When the configuration was last loaded successfully.")
      .set(static_cast<double>(clock.now_ms()) / 1000);

  for (const auto& source : config_.sources) {
    if (source.auth.kind != config::AuthKind::kNone) continue;
    log::warn("this source has no auth: anybody who reaches ingest.listen may write",
              {{"source", source.name}});
  }

  loops_->start();
  admin_loop_->start();
  started_ = true;
  log::info("ready to receive",
            {{"data", fmt::format("{}:{}", config_.ingest.listen.host, server_->port())},
             {"admin", fmt::format("{}:{}", config_.admin.listen.host, admin_server_->port())},
             {"journal", config_.journal.path},
             {"sources", config_.sources.size()},
             {"destinations", config_.remote_write.size()},
             {"loops", loops_->size()}});
  return Ok{};
}

std::optional<std::string> Gateway::not_ready() const {
  if (stopping_) return "stopping";
  if (!started_) return "starting";
  const journal::Stats stats = journal_->stats();
  if (!stats.healthy) return "the journal refuses writes: " + stats.problem;
  return std::nullopt;
}

admin::AdminHooks Gateway::hooks() {
  admin::AdminHooks h;
  h.not_ready = [this] { return not_ready(); };
  h.reload = [this] { return reload(); };
  h.config_yaml = [this] {
    std::lock_guard lock(mutex_);
    return config::dump(config_);
  };
  h.flags = [this] { return options_.flags; };
  h.ledger = [this] { return journal_->ledger(); };
  h.streams = [this] { return journal_->streams(); };
  h.removed = [this] { return journal_->removed(); };
  h.stats = [this] { return journal_->stats(); };
  h.sources = [this] {
    std::vector<admin::SourceStatus> out;
    for (const auto& s : ingest_->sources()) {
      admin::SourceStatus status;
      status.name = s.name;
      status.last_request_ms = s.last_request_ms;
      status.last_status = s.last_status;
      status.last_peer = s.last_peer;
      status.last_problem = s.last_problem;
      status.received = s.received;
      status.rejected = s.rejected;
      out.push_back(std::move(status));
    }
    return out;
  };
  h.destinations = [this] {
    std::vector<admin::DestinationStatus> out;
    for (const auto& d : deliver_->destinations()) {
      admin::DestinationStatus status;
      status.name = d.name;
      status.url = d.url;
      status.dialect = dialect_name(d.dialect);
      status.state = d.health.state;
      status.last_status = d.health.last_status;
      status.last_error = d.health.last_error;
      status.last_error_ms = d.health.last_error_ms;
      status.last_success_ms = d.health.last_success_ms;
      status.highest_sent_timestamp_ms = d.health.highest_sent_timestamp_ms;
      out.push_back(std::move(status));
    }
    return out;
  };
  return h;
}

Status Gateway::reload() {
  std::lock_guard lock(mutex_);
  metrics::Gauge& successful =
      registry_.gauge("tollgate_config_last_reload_successful", "1 if the last (re)load worked.");
  if (stopping_) return our_error(Code::kUnavailable, "stopping");
  auto loaded = config::load(options_.config_file);
  Status applied = loaded ? Status(Ok{}) : Status(loaded.error());
  if (loaded) {
    const std::string fixed = needs_restart(config_, *loaded);
    if (!fixed.empty()) {
      log::warn("some changed keys need a restart; the old values stay", {{"keys", fixed}});
      loaded->ingest.listen = config_.ingest.listen;
      loaded->ingest.tls = config_.ingest.tls;
      loaded->ingest.max_connections = config_.ingest.max_connections;
      loaded->ingest.max_connection_age = config_.ingest.max_connection_age;
      loaded->ingest.idle_timeout = config_.ingest.idle_timeout;
      loaded->admin.listen = config_.admin.listen;
      loaded->journal.path = config_.journal.path;
      loaded->journal.sync = config_.journal.sync;
      loaded->journal.sync_interval = config_.journal.sync_interval;
    }
    // What can fail comes first and changes nothing when it does.
    applied = deliver_->configure(*loaded);
  }
  if (!applied) {
    successful.set(0);
    log::error("the configuration was not reloaded; the old one stays",
               {{"error", applied.error().message}});
    return applied;
  }
  config_ = std::move(loaded).value();
  ingest_->configure(config_);
  journal_->reconfigure(journal_options(config_.journal));
  successful.set(1);
  registry_
      .gauge("tollgate_config_last_reload_success_timestamp_seconds",
             "When the configuration was last loaded successfully.")
      .set(static_cast<double>(Clock::real().now_ms()) / 1000);
  log::info("configuration reloaded", {{"file", options_.config_file},
                                       {"sources", config_.sources.size()},
                                       {"destinations", config_.remote_write.size()}});
  return Ok{};
}

void Gateway::stop() {
  {
    std::lock_guard lock(mutex_);  // a reload in progress ends first
    if (stopping_.exchange(true)) return;
  }
  const bool serving = started_;
  if (ingest_) ingest_->stop();
  if (serving) {
    log::info("stopping: no new requests");
    server_->stop_accepting();
    const auto end = std::chrono::steady_clock::now() + options_.grace_period;
    while (server_->connections() > 0 && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    const bool all = deliver_->drain(options_.drain_timeout);
    log::info(all ? "everything is delivered" : "the rest stays in the journal for the next start");
    deliver_->stop();
  }
  if (journal_) journal_->close();
  if (loops_) loops_->stop();
  if (admin_server_) admin_server_->stop_accepting();
  if (admin_loop_) admin_loop_->stop();
  // Servers and services go before the loops they ran on.
  server_.reset();
  admin_server_.reset();
  admin_.reset();
  ingest_.reset();
  deliver_.reset();
  if (serving) log::info("stopped");
}

}  // namespace tollgate::app
