#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "base/crc32c.h"
#include "config/sections.h"
#include "config/values.h"
#include "model/tenant.h"

namespace tollgate::config {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Headers that are ours to set: framing, the protocol, and who we are (as in Prometheus).
bool is_reserved_header(const std::string& lowered) {
  constexpr std::array kReserved = {"host",
                                    "content-encoding",
                                    "content-length",
                                    "content-type",
                                    "user-agent",
                                    "connection",
                                    "keep-alive",
                                    "proxy-authenticate",
                                    "te",
                                    "proxy-authorization",
                                    "www-authenticate",
                                    "accept-encoding",
                                    "trailer",
                                    "transfer-encoding",
                                    "upgrade",
                                    "expect",
                                    "retry-attempt",
                                    "x-amz-date",
                                    "x-amz-security-token",
                                    "x-amz-content-sha256",
                                    "proxy-connection"};
  return lowered.starts_with("x-prometheus-remote-") ||
         std::find(kReserved.begin(), kReserved.end(), lowered) != kReserved.end();
}

void read_headers(Map map, std::map<std::string, std::string>& headers) {
  std::set<std::string> seen;
  for (const std::string& name : map.keys()) {
    const Value value = *map.take(name);
    const std::string lowered = lower(name);
    std::string text;
    if (!is_http_token(name)) {
      map.fail(name, fmt::format("\"{}\" is not the name of an HTTP header", name));
    } else if (lowered == "authorization") {
      map.fail(name, "cannot be set here; use basic_auth or authorization");
    } else if (is_reserved_header(lowered)) {
      map.fail(name, "is reserved, because Tollgate sets it; remove it");
    } else if (!seen.insert(lowered).second) {
      map.fail(name, "is there twice (names of headers have no case); remove one");
    } else if (value.text(text)) {
      if (has_control_characters(text)) {
        value.fail("has a control character, which cannot be sent");
      } else if (text == kPlaceholder && !value.context().allow_placeholders) {
        value.fail("is the placeholder of a printed configuration; put the value there");
      } else {
        headers[name] = std::move(text);
      }
    }
  }
  map.finish();
}

void read_tenant_header(Map& map, RemoteWrite& out) {
  if (!map.text("tenant_header", out.tenant_header) || out.tenant_header.empty()) return;
  const std::string lowered = lower(out.tenant_header);
  if (!is_http_token(out.tenant_header)) {
    map.fail("tenant_header",
             fmt::format("\"{}\" is not the name of an HTTP header", out.tenant_header));
  } else if (lowered == "authorization" || is_reserved_header(lowered)) {
    map.fail("tenant_header",
             fmt::format("\"{}\" is reserved, because Tollgate sets it", out.tenant_header));
  }
  for (const auto& [name, value] : out.headers) {
    if (lower(name) == lowered) {
      map.fail("tenant_header",
               fmt::format("\"{}\" is in headers as well; keep one of the two", out.tenant_header));
    }
  }
}

void read_basic_auth(Map map, RemoteWrite& out) {
  BasicUser user;
  Secret name;
  if (!map.secret("username", SecretKind::kPassword, name)) map.fail("", "needs username");
  user.username = std::move(name.value);
  if (user.username.find(':') != std::string::npos) {
    map.fail("username", "has a colon, which a user name cannot have");
  }
  if (!map.secret("password", SecretKind::kPassword, user.password)) {
    map.fail("", "needs password or password_file");
  }
  map.finish();
  out.basic_auth = std::move(user);
}

void read_authorization(Map map, RemoteWrite& out) {
  if (map.text("type", out.authorization_type)) {
    if (!is_http_token(out.authorization_type)) {
      map.fail("type",
               fmt::format("\"{}\" is not an authentication scheme", out.authorization_type));
    } else if (lower(out.authorization_type) == "basic") {
      map.fail("type", "must not be Basic; use basic_auth");
    }
  }
  if (!map.secret("credentials", SecretKind::kToken, out.bearer)) {
    map.fail("", "needs credentials or credentials_file");
  }
  map.finish();
}

void read_auth(Map& map, RemoteWrite& out) {
  std::vector<std::string> given;
  if (map.has("basic_auth")) {
    given.emplace_back("basic_auth");
    read_basic_auth(map.map("basic_auth"), out);
  } else {
    map.take("basic_auth");
  }
  if (map.has("authorization")) {
    given.emplace_back("authorization");
    read_authorization(map.map("authorization"), out);
  } else {
    map.take("authorization");
  }
  // The older spelling of authorization.
  if (map.secret("bearer_token", SecretKind::kToken, out.bearer)) {
    given.emplace_back(map.has("bearer_token") ? "bearer_token" : "bearer_token_file");
  }
  if (given.size() > 1) {
    map.fail(given.back(), fmt::format("contradicts {}; keep one of the two", given.front()));
  }
  for (const char* key : {"oauth2", "sigv4", "azuread", "google_iam"}) {
    auto v = map.take(key);
    if (v && !v->is_null()) map.fail(key, "is not supported by this version; remove it");
  }
}

void read_tls(Map map, ClientTls& tls) {
  map.file("ca_file", tls.ca_file);
  const bool cert = map.file("cert_file", tls.cert_file);
  const bool key = map.file("key_file", tls.key_file);
  map.text("server_name", tls.server_name);
  map.boolean("insecure_skip_verify", tls.insecure_skip_verify);
  for (const char* key_in_place : {"ca", "cert", "key", "ca_ref", "cert_ref", "key_ref"}) {
    map.unsupported(key_in_place);
  }
  map.unsupported("min_version", {"TLS12"});  // what this version always demands
  map.unsupported("max_version", {"TLS13"});
  map.finish();
  if (key && !cert) map.fail("key_file", "needs cert_file as well");
  if (cert && !key) map.fail("cert_file", "needs key_file as well");
}

void read_queue(Map map, RemoteWrite& out) {
  constexpr uint32_t kMost = 1'000'000;
  constexpr uint32_t kMostShards = 10'000;
  const bool most = map.count("max_shards", out.max_shards, 1, kMostShards);
  map.count("max_samples_per_send", out.max_samples_per_send, 1, kMost);
  map.size("max_bytes_per_send", out.max_bytes_per_send);
  map.duration("batch_send_deadline", out.batch_send_deadline);
  map.duration("min_backoff", out.min_backoff);
  map.duration("max_backoff", out.max_backoff);
  map.duration("max_retry_after", out.max_retry_after);
  // Prometheus's keys that mean nothing here, and do no harm: the journal is the queue, so there
  // is no capacity; shards start from one; 429 is always retried.
  uint32_t capacity = 0;
  map.count("capacity", capacity, 1, UINT32_MAX);
  uint32_t min_shards = 1;
  const bool least = map.count("min_shards", min_shards, 1, kMostShards);
  bool retry = true;
  map.boolean("retry_on_http_429", retry);
  milliseconds age_limit{0};
  if (map.duration("sample_age_limit", age_limit) && age_limit.count() != 0) {
    map.fail("sample_age_limit",
             "is not supported by this version, which never drops a sample for its age; remove it");
  }
  map.finish();
  if (most && least && min_shards > out.max_shards) {
    map.fail("min_shards", "is more than max_shards");
  }
  if (out.max_bytes_per_send == 0) map.fail("max_bytes_per_send", "must be more than 0");
  if (out.min_backoff.count() == 0) map.fail("min_backoff", "must be longer than 0");
  if (out.min_backoff > out.max_backoff) {
    map.fail(map.has("min_backoff") ? "min_backoff" : "max_backoff",
             fmt::format("makes min_backoff ({}) longer than max_backoff ({})",
                         format_duration(out.min_backoff), format_duration(out.max_backoff)));
  }
}

// The bytes of a sender are passed on as they are, so nothing of them can be left out.
void read_forwarding(Map& map) {
  for (const char* key : {"send_exemplars", "send_native_histograms"}) {
    bool send = true;
    if (map.boolean(key, send) && !send) {
      map.fail(key,
               "cannot be false in this version, which forwards all that was received; "
               "remove it");
    }
  }
  Map metadata = map.map("metadata_config");
  bool send = true;
  if (metadata.boolean("send", send) && !send) {
    metadata.fail("send",
                  "cannot be false in this version, which forwards all that was received; "
                  "remove it");
  }
  milliseconds interval{0};
  metadata.duration("send_interval", interval);  // metadata goes on when it comes in
  uint32_t samples = 0;
  metadata.count("max_samples_per_send", samples, 1, UINT32_MAX);
  metadata.finish();
}

void read_protobuf_message(Map& map) {
  std::string message;
  auto v = map.take("protobuf_message");
  if (!v || !v->text(message) || message == "prometheus.WriteRequest") return;
  if (message == "io.prometheus.write.v2.Request") {
    v->fail("cannot be remote write 2.0, which is not supported by this version; remove it");
  } else {
    v->fail(fmt::format("\"{}\" is unknown; this version sends prometheus.WriteRequest", message));
  }
}

// Six hexadecimal digits, stable as long as the URL is (as Prometheus does it).
std::string derived_name(const Url& url) {
  return fmt::format("{:06x}", crc32c(url.text) & 0xffffffu);
}

RemoteWrite read_destination(const Value& value) {
  RemoteWrite out;
  Map map(value);
  auto url = map.take("url");
  std::string text;
  if (!url) {
    map.fail("", "needs url");
  } else if (url->text(text)) {
    auto parsed = parse_url(text);
    if (parsed) {
      out.url = std::move(*parsed);
    } else {
      url->fail(parsed.error().message);
    }
  }
  if (map.text("name", out.name) && !out.name.empty()) {
    if (auto problem = name_problem(out.name); !problem.empty()) map.fail("name", problem);
  } else if (!out.url.text.empty()) {
    out.name = derived_name(out.url);
  }
  map.choice<Dialect>("dialect", out.dialect,
                      {{"prometheus", Dialect::kPrometheus},
                       {"thanos", Dialect::kThanos},
                       {"amp", Dialect::kAmp},
                       {"mimir", Dialect::kMimir},
                       {"victoriametrics", Dialect::kVictoriaMetrics}});
  read_headers(map.map("headers"), out.headers);
  read_tenant_header(map, out);
  map.duration("remote_timeout", out.remote_timeout);
  if (out.remote_timeout.count() == 0) map.fail("remote_timeout", "must be longer than 0");
  read_auth(map, out);
  read_tls(map.map("tls_config"), out.tls);
  read_queue(map.map("queue_config"), out);
  read_forwarding(map);
  read_protobuf_message(map);
  map.unsupported("tenants");
  Map backlog = map.map("max_backlog");
  backlog.unsupported("age", {"0s", "0"});
  backlog.unsupported("size", {"0", "0B"});
  backlog.finish();
  map.unsupported("write_relabel_configs");
  bool ignored = false;  // we speak HTTP/1.1 and follow no redirect
  map.boolean("follow_redirects", ignored);
  map.boolean("enable_http2", ignored);
  map.unsupported("round_robin_dns", {"false"});
  map.unsupported("proxy_url");
  map.unsupported("no_proxy");
  map.unsupported("proxy_from_environment", {"false"});
  map.unsupported("proxy_connect_header");
  map.unsupported("http_headers");
  map.finish();
  return out;
}

}  // namespace

std::vector<RemoteWrite> read_remote_write(Map& root) {
  std::vector<RemoteWrite> out;
  for (const Value& value : root.list("remote_write")) {
    RemoteWrite next = read_destination(value);
    const bool twice =
        !next.name.empty() && std::any_of(out.begin(), out.end(), [&](const RemoteWrite& earlier) {
          return earlier.name == next.name;
        });
    if (twice) {
      value.fail(fmt::format(
          "has the name \"{}\" of an earlier destination; give each its own name", next.name));
    }
    out.push_back(std::move(next));
  }
  return out;
}

}  // namespace tollgate::config
