#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/values.h"

namespace tollgate::config {
namespace {

// What parse() would turn back into `text`.
std::string escaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text.substr(i).starts_with("${env:")) out += '$';
    out += text[i];
  }
  return out;
}

class Writer {
 public:
  void begin(const char* key) { out_ << YAML::Key << key << YAML::Value << YAML::BeginMap; }
  void begin_list(const char* key, bool empty) {
    out_ << YAML::Key << key << YAML::Value;
    if (empty) out_ << YAML::Flow;
    out_ << YAML::BeginSeq;
  }
  void begin_element() { out_ << YAML::BeginMap; }
  void end() { out_ << YAML::EndMap; }
  void end_list() { out_ << YAML::EndSeq; }

  void put(const char* key, std::string_view value) {
    out_ << YAML::Key << key << YAML::Value << escaped(value);
  }
  void put(const char* key, const char* value) { put(key, std::string_view(value)); }
  void put(const char* key, uint32_t value) { put(key, std::to_string(value)); }
  void put(const char* key, bool value) { put(key, value ? "true" : "false"); }
  void put(const char* key, milliseconds value) { put(key, format_duration(value)); }
  void put(const char* key, const Address& value) { put(key, format_address(value)); }
  void size(const char* key, uint64_t value) { put(key, format_size(value)); }

  // A secret from a file prints as the file's name, which is none.
  void secret(const std::string& key, const Secret& value) {
    if (value.file.empty()) {
      put(key.c_str(), kPlaceholder);
    } else {
      put((key + "_file").c_str(), value.file);
    }
  }

  void strings(const char* key, const std::map<std::string, std::string>& values) {
    out_ << YAML::Key << key << YAML::Value;
    if (values.empty()) out_ << YAML::Flow;
    out_ << YAML::BeginMap;
    for (const auto& [name, value] : values) put(name.c_str(), value);
    out_ << YAML::EndMap;
  }
  void strings(const char* key, const std::vector<std::string>& values) {
    out_ << YAML::Key << key << YAML::Value << YAML::Flow << YAML::BeginSeq;
    for (const auto& value : values) out_ << escaped(value);
    out_ << YAML::EndSeq;
  }

  YAML::Emitter& raw() { return out_; }

 private:
  YAML::Emitter out_;
};

std::string_view text(ClientAuth value) {
  switch (value) {
    case ClientAuth::kNone:
      return "none";
    case ClientAuth::kRequest:
      return "request";
    case ClientAuth::kRequire:
      return "require";
  }
  return "none";
}

std::string_view text(Dialect value) {
  switch (value) {
    case Dialect::kPrometheus:
      return "prometheus";
    case Dialect::kThanos:
      return "thanos";
    case Dialect::kAmp:
      return "amp";
    case Dialect::kMimir:
      return "mimir";
    case Dialect::kVictoriaMetrics:
      return "victoriametrics";
  }
  return "prometheus";
}

std::string text(const Journal& journal) {
  switch (journal.sync) {
    case SyncMode::kAlways:
      return "always";
    case SyncMode::kNever:
      return "never";
    case SyncMode::kInterval:
      return format_duration(journal.sync_interval);
  }
  return "always";
}

void write(Writer& w, const Ingest& ingest) {
  w.begin("ingest");
  w.put("listen", ingest.listen);
  w.size("max_request_size", ingest.max_request_size);
  w.size("max_decoded_size", ingest.max_decoded_size);
  w.size("max_inflight_size", ingest.max_inflight_size);
  w.size("series_cache_size", ingest.series_cache_size);
  w.put("max_connections", ingest.max_connections);
  w.put("max_connection_age", ingest.max_connection_age);
  w.put("idle_timeout", ingest.idle_timeout);
  w.begin("tls");
  w.put("cert_file", ingest.tls.cert_file);
  w.put("key_file", ingest.tls.key_file);
  w.put("client_ca_file", ingest.tls.client_ca_file);
  w.put("client_auth", text(ingest.tls.client_auth));
  w.end();
  w.end();
}

void write(Writer& w, const Journal& journal) {
  w.begin("journal");
  w.put("path", journal.path);
  w.put("sync", text(journal));
  w.size("max_size", journal.max_size);
  w.size("segment_size", journal.segment_size);
  w.put("retention", journal.retention);
  w.put("on_full", journal.on_full == OnFull::kReject ? "reject" : "drop_oldest");
  w.put("shards", journal.shards == 0 ? "auto" : std::to_string(journal.shards));
  w.put("max_streams", journal.max_streams);
  w.end();
}

