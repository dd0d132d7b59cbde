#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const char* const kEverything = R"(
ingest:
  listen: "[::1]:1"
  max_request_size: 1MB
  max_decoded_size: 1000
  max_inflight_size: 7MB
  series_cache_size: 7MB
  max_connections: 7
  max_connection_age: 0s
  idle_timeout: 1m1s
  tls: {cert_file: c.pem, key_file: k.pem, client_ca_file: c.pem, client_auth: request}
admin: {listen: ":2"}
store_api: {listen: "h:3", replica_label: {a: b}, labels: {c: d}}
journal:
  path: some/where
  sync: 20ms
  max_size: 1GB
  segment_size: 1MB
  retention: 1d
  on_full: drop_oldest
  shards: 5
  max_streams: 9
sources:
  - name: "bearer # 1"
    auth: {bearer: {token: hunter2}}
    tenant: team-a
    enforced_labels: {a: "1", b: "null", c: "~", d: "x: y", e: "multi\nline\t\"q\"", f: "é",
                      g: " s ", h: "$${env:HOME}", i: "- x", j: "{", k: "true"}
    on_conflict: reject
    external_labels: {z: '@', y: "%a", x: "\u2028"}
    ha: {cluster_label: c, replica_label: r}
  - name: bearer file
    auth: {bearer: {token_file: t}}
    tenant: {header: X-T, allow: [a, b], default: a}
  - name: basic
    auth: {basic: {username: "u v", password: hunter2}}
    tenant: {header: X-T}
  - name: basic file
    auth: {basic: {username: u, password_file: t}}
  - name: users
    auth: {basic: {users: {u: "$2b$04$HASH", "v w": "$2b$04$HASH"}}}
  - name: htpasswd
    auth: {basic: {htpasswd_file: h}}
  - name: open
    auth: none
remote_write:
  - name: one
    url: https://h:1/x?y=z
    dialect: mimir
    tenant_header: X-Scope-OrgID
    headers: {X-A: b, X-Api-Key: hunter2}
    remote_timeout: 1s
    basic_auth: {username: u, password: hunter2}
    tls_config: {ca_file: c.pem, cert_file: c.pem, key_file: k.pem, server_name: s,
                 insecure_skip_verify: true}
    queue_config: {max_samples_per_send: 1, max_bytes_per_send: 2, batch_send_deadline: 3ms,
                   min_backoff: 4ms, max_backoff: 5ms, max_retry_after: 6ms, max_shards: 7}
  - url: http://h/2
    authorization: {type: Token, credentials: hunter2}
  - url: http://h/3
    bearer_token_file: t
)";

std::string everything() {
  std::string text = kEverything;
  for (size_t at; (at = text.find("$2b$04$HASH")) != std::string::npos;) {
    text.replace(at, 11, kHash);
  }
  return text;
}

class Dump : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_.write("c.pem", "x");
    directory_.write("k.pem", "x");
    directory_.write("t", "hunter2-from-a-file");
    directory_.write("h", "u:" + kHash);
  }
  std::string file() const { return directory_.path() + "/gate.yml"; }
  TemporaryDirectory directory_;
};

TEST_F(Dump, ShowsNoSecret) {
  const std::string text = dump(good(everything(), file()));
  EXPECT_THAT(text, Not(HasSubstr("hunter2")));
  EXPECT_THAT(text, Not(HasSubstr(kHash)));
  EXPECT_THAT(text, HasSubstr("<secret>"));
  EXPECT_THAT(text, HasSubstr("token_file: " + directory_.path() + "/t"));
  EXPECT_THAT(text, HasSubstr("X-A: b"));
}

// dump ∘ parse is the identity on what dump prints, and nothing but secrets is lost.
TEST_F(Dump, ReadsBackAsTheSameConfiguration) {
  const Config config = good(everything(), file());
  const std::string text = dump(config);
  const Config again = good(text, "elsewhere.yml");
  EXPECT_EQ(dump(again), text);

  ASSERT_EQ(again.sources.size(), config.sources.size());
  for (size_t i = 0; i < config.sources.size(); i++) {
    const Source& a = config.sources[i];
    const Source& b = again.sources[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.auth.kind, b.auth.kind);
    EXPECT_EQ(a.auth.htpasswd_file, b.auth.htpasswd_file);
    ASSERT_EQ(a.auth.users.size(), b.auth.users.size());
    for (size_t k = 0; k < a.auth.users.size(); k++) {
      EXPECT_EQ(a.auth.users[k].username, b.auth.users[k].username);
    }
    EXPECT_EQ(a.tenant.fixed, b.tenant.fixed);
    EXPECT_EQ(a.tenant.header, b.tenant.header);
    EXPECT_EQ(a.tenant.allow, b.tenant.allow);
    EXPECT_EQ(a.tenant.fallback, b.tenant.fallback);
    EXPECT_EQ(a.enforced_labels, b.enforced_labels);
    EXPECT_EQ(a.on_conflict, b.on_conflict);
    EXPECT_EQ(a.external_labels, b.external_labels);
    EXPECT_EQ(a.ha.cluster_label, b.ha.cluster_label);
    EXPECT_EQ(a.ha.replica_label, b.ha.replica_label);
  }
  ASSERT_EQ(again.remote_write.size(), config.remote_write.size());
  for (size_t i = 0; i < config.remote_write.size(); i++) {
    const RemoteWrite& a = config.remote_write[i];
    const RemoteWrite& b = again.remote_write[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.url.text, b.url.text);
    EXPECT_EQ(a.dialect, b.dialect);
    EXPECT_EQ(a.authorization_type, b.authorization_type);
    EXPECT_EQ(a.basic_auth.has_value(), b.basic_auth.has_value());
    EXPECT_EQ(a.bearer.file, b.bearer.file);
    EXPECT_EQ(a.max_bytes_per_send, b.max_bytes_per_send);
    EXPECT_EQ(a.tls.key_file, b.tls.key_file);
  }
  EXPECT_EQ(again.journal.sync, SyncMode::kInterval);
  EXPECT_EQ(again.journal.sync_interval.count(), 20);
  EXPECT_EQ(again.ingest.listen.host, "::1");
}

TEST_F(Dump, ValuesThatLookLikeYamlSurvive) {
  const Config config = good(everything(), file());
  const auto& labels = config.sources[0].enforced_labels;
  EXPECT_EQ(labels.at("e"), "multi\nline\t\"q\"");
  EXPECT_EQ(labels.at("h"), "${env:HOME}");
  EXPECT_EQ(good(dump(config), file()).sources[0].enforced_labels, labels);
}

}  // namespace
}  // namespace tollgate::config
