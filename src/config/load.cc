#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>

#include <algorithm>

#include "base/fs.h"
#include "config/sections.h"
#include "config/values.h"

namespace tollgate::config {
namespace {

constexpr uint64_t kSmallestSegment = 64ull << 10;

void read_tls(Map map, ServerTls& tls) {
  const bool cert = map.file("cert_file", tls.cert_file);
  const bool key = map.file("key_file", tls.key_file);
  const bool ca = map.file("client_ca_file", tls.client_ca_file);
  map.choice<ClientAuth>("client_auth", tls.client_auth,
                         {{"none", ClientAuth::kNone},
                          {"request", ClientAuth::kRequest},
                          {"require", ClientAuth::kRequire}});
  map.finish();
  if (key && !cert) map.fail("key_file", "needs cert_file as well");
  if (cert && !key) map.fail("cert_file", "needs key_file as well");
  if (tls.client_auth != ClientAuth::kNone && !ca) {
    map.fail("client_auth", "needs client_ca_file, against which clients are verified");
  }
  if (ca && !cert) map.fail("client_ca_file", "needs cert_file and key_file: plain HTTP has none");
  if (ca && tls.client_auth == ClientAuth::kNone) {
    map.fail("client_ca_file", "has no effect while client_auth is none; say request or require");
  }
}

void read_ingest(Map map, Ingest& ingest) {
  map.address("listen", ingest.listen);
  map.size("max_request_size", ingest.max_request_size);
  map.size("max_decoded_size", ingest.max_decoded_size);
  const bool inflight = map.size("max_inflight_size", ingest.max_inflight_size);
  map.size("series_cache_size", ingest.series_cache_size);
  map.count("max_connections", ingest.max_connections, 1, 1'000'000);
  map.duration("max_connection_age", ingest.max_connection_age);
  map.duration("idle_timeout", ingest.idle_timeout);
  read_tls(map.map("tls"), ingest.tls);
  map.finish();
  // Snappy's length preamble is 32 bits wide.
  constexpr uint64_t kLargestBody = (1ull << 32) - 1;
  if (ingest.max_request_size == 0 || ingest.max_request_size > kLargestBody) {
    map.fail("max_request_size", "must be from 1B to less than 4GB");
  }
  if (ingest.max_decoded_size == 0 || ingest.max_decoded_size > kLargestBody) {
    map.fail("max_decoded_size", "must be from 1B to less than 4GB");
  }
  if (ingest.idle_timeout.count() == 0) map.fail("idle_timeout", "must be longer than 0");
  // A request that can never be admitted would be retried for ever.
  if (ingest.max_inflight_size < ingest.max_request_size) {
    if (inflight) {
      map.fail("max_inflight_size", fmt::format("must be at least max_request_size ({})",
                                                format_size(ingest.max_request_size)));
    } else {
      ingest.max_inflight_size = 2 * ingest.max_request_size;
    }
  }
}

void read_admin(Map map, Admin& admin) {
  map.address("listen", admin.listen);
  map.finish();
}

void read_store_api(Map map, StoreApi& store_api) {
  map.address("listen", store_api.listen);
  map.labels("replica_label", store_api.replica_label);
  map.labels("labels", store_api.labels);
  map.finish();
}

void read_sync(Map& map, Journal& journal) {
  auto v = map.take("sync");
  std::string word;
  if (!v || !v->text(word)) return;
  if (word == "always") {
    journal.sync = SyncMode::kAlways;
  } else if (word == "never") {
    journal.sync = SyncMode::kNever;
  } else if (auto interval = parse_duration(word); interval && interval->count() > 0) {
    journal.sync = SyncMode::kInterval;
    journal.sync_interval = *interval;
  } else if (interval) {
    v->fail("must be longer than 0; say always to sync before each acknowledgement");
  } else {
    v->fail(fmt::format("\"{}\" is not always, never or a duration like 100ms", word));
  }
}

void read_shards(Map& map, Journal& journal) {
  constexpr uint32_t kMostShards = 1024;
  auto v = map.take("shards");
  if (!v || (v->is_scalar() && v->node().Scalar() == "auto")) return;
  v->count(journal.shards, 1, kMostShards);
}

void read_journal(Map map, Journal& journal) {
  map.text("path", journal.path);
  read_sync(map, journal);
  map.size("max_size", journal.max_size);
  const bool segment = map.size("segment_size", journal.segment_size);
  map.duration("retention", journal.retention);
  map.choice<OnFull>("on_full", journal.on_full,
                     {{"reject", OnFull::kReject}, {"drop_oldest", OnFull::kDropOldest}});
  read_shards(map, journal);
  map.count("max_streams", journal.max_streams, 1, 10'000'000);
  map.finish();
  if (journal.path.empty()) map.fail("path", "is empty; name the journal's directory");
  // Unless told, a small journal gets small segments: space is given back by the segment.
  if (!segment) {
    journal.segment_size = std::clamp(journal.max_size / 8, kSmallestSegment, journal.segment_size);
  }
  if (journal.segment_size < kSmallestSegment) {
    map.fail("segment_size", fmt::format("must be at least {}", format_size(kSmallestSegment)));
  } else if (journal.max_size / 2 < journal.segment_size) {
    map.fail("max_size", fmt::format("must be at least twice segment_size ({})",
                                     format_size(journal.segment_size)));
  }
}

bool same_port(const Address& a, const Address& b) {
  const auto any = [](const std::string& host) {
    return host.empty() || host == "0.0.0.0" || host == "::";
  };
  return a.port != 0 && a.port == b.port && (a.host == b.host || any(a.host) || any(b.host));
}

Config read_config(Map& root) {
  Config config;
  read_ingest(root.map("ingest"), config.ingest);
  read_admin(root.map("admin"), config.admin);
  read_store_api(root.map("store_api"), config.store_api);
  read_journal(root.map("journal"), config.journal);
  config.sources = read_sources(root);
  config.remote_write = read_remote_write(root);
  root.unsupported("cost");
  root.finish();
  if (same_port(config.ingest.listen, config.admin.listen)) {
    root.fail("admin", "listens on the same port as ingest; choose another");
  }
  return config;
}

Result<Config> parse_document(const std::string& text, const std::string& path,
                              bool allow_placeholders) {
  Context context{Problems(path), fs::directory_of(path), allow_placeholders};
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      Value(context, documents[1], "", {}).fail("a second document begins here; only one is read");
      return context.problems.error();
    }
    const YAML::Node top = documents.empty() ? YAML::Node(YAML::NodeType::Null) : documents.front();
    Map root(Value(context, top, "", {}));
    Config config = read_config(root);
    config.file = path;
    if (!context.problems.empty()) return context.problems.error();
    return config;
  } catch (const YAML::DeepRecursion& e) {
    context.problems.add({e.mark.line + 1, e.mark.column + 1}, "nested too deeply");
  } catch (const YAML::Exception& e) {
    const bool known = !e.mark.is_null();
    context.problems.add({known ? e.mark.line + 1 : 1, known ? e.mark.column + 1 : 1},
                         "not valid YAML: " + e.msg);
  }
  return context.problems.error();
}

}  // namespace

Result<Config> parse(const std::string& text, const std::string& path) {
  return parse_document(text, path, true);
}

Result<Config> load(const std::string& path) {
  auto text = read_text_file(path);
  if (!text) {
    return our_error(Code::kUnavailable,
                     fmt::format("cannot read {}: {}", path, text.error().message));
  }
  return parse_document(*text, path, false);
}

std::string name_problem(const std::string& name) {
  constexpr size_t kLongestName = 150;
  if (name.empty()) return "is empty; give it a name";
  if (name.size() > kLongestName) {
    return fmt::format("is longer than {} bytes; shorten it", kLongestName);
  }
  if (has_control_characters(name)) return "has a control character; remove it";
  return "";
}

}  // namespace tollgate::config