void write(Writer& w, const SourceAuth& auth) {
  if (auth.kind == AuthKind::kNone) return w.put("auth", "none");
  w.begin("auth");
  if (auth.kind == AuthKind::kBearer) {
    w.begin("bearer");
    w.secret("token", auth.token);
  } else {
    w.begin("basic");
    if (!auth.htpasswd_file.empty()) {
      w.put("htpasswd_file", auth.htpasswd_file);
    } else if (auth.users.size() == 1) {
      w.put("username", auth.users[0].username);
      w.secret("password", auth.users[0].password);
    } else {
      w.begin("users");
      for (const BasicUser& user : auth.users) w.put(user.username.c_str(), kPlaceholder);
      w.end();
    }
  }
  w.end();
  w.end();
}

void write(Writer& w, const TenantRule& tenant) {
  if (tenant.header.empty()) return w.put("tenant", tenant.fixed);
  w.begin("tenant");
  w.put("header", tenant.header);
  w.strings("allow", tenant.allow);
  w.put("default", tenant.fallback);
  w.end();
}

void write(Writer& w, const Source& source) {
  w.begin_element();
  w.put("name", source.name);
  write(w, source.auth);
  write(w, source.tenant);
  w.strings("enforced_labels", source.enforced_labels);
  w.put("on_conflict", source.on_conflict == OnConflict::kOverride ? "override" : "reject");
  w.strings("external_labels", source.external_labels);
  w.begin("ha");
  w.put("cluster_label", source.ha.cluster_label);
  w.put("replica_label", source.ha.replica_label);
  w.put("mode", "off");
  w.end();
  w.end();
}

// Headers are no secrets, but some people have no other place for one.
bool may_hold_secret(std::string_view header) {
  std::string lowered(header);
  std::transform(lowered.begin(), lowered.end(), lowered.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (std::string_view word : {"auth", "cookie", "key", "password", "secret", "token"}) {
    if (lowered.find(word) != std::string::npos) return true;
  }
  return false;
}

void write(Writer& w, const RemoteWrite& destination) {
  w.begin_element();
  w.put("name", destination.name);
  w.put("url", destination.url.text);
  w.put("dialect", text(destination.dialect));
  w.put("tenant_header", destination.tenant_header);
  auto headers = destination.headers;
  for (auto& [name, value] : headers) {
    if (may_hold_secret(name)) value = kPlaceholder;
  }
  w.strings("headers", headers);
  w.put("remote_timeout", destination.remote_timeout);
  if (destination.basic_auth) {
    w.begin("basic_auth");
    w.put("username", destination.basic_auth->username);
    w.secret("password", destination.basic_auth->password);
    w.end();
  }
  if (!destination.bearer.empty()) {
    w.begin("authorization");
    w.put("type", destination.authorization_type);
    w.secret("credentials", destination.bearer);
    w.end();
  }
  w.begin("tls_config");
  w.put("ca_file", destination.tls.ca_file);
  w.put("cert_file", destination.tls.cert_file);
  w.put("key_file", destination.tls.key_file);
  w.put("server_name", destination.tls.server_name);
  w.put("insecure_skip_verify", destination.tls.insecure_skip_verify);
  w.end();
  w.begin("queue_config");
  w.put("max_samples_per_send", destination.max_samples_per_send);
  w.size("max_bytes_per_send", destination.max_bytes_per_send);
  w.put("batch_send_deadline", destination.batch_send_deadline);
  w.put("min_backoff", destination.min_backoff);
  w.put("max_backoff", destination.max_backoff);
  w.put("max_retry_after", destination.max_retry_after);
  w.put("max_shards", destination.max_shards);
  w.end();
  w.end();
}

}  // namespace

std::string dump(const Config& config) {
  Writer w;
  w.raw() << YAML::BeginMap;
  write(w, config.ingest);
  w.begin("admin");
  w.put("listen", config.admin.listen);
  w.end();
  w.begin("store_api");
  w.put("listen", config.store_api.listen);
  w.strings("replica_label", config.store_api.replica_label);
  w.strings("labels", config.store_api.labels);
  w.end();
  write(w, config.journal);
  w.begin_list("sources", config.sources.empty());
  for (const Source& source : config.sources) write(w, source);
  w.end_list();
  w.begin_list("remote_write", config.remote_write.empty());
  for (const RemoteWrite& destination : config.remote_write) write(w, destination);
  w.end_list();
  w.raw() << YAML::EndMap;
  return std::string(w.raw().c_str()) + "\n";
}

}  // namespace tollgate::config
