#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

// The golden defaults: what an operator who writes nothing gets (a destination's too).
TEST(Defaults, AreThose) {
  const Config config = good("remote_write: [{name: d, url: 'http://h/w'}]");
  EXPECT_EQ(dump(config), R"(ingest:
  listen: 0.0.0.0:19291
  max_request_size: 32MB
  max_decoded_size: 128MB
  max_inflight_size: 64MB
  series_cache_size: 16MB
  max_connections: 10000
  max_connection_age: 2m
  idle_timeout: 6m
  tls:
    cert_file: ""
    key_file: ""
    client_ca_file: ""
    client_auth: none
admin:
  listen: 127.0.0.1:10902
store_api:
  listen: 127.0.0.1:10901
  replica_label: {}
  labels: {}
journal:
  path: data/journal
  sync: always
  max_size: 16GB
  segment_size: 64MB
  retention: 15m
  on_full: reject
  shards: auto
  max_streams: 10000
sources:
  - name: default
    auth: none
    tenant: default
    enforced_labels: {}
    on_conflict: override
    external_labels: {}
    ha:
      cluster_label: cluster
      replica_label: prometheus_replica
      mode: off
remote_write:
  - name: d
    url: http://h/w
    dialect: prometheus
    tenant_header: ""
    headers: {}
    remote_timeout: 30s
    tls_config:
      ca_file: ""
      cert_file: ""
      key_file: ""
      server_name: ""
      insecure_skip_verify: false
    queue_config:
      max_samples_per_send: 2000
      max_bytes_per_send: 8MB
      batch_send_deadline: 100ms
      min_backoff: 30ms
      max_backoff: 5s
      max_retry_after: 1m
      max_shards: 50
)");
}

TEST(Defaults, ComeFromAnEmptyFileToo) {
  for (const char* text : {"", "# nothing\n", "---\n", "{}", "ingest:\nsources:\nremote_write:\n",
                           "sources: []\nremote_write: []\ncost: {}\n"}) {
    const Config config = good(text);
    EXPECT_EQ(dump(config), dump(good(""))) << text;
    ASSERT_EQ(config.sources.size(), 1u);
    EXPECT_EQ(config.sources[0].name, "default");
    EXPECT_EQ(config.sources[0].auth.kind, AuthKind::kNone);
    EXPECT_TRUE(config.remote_write.empty());
    EXPECT_EQ(config.file, "gate.yml");
  }
}

// The whole contract with the values it prints; what does not exist yet is neutral there.
TEST(Contract, EveryKeyIsKnown) {
  const TemporaryDirectory directory;
  directory.write("blue.token", "abc\n");
  const Config config = good(R"(
ingest:
  listen: 0.0.0.0:19291
  max_request_size: 32MB
  max_decoded_size: 128MB
  max_connection_age: 2m
  tls: {cert_file: "", key_file: "", client_ca_file: "", client_auth: none}
admin: {listen: 127.0.0.1:10902}
store_api: {listen: 127.0.0.1:10901, replica_label: {}, labels: {}}
journal:
  path: data/journal
  sync: always
  max_size: 16GB
  retention: 15m
  on_full: reject
  shards: auto
sources:
  - name: blue
    auth: {bearer: {token_file: blue.token}}
    tenant: team-blue
    enforced_labels: {cluster: blue}
    on_conflict: override
    external_labels: {}
    relabel_configs: []
    limits: {samples_per_second: 0, burst: 0, active_series: 0, labels_per_series: 0,
             label_name_length: 0, label_value_length: 0, max_sample_age: 0s, max_future: 10m,
             on_limit: 429}
    ha: {cluster_label: cluster, replica_label: prometheus_replica, mode: off}
remote_write:
  - name: thanos
    url: http://thanos-receive.monitoring.svc.cluster.local:19291/api/v1/receive
    dialect: thanos
    tenant_header: THANOS-TENANT
    tenants: []
    max_backlog: {age: 0s, size: 0}
cost: {}
)",
                             directory.path() + "/gate.yml");
  ASSERT_EQ(config.sources.size(), 1u);
  EXPECT_EQ(config.sources[0].auth.token.value, "abc");
  EXPECT_EQ(config.sources[0].auth.token.file, directory.path() + "/blue.token");
  EXPECT_EQ(config.sources[0].tenant.fixed, "team-blue");
  EXPECT_EQ(config.sources[0].enforced_labels.at("cluster"), "blue");
  ASSERT_EQ(config.remote_write.size(), 1u);
  EXPECT_EQ(config.remote_write[0].dialect, Dialect::kThanos);
  EXPECT_EQ(config.remote_write[0].tenant_header, "THANOS-TENANT");
  EXPECT_EQ(config.remote_write[0].url.port, 19291);
}

TEST(Journal, SyncIsAWordOrAnInterval) {
  EXPECT_EQ(good("journal: {sync: always}").journal.sync, SyncMode::kAlways);
  EXPECT_EQ(good("journal: {sync: never}").journal.sync, SyncMode::kNever);
  const Journal journal = good("journal: {sync: 250ms}").journal;
  EXPECT_EQ(journal.sync, SyncMode::kInterval);
  EXPECT_EQ(journal.sync_interval.count(), 250);
}

TEST(Journal, ShardsAreAutoOrANumber) {
  EXPECT_EQ(good("journal: {shards: auto}").journal.shards, 0u);
  EXPECT_EQ(good("journal: {shards: 4}").journal.shards, 4u);
}

TEST(Journal, ASmallOneGetsSmallSegments) {
  EXPECT_EQ(good("journal: {max_size: 64MB}").journal.segment_size, 8ull << 20);
  EXPECT_EQ(good("journal: {max_size: 256KB}").journal.segment_size, 64ull << 10);
  EXPECT_EQ(good("journal: {max_size: 2GB}").journal.segment_size, 64ull << 20);
  EXPECT_EQ(good("journal: {max_size: 2GB, segment_size: 1GB}").journal.segment_size, 1ull << 30);
}

TEST(Journal, PathStaysRelativeToTheWorkingDirectory) {
  EXPECT_EQ(good("journal: {path: state/j}", "/etc/tollgate/gate.yml").journal.path, "state/j");
}

TEST(Ingest, LargerRequestsRaiseWhatMayBeInFlight) {
  EXPECT_EQ(good("ingest: {max_request_size: 100MB}").ingest.max_inflight_size, 200ull << 20);
  EXPECT_EQ(good("ingest: {max_request_size: 1MB}").ingest.max_inflight_size, 64ull << 20);
}

TEST(Ingest, TlsFilesAreFound) {
  const TemporaryDirectory directory;
  directory.write("c.pem", "c");
  directory.write("k.pem", "k");
  directory.write("ca.pem", "ca");
  const Ingest ingest =
      good(
          "ingest: {tls: {cert_file: c.pem, key_file: k.pem, client_ca_file: ca.pem, "
          "client_auth: require}}",
          directory.path() + "/gate.yml")
          .ingest;
  EXPECT_TRUE(ingest.tls.enabled());
  EXPECT_EQ(ingest.tls.cert_file, directory.path() + "/c.pem");
  EXPECT_EQ(ingest.tls.client_auth, ClientAuth::kRequire);
}

}  // namespace
}  // namespace tollgate::config
