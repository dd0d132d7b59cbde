#include "ingest/ingest.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.h"
#include "wire/snappy.h"

namespace tollgate::ingest {
namespace {

// Decode scratch beyond this is given back after an unusually large request.
constexpr size_t kKeepDecoded = 4 << 20;
// How long a sender should wait after a 503 or 429, in seconds. Prometheus ≥ 2.48 honours it.
constexpr const char* kRetryAfter = "1";
constexpr std::string_view kUnknownSource = "";

bool is_write_path(std::string_view path) {
  return path == "/api/v1/write" || path == "/api/v1/receive" || path == "/api/v1/push" ||
         path == "/api/v1/remote_write";
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

// Remote write 1.0 by content type: `application/x-protobuf`, with or without
// `proto=prometheus.WriteRequest`. A missing type is taken as 1.0, as the reference handler does.
std::optional<std::string> unsupported_type(std::string_view content_type) {
  const size_t semicolon = content_type.find(';');
  const std::string_view type = trim(content_type.substr(0, semicolon));
  if (type.empty() && semicolon == std::string_view::npos) return std::nullopt;
  if (!same_ignoring_case(type, "application/x-protobuf")) {
    return fmt::format("Content-Type {:?} is not supported; send application/x-protobuf",
                       std::string(content_type));
  }
  while (content_type.find(';') != std::string_view::npos) {
    content_type = content_type.substr(content_type.find(';') + 1);
    std::string_view parameter = trim(content_type.substr(0, content_type.find(';')));
    const size_t equals = parameter.find('=');
    if (!same_ignoring_case(trim(parameter.substr(0, equals)), "proto")) continue;
    std::string_view proto =
        equals == std::string_view::npos ? std::string_view() : trim(parameter.substr(equals + 1));
    if (proto.size() >= 2 && proto.front() == '"' && proto.back() == '"') {
      proto = proto.substr(1, proto.size() - 2);
    }
    if (proto != "prometheus.WriteRequest") {
      return fmt::format(
          "message {:?} is not supported; send remote write 1.0 (prometheus.WriteRequest)",
          std::string(proto));
    }
  }
  return std::nullopt;
}

net::Response text_response(int status, std::string_view text) {
  net::Response response;
  response.status = status;
  response.body = text;
  response.body += '\n';
  return response;
}

net::Response error_response(const Error& error) {
  net::Response response = text_response(http_status(error.code), error.message);
  if (retryable(error.code)) response.headers.emplace_back("Retry-After", kRetryAfter);
  if (error.code == Code::kUnauthenticated) {
    response.headers.emplace_back("WWW-Authenticate", "Basic realm=\"tollgate\", Bearer");
  }
  return response;
}

net::Response overloaded_response(uint64_t limit) {
  return error_response(our_error(
      Code::kUnavailable,
      fmt::format("too many requests in flight: ingest.max_inflight_size ({} bytes) reached; retry "
                  "later",
                  limit)));
}

net::Response too_large_response(uint64_t max_body) {
  return error_response(sender_error(
      Code::kTooLarge, fmt::format("body is over ingest.max_request_size ({} bytes); lower "
                                   "max_samples_per_send or raise the limit",
                                   max_body)));
}

}  // namespace

Ingest::Ingest(net::Loops& loops, journal::Journal& journal, metrics::Registry& registry,
               const Clock& clock, const config::Config& config, Stager::Announce announce)
    : registry_(registry),
      clock_(clock),
      announce_(std::move(announce)),
      shards_(config.journal.shards),
      loops_(loops),
      duration_(registry.histogram("tollgate_ingest_request_duration_seconds",
                                   "Time from a request's body to its answer.")) {
  for (size_t i = 0; i < loops.size(); i++) {
    cores_.push_back(std::make_unique<Core>(loops.at(i), journal, shards_, inflight_, announce_));
  }
  registry.collect("tollgate_ingest_inflight_bytes",
                   "Request bytes not yet durable; limited by ingest.max_inflight_size.",
                   metrics::Type::kGauge, [this](std::vector<metrics::Value>& out) {
                     out.push_back({{}, static_cast<double>(inflight_.load())});
                   });
  registry.collect("tollgate_ingest_series_cache_bytes",
                   "Memory of series that are remembered; limited by ingest.series_cache_size.",
                   metrics::Type::kGauge, [this](std::vector<metrics::Value>& out) {
                     uint64_t sum = 0;
                     for (const auto& core : cores_) sum += core->runs_memory.load();
                     out.push_back({{}, static_cast<double>(sum)});
                   });
  registry.collect("tollgate_ingest_series_cache_requests_total",
                   "Series that were looked for among the remembered ones, by outcome.",
                   metrics::Type::kCounter, [this](std::vector<metrics::Value>& out) {
                     uint64_t found = 0, missed = 0;
                     for (const auto& core : cores_) {
                       found += core->series_found.load();
                       missed += core->series_missed.load();
                     }
                     out.push_back({{{"result", "hit"}}, static_cast<double>(found)});
                     out.push_back({{{"result", "miss"}}, static_cast<double>(missed)});
                   });
  // Accepted samples are restored from the journal; received ones start from there, so that
  // received = accepted + rejected also after a restart.
  for (const auto& totals : journal.streams()) {
    registry
        .counter("tollgate_received_samples_total",
                 "Samples (float and native histogram) that arrived, valid or not.",
                 {{"source", totals.key.source}, {"tenant", totals.key.tenant}})
        .add(totals.accepted);
  }
  configure(config);
}

Ingest::~Ingest() { password_checks_.join(); }

void Ingest::configure(const config::Config& config) {
  auto rules = std::make_shared<Rules>();
  rules->policy = policy::Policy::make(config);
  rules->limits = config.ingest;
  *rules_.lock() = std::move(rules);
  shards_.configure(config.journal.shards);
  Stager::Options options;
  for (const auto& destination : config.remote_write) {
    options.max_block_samples =
        std::min(options.max_block_samples, destination.max_samples_per_send);
    options.max_block_bytes = std::min(options.max_block_bytes, destination.max_bytes_per_send);
  }
  const size_t cache_size = config.ingest.series_cache_size / cores_.size();
  for (size_t i = 0; i < cores_.size(); i++) {
    boost::asio::post(loops_.at(i).context(), [core = cores_[i].get(), options, cache_size] {
      core->stager.configure(options);
      core->runs.reset(cache_size);  // what the former rules have made is of no use
    });
  }
  auto status = status_.lock();
  for (const auto& source : config.sources) (*status)[source.name].name = source.name;
}

std::shared_ptr<const Ingest::Rules> Ingest::rules() const { return *rules_.lock(); }

std::vector<SourceStatus> Ingest::sources() const {
  std::vector<SourceStatus> out;
  // Named, because a temporary would give the lock back before the loop begins.
  auto all = status_.lock();
  for (const auto& [name, status] : *all) out.push_back(status);
  return out;
}

bool Ingest::reserve(uint64_t bytes) {
  const uint64_t limit = rules()->limits.max_inflight_size;
  // One body is always let in, whatever its size: max_request_size bounds it.
  if (inflight_.fetch_add(bytes) + bytes > limit && inflight_.load() != bytes) {
    inflight_ -= bytes;
    return false;
  }
  return true;
}

void Ingest::release(uint64_t bytes) { inflight_ -= bytes; }

net::Response Ingest::overloaded(const net::RequestHead& head) {
  (void)head;
  return counted(overloaded_response(rules()->limits.max_inflight_size));
}

net::Response Ingest::too_large(const net::RequestHead& head, uint64_t max_body) {
  (void)head;
  return counted(too_large_response(max_body));
}

// An answer that the server gives while a body is being read: on whatever loop, for a sender
// whose name was not kept. Rare, so the registry's lookup does no harm.
net::Response Ingest::counted(net::Response response) {
  request_counter(std::string(kUnknownSource), response.status).add();
  return response;
}

metrics::Counter& Ingest::request_counter(const std::string& source, int status) {
  return registry_.counter("tollgate_ingest_requests_total", "Remote write requests by answer.",
                           {{"source", source}, {"code", std::to_string(status)}});
}

Result<policy::Admission> Ingest::admit(const Rules& rules, const net::RequestHead& head,
                                        bool& needs_verification) const {
  policy::Credentials credentials;
  credentials.authorization = head.header("Authorization");
  credentials.header = [&head](std::string_view name) { return head.header(name); };
  return rules.policy->admit(credentials, needs_verification);
}

std::optional<net::Response> Ingest::on_head(net::Loop& loop, const net::RequestHead& head,
                                             uint64_t& max_body) {
  if (!is_write_path(head.path)) {
    return refuse(loop, kUnknownSource, head,
                  sender_error(Code::kInvalid,
                               fmt::format("no such path: {}; write to /api/v1/write", head.path)));
  }
  if (head.method != "POST") {
    net::Response response = text_response(405, "only POST is allowed here");
    response.headers.emplace_back("Allow", "POST");
    return answer(*cores_[loop.index()], kUnknownSource, head, std::move(response));
  }
  if (auto problem = unsupported_type(head.header("Content-Type"))) {
    return refuse(loop, kUnknownSource, head, sender_error(Code::kUnsupported, *problem));
  }
  const std::string_view encoding = trim(head.header("Content-Encoding"));
  if (!encoding.empty() && !same_ignoring_case(encoding, "snappy")) {
    return refuse(loop, kUnknownSource, head,
                  sender_error(Code::kUnsupported,
                               fmt::format("Content-Encoding {:?} is not supported; send snappy "
                                           "(block format)",
                                           std::string(encoding))));
  }
  auto now = rules();
  max_body = now->limits.max_request_size;
  if (head.content_length && *head.content_length > max_body) {
    return answer(*cores_[loop.index()], kUnknownSource, head, too_large_response(max_body));
  }
  bool needs_verification = false;
  auto admission = admit(*now, head, needs_verification);
  if (!admission && !needs_verification)
    return refuse(loop, kUnknownSource, head, admission.error());
  if (stopping_) {
    net::Response response =
        error_response(our_error(Code::kUnavailable, "stopping; retry at another gateway"));
    response.close = true;
    return answer(*cores_[loop.index()], admission ? admission->source->name : kUnknownSource, head,
                  std::move(response));
  }
  return std::nullopt;
}

// Runs the password check elsewhere and resumes on the loop.
net::Task<void> Ingest::verify(net::Loop& loop, std::shared_ptr<const Rules> rules,
                               std::string header) {
  using Timer =
      boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                        boost::asio::wait_traits<std::chrono::steady_clock>,
                                        net::Executor>;
  struct Wait {
    explicit Wait(net::Loop& l) : timer(l.context()) {}
    Timer timer;
    bool done = false;
  };
  auto wait = std::make_shared<Wait>(loop);
  wait->timer.expires_at(std::chrono::steady_clock::time_point::max());
  boost::asio::post(password_checks_,
                    [rules, header = std::move(header), wait, &context = loop.context()] {
                      rules->policy->verify(header);
                      boost::asio::post(context, [wait] {
                        wait->done = true;
                        wait->timer.cancel();
                      });
                    });
  boost::system::error_code ignored;  // the wait ends by being cancelled
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<net::Executor>{}, ignored);
  while (!wait->done) co_await wait->timer.async_wait(token);
}

net::Task<net::Response> Ingest::on_request(net::Loop& loop, const net::RequestHead& head,
                                            Buffer& body) {
  const int64_t started = clock_.monotonic_ns();
  Core& core = *cores_[loop.index()];
  std::shared_ptr<const Rules> now = rules();
  bool needs_verification = false;
  auto admission = admit(*now, head, needs_verification);
  if (!admission && needs_verification) {
    co_await verify(loop, now, std::string(head.header("Authorization")));
    needs_verification = false;
    admission = admit(*now, head, needs_verification);
  }
  if (!admission) co_return refuse(loop, kUnknownSource, head, admission.error());

  const std::string& source = admission->source->name;
  SourceMetrics& metrics = source_metrics(core, source);
  metrics.bytes->add(body.size());

  auto length = wire::declared_length(body.view(), now->limits.max_decoded_size);
  if (!length) {
    Error error = length.error();
    error.message +=
        fmt::format(" (ingest.max_decoded_size is {} bytes)", now->limits.max_decoded_size);
    co_return refuse(loop, source, head, error);
  }
  const uint64_t inflight = inflight_.load();
  if (inflight > body.size() && inflight + *length > now->limits.max_inflight_size) {
    co_return answer(core, source, head, overloaded_response(now->limits.max_inflight_size));
  }
  if (auto unpacked = wire::unpack(body.view(), now->limits.max_decoded_size, core.decoded);
      !unpacked) {
    co_return refuse(loop, source, head, unpacked.error());
  }

  // From here to commit() nothing suspends: the core's scratch belongs to this request.
  Tally tally;
  Status staged = stage(core, *admission, tally);
  core.decoded.release_above(kKeepDecoded);
  core.runs_memory.store(core.runs.memory(), std::memory_order_relaxed);
  core.series_found.store(core.runs.series_found(), std::memory_order_relaxed);
  core.series_missed.store(core.runs.series_missed(), std::memory_order_relaxed);
  if (!staged) {
    core.stager.rollback();
    Error error = staged.error();
    // A limit of ours, not of the tenant's: the sender must keep the data.
    if (error.code == Code::kLimited) error.code = Code::kUnavailable;
    co_return refuse(loop, source, head, error);
  }
  Status committed = co_await core.stager.commit();
  if (!committed) {
    const auto reason = committed.error().code == Code::kLimited
                            ? model::RejectReason::kJournalFull
                            : model::RejectReason::kJournalError;
    uint64_t refused = 0;
    for (uint64_t n : tally.refused_samples_by) refused += n;
    tally.refused_samples_by[static_cast<size_t>(reason)] += tally.samples - refused;
    count(metrics, admission->tenant, tally);
    // Whatever the journal's trouble is, a sender must retry: 503, never 429, which Prometheus
    // drops by default.
    Error error = committed.error();
    error.code = Code::kUnavailable;
    co_return refuse(loop, source, head, error);
  }
  count(metrics, admission->tenant, tally);
  duration_.observe(static_cast<double>(clock_.monotonic_ns() - started) / 1e9);

  if (tally.refused_series == 0) {
    net::Response response;
    response.status = 204;
    co_return answer(core, source, head, std::move(response));
  }
  std::string reasons;
  for (size_t i = 0; i < model::kRejectReasons; i++) {
    if (tally.refused_series_by[i] == 0) continue;
    if (!reasons.empty()) reasons += ", ";
    reasons +=
        fmt::format("{} {}", tally.refused_series_by[i], name(static_cast<model::RejectReason>(i)));
  }
  co_return refuse(
      loop, source, head,
      sender_error(Code::kInvalid,
                   fmt::format("{} of {} series refused ({}), the others were kept; first: {}",
                               tally.refused_series, tally.series, reasons, tally.first)));
}

// Hot: the per-series loop. Budget: the walk (bench/wire_bench.cc) plus two calls a series, or a
// third of it for series that are remembered.
Status Ingest::stage(Core& core, const policy::Admission& admission, Tally& tally) {
  const config::Source& source = *admission.source;
  core.stager.begin(source.name, admission.tenant);
  wire::HaLabels ha;
  ha.cluster = source.ha.cluster_label;
  ha.replica = source.ha.replica_label;
  wire::Walker& walker = core.walker;
  walker.begin(core.decoded.view(), *admission.plan, ha);
  const char* const end = core.decoded.view().data() + core.decoded.size();
  bool remembers = core.runs.enabled() && core.stager.takes_runs();
  for (;;) {
    // Nothing is learned of streams with several shards, nor used for them.
    if (remembers && core.stager.many_shards()) remembers = false;
    wire::Run run;
    if (remembers) run = wire::next_run(walker.position(), end);
    if (run.series > 0) {
      auto remembered = stage_remembered(core, run, admission.rewriting, tally);
      if (!remembered) return remembered.error();
      if (*remembered) continue;
      if (core.runs.wants(run, admission.rewriting)) {
        if (auto s = stage_and_learn(core, run, admission.rewriting, tally); !s) return s;
        continue;
      }
    }
    do {
      const wire::Step step = walker.next();
      if (step == wire::Step::kEnd) return Ok{};
      if (auto s = stage_next(core, step, tally); !s) return s;
    } while (walker.position() < run.end);
  }
}

// Stages what walker.next() has come to.
Status Ingest::stage_next(Core& core, wire::Step step, Tally& tally) {
  const wire::SeriesHead& head = core.walker.series();
  switch (step) {
    case wire::Step::kSeries: {
      if (auto s = core.stager.select(head.ha_cluster, head.ha_replica); !s) return s;
      core.stager.add_series(core.walker);
      tally.series++;
      tally.samples += head.samples + head.histograms;
      return Ok{};
    }
    case wire::Step::kRefused: {
      const auto reason = static_cast<size_t>(core.walker.refused_reason());
      if (tally.refused_series++ == 0) {
        const wire::Refusal refusal = core.walker.refusal();
        tally.first = refusal.series + ": " + refusal.message;
      }
      const uint64_t samples = head.samples + head.histograms;
      tally.series++;
      tally.samples += samples;
      tally.refused_series_by[reason]++;
      tally.refused_samples_by[reason] += samples;
      return Ok{};
    }
    case wire::Step::kOther:
      if (auto s = core.stager.select({}, {}); !s) return s;
      core.stager.add_other(core.walker);
      return Ok{};
    case wire::Step::kMalformed:
      return core.walker.error();
    case wire::Step::kEnd:
      return Ok{};
  }
  return Ok{};
}

// True: the run has come before, and is staged as it came out then.
Result<bool> Ingest::stage_remembered(Core& core, const wire::Run& run, uint64_t rewriting,
                                      Tally& tally) {
  const wire::RememberedRun* const remembered = core.runs.find(run, rewriting);
  if (remembered == nullptr) return false;
  if (auto s = core.stager.select(remembered->ha_cluster(), remembered->ha_replica()); !s) {
    return s.error();
  }
  if (!core.stager.one_shard()) return false;  // its series go different ways
  core.stager.add_run(*remembered, run);
  core.walker.seek(run.end);
  tally.series += run.series;
  tally.samples += remembered->samples();
  return true;
}

// Stages the run series by series, and remembers how it came out if that depends on nothing but its
// labels: every series plain, none refused, all of them in one stream with one shard.
Status Ingest::stage_and_learn(Core& core, const wire::Run& run, uint64_t rewriting, Tally& tally) {
  wire::Walker& walker = core.walker;
  core.run_sizes.clear();
  size_t total = 0;
  bool learnable = true;
  std::string cluster, replica;
  while (walker.position() < run.end) {
    const char* const begin = walker.position();
    const wire::Step step = walker.next();
    if (auto s = stage_next(core, step, tally); !s) return s;
    const wire::SeriesHead& head = walker.series();
    learnable =
        learnable && wire::learnable(walker, begin, walker.position()) && core.stager.one_shard();
    if (!learnable) continue;
    if (core.run_sizes.empty()) {
      cluster = head.ha_cluster;
      replica = head.ha_replica;
    }
    learnable = head.ha_cluster == cluster && head.ha_replica == replica;
    core.run_sizes.push_back(static_cast<uint32_t>(head.encoded_size));
    total += head.encoded_size;
  }
  if (!learnable) return Ok{};
  core.runs.learn(run, rewriting, core.stager.last_added(total), core.run_sizes, cluster, replica);
  return Ok{};
}

void Ingest::count(SourceMetrics& source, const std::string& tenant, const Tally& tally) {
  if (tally.samples == 0) return;
  TenantMetrics& metrics = tenant_metrics(source, tenant);
  metrics.received->add(tally.samples);
  bool any = false;
  for (size_t i = 0; i < model::kRejectReasons; i++) {
    metrics.rejected[i]->add(tally.refused_samples_by[i]);
    any = any || tally.refused_samples_by[i] > 0;
  }
  auto all = status_.lock();
  SourceStatus& status = (*all)[source.name];
  status.received += tally.samples;
  if (!any) return;
  for (size_t i = 0; i < model::kRejectReasons; i++) {
    if (tally.refused_samples_by[i] == 0) continue;
    status.rejected[std::string(name(static_cast<model::RejectReason>(i)))] +=
        tally.refused_samples_by[i];
  }
}

Ingest::SourceMetrics& Ingest::source_metrics(Core& core, std::string_view source) {
  auto found = core.sources.find(std::string(source));
  if (found != core.sources.end()) return found->second;
  SourceMetrics& made = core.sources[std::string(source)];
  made.name = source;
  made.bytes = &registry_.counter("tollgate_ingest_bytes_total", "Compressed body bytes received.",
                                  {{"source", made.name}});
  return made;
}

Ingest::TenantMetrics& Ingest::tenant_metrics(SourceMetrics& source, const std::string& tenant) {
  auto found = source.tenants.find(tenant);
  if (found != source.tenants.end()) return found->second;
  // A tenant id that only ever sends refused data has no stream, so max_streams does not bound it.
  constexpr size_t kMaxTenants = 10'000;
  if (source.tenants.size() >= kMaxTenants && !tenant.empty()) return tenant_metrics(source, "");
  TenantMetrics& made = source.tenants[tenant];
  metrics::Labels labels = {{"source", source.name}, {"tenant", tenant}};
  made.received = &registry_.counter("tollgate_received_samples_total",
                                     "Samples (float and native histogram) that arrived, valid or "
                                     "not.",
                                     labels);
  labels.emplace_back("reason", "");
  for (size_t i = 0; i < model::kRejectReasons; i++) {
    labels.back().second = name(static_cast<model::RejectReason>(i));
    made.rejected[i] = &registry_.counter("tollgate_rejected_samples_total",
                                          "Samples refused at the door.", labels);
  }
  return made;
}

net::Response Ingest::answer(Core& core, std::string_view source, const net::RequestHead& head,
                             net::Response response) {
  SourceMetrics& metrics = source_metrics(core, source);
  metrics::Counter*& counter = metrics.by_code[response.status];
  if (counter == nullptr) counter = &request_counter(metrics.name, response.status);
  counter->add();
  if (source.empty()) return response;
  auto all = status_.lock();
  SourceStatus& status = (*all)[metrics.name];
  status.name = metrics.name;
  status.last_request_ms = clock_.now_ms();
  status.last_status = response.status;
  status.last_peer.assign(head.peer);
  if (response.status >= 300) {
    status.last_problem = response.body.substr(0, response.body.find('\n'));
  }
  return response;
}

net::Response Ingest::refuse(net::Loop& loop, std::string_view source, const net::RequestHead& head,
                             const Error& error) {
  net::Response response = error_response(error);
  if (!is_write_path(head.path)) response.status = 404;
  log::debug("request refused", {{"source", source},
                                 {"peer", head.peer},
                                 {"status", response.status},
                                 {"error", error.message}});
  return answer(*cores_[loop.index()], source, head, std::move(response));
}

}  // namespace tollgate::ingest
