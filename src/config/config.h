#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

// The configuration file (design §8) as plain values, checked. Sizes are bytes, powers of two
// ("32MB" = 33554432, as in Prometheus); durations as in Prometheus ("1h30m", "500ms", "0").
namespace tollgate::config {

using std::chrono::milliseconds;

// A secret: the text is read from `<key>` or from the file named by `<key>_file`. Printing a
// configuration shows `<secret>`.
struct Secret {
  std::string value;  // what to use; surrounding white space of a file removed
  std::string file;   // absolute path it was read from; empty if given in place
  bool empty() const { return value.empty() && file.empty(); }
  bool operator==(const Secret&) const = default;
};

struct Address {
  std::string host;   // IPv4, IPv6 without brackets, or a name; empty = any
  uint16_t port = 0;  // 0 = the system chooses
};

enum class ClientAuth { kNone, kRequest, kRequire };

struct ServerTls {
  std::string cert_file;  // empty: plain HTTP
  std::string key_file;
  std::string client_ca_file;
  ClientAuth client_auth = ClientAuth::kNone;
  bool enabled() const { return !cert_file.empty(); }
};

struct Ingest {
  Address listen{"0.0.0.0", 19291};
  uint64_t max_request_size = 32ull << 20;  // compressed
  uint64_t max_decoded_size = 128ull << 20;
  uint64_t max_inflight_size = 64ull << 20;  // bodies and staged bytes not yet journaled, all cores
  uint64_t series_cache_size = 16ull << 20;  // of series that come again, all cores; 0 = none
  uint32_t max_connections = 10000;
  milliseconds max_connection_age{120'000};  // jittered by ±20 %; 0 = never
  milliseconds idle_timeout{360'000};        // longer than Prometheus's 5 min
  ServerTls tls;
};

struct Admin {
  Address listen{"127.0.0.1", 10902};
};

struct StoreApi {
  Address listen{"127.0.0.1", 10901};
  std::map<std::string, std::string> replica_label;
  std::map<std::string, std::string> labels;
};

enum class SyncMode { kAlways, kInterval, kNever };
enum class OnFull { kReject, kDropOldest };

struct Journal {
  std::string path = "data/journal";
  SyncMode sync = SyncMode::kAlways;
  milliseconds sync_interval{0};  // with kInterval
  uint64_t max_size = 16ull << 30;
  uint64_t segment_size = 64ull << 20;
  milliseconds retention{15 * 60'000};
  OnFull on_full = OnFull::kReject;
  uint32_t shards = 0;  // 0 = auto
  uint32_t max_streams = 10'000;
};

struct BasicUser {
  std::string username;
  Secret password;  // plain text, or a bcrypt hash ($2a$, $2b$, $2y$)
  bool operator==(const BasicUser&) const = default;
};

enum class AuthKind { kNone, kBasic, kBearer };

struct SourceAuth {
  AuthKind kind = AuthKind::kNone;
  std::vector<BasicUser> users;  // kBasic
  std::string htpasswd_file;     // kBasic: where `users` were read from; empty if in place
  Secret token;                  // kBearer
};

// The tenant of a source: static, or from a header (`allow` empty = any valid id).
struct TenantRule {
  std::string fixed = "default";
  std::string header;  // not empty: the header decides
  std::vector<std::string> allow;
  std::string fallback;  // without the header; empty = refuse with 403
};

enum class OnConflict { kOverride, kReject };

struct Ha {
  std::string cluster_label = "cluster";
  std::string replica_label = "prometheus_replica";
};

struct Source {
  std::string name = "default";
  SourceAuth auth;
  TenantRule tenant;
  std::map<std::string, std::string> enforced_labels;
  OnConflict on_conflict = OnConflict::kOverride;
  std::map<std::string, std::string> external_labels;
  Ha ha;
};

enum class Dialect { kPrometheus, kThanos, kAmp, kMimir, kVictoriaMetrics };

// Outgoing TLS. Verification is on unless insecure_skip_verify.
struct ClientTls {
  std::string ca_file;  // empty: the system's store
  std::string cert_file;
  std::string key_file;
  std::string server_name;  // empty: the URL's host
  bool insecure_skip_verify = false;
  bool operator==(const ClientTls&) const = default;
};

struct Url {
  std::string scheme;  // "http" | "https"
  std::string host;    // without brackets
  uint16_t port = 0;   // always set
  std::string target;  // path and query, starts with '/'
  std::string text;    // as written, for people (user info is refused by the loader)
  bool operator==(const Url&) const = default;
};

// One destination. Keys and meanings are Prometheus's where it has them.
struct RemoteWrite {
  std::string name;
  Url url;
  Dialect dialect = Dialect::kPrometheus;
  std::string tenant_header;  // empty: none is sent
  std::map<std::string, std::string> headers;
  milliseconds remote_timeout{30'000};
  std::optional<BasicUser> basic_auth;
  Secret bearer;  // authorization: {type: Bearer, credentials | credentials_file}
  std::string authorization_type = "Bearer";
  ClientTls tls;
  // queue_config
  uint32_t max_samples_per_send = 2000;
  uint64_t max_bytes_per_send = 8ull << 20;  // decoded bytes of one request
  milliseconds batch_send_deadline{100};     // how long a lane waits to fill a request
  milliseconds min_backoff{30};
  milliseconds max_backoff{5000};
  milliseconds max_retry_after{60'000};
  uint32_t max_shards = 50;  // requests in flight to this destination
  bool operator==(const RemoteWrite&) const = default;
};

struct Config {
  Ingest ingest;
  Admin admin;
  StoreApi store_api;
  Journal journal;
  std::vector<Source> sources;  // never empty: without any, one open source "default"
  std::vector<RemoteWrite> remote_write;
  std::string file;  // the path it was loaded from
};

// Reads and checks a file. Errors: Code::kInvalid with "file:line:column: what is wrong; what to
// do", naming the nearest known key for an unknown one. All problems found are reported, one a
// line, at most 20; Code::kUnavailable if the file itself cannot be read. Relative file names in
// the configuration are relative to its directory, but journal.path to the working directory.
// In every value `${env:NAME}` and `${env:NAME:-default}` are replaced; `$${env:` is the escape.
// Keys of the contract whose feature does not exist yet are refused unless they have their
// neutral value, so that nothing is silently ignored.
Result<Config> load(const std::string& path);
// The same from text; `path` is used in messages and for relative names. Unlike load() it takes
// `<secret>` for a secret, so that what dump() prints can be read back and compared. Never serve
// from it: `<secret>` would be the password.
Result<Config> parse(const std::string& text, const std::string& path);

// The effective configuration as YAML with all defaults; secrets print as <secret> (those from a
// file as the file's name), as do the values of headers whose names suggest one.
std::string dump(const Config& config);

// "1h30m", "500ms", "0" · "32MB", "1GB", "4096" · "host:port", ":port", "[::1]:port".
Result<milliseconds> parse_duration(const std::string& text);
Result<uint64_t> parse_size(const std::string& text);
Result<Address> parse_address(const std::string& text);
Result<Url> parse_url(const std::string& text);

}  // namespace tollgate::config
