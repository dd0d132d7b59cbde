#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// One destination with these keys, on one line; columns count from 31.
std::string destination(const std::string& keys) {
  return "remote_write: [{url: http://h, " + keys + "}]";
}

RemoteWrite read(const std::string& keys) { return good(destination(keys)).remote_write.at(0); }

TEST(RemoteWrite, ABlockOfPrometheusCanBePasted) {
  const Config config = good(R"(remote_write:
  - url: https://mimir.example/api/v1/push
    name: mimir
    remote_timeout: 45s
    protobuf_message: prometheus.WriteRequest
    headers: {X-Scope-OrgID: anonymous}
    write_relabel_configs: []
    send_exemplars: true
    send_native_histograms: true
    follow_redirects: true
    enable_http2: false
    round_robin_dns: false
    basic_auth: {username: bob, password: pw}
    tls_config: {server_name: m.example, insecure_skip_verify: true, min_version: TLS12}
    queue_config:
      capacity: 10000
      max_shards: 20
      min_shards: 1
      max_samples_per_send: 500
      batch_send_deadline: 5s
      min_backoff: 50ms
      max_backoff: 10s
      retry_on_http_429: true
      sample_age_limit: 0s
    metadata_config: {send: true, send_interval: 1m, max_samples_per_send: 2000}
)");
  ASSERT_EQ(config.remote_write.size(), 1u);
  const RemoteWrite& d = config.remote_write[0];
  EXPECT_EQ(d.name, "mimir");
  EXPECT_EQ(d.url.host, "mimir.example");
  EXPECT_EQ(d.remote_timeout.count(), 45'000);
  EXPECT_EQ(d.headers.at("X-Scope-OrgID"), "anonymous");
  ASSERT_TRUE(d.basic_auth);
  EXPECT_EQ(d.basic_auth->username, "bob");
  EXPECT_EQ(d.basic_auth->password.value, "pw");
  EXPECT_TRUE(d.tls.insecure_skip_verify);
  EXPECT_EQ(d.tls.server_name, "m.example");
  EXPECT_EQ(d.max_shards, 20u);
  EXPECT_EQ(d.max_samples_per_send, 500u);
  EXPECT_EQ(d.batch_send_deadline.count(), 5000);
  EXPECT_EQ(d.min_backoff.count(), 50);
  EXPECT_EQ(d.max_backoff.count(), 10'000);
}

TEST(RemoteWrite, TokensHaveAnOldAndANewSpelling) {
  EXPECT_EQ(read("authorization: {credentials: abc}").bearer.value, "abc");
  EXPECT_EQ(read("authorization: {credentials: abc}").authorization_type, "Bearer");
  EXPECT_EQ(read("authorization: {type: Token, credentials: abc}").authorization_type, "Token");
  EXPECT_EQ(read("bearer_token: abc").bearer.value, "abc");
}

TEST(RemoteWrite, EveryDialectHasAName) {
  EXPECT_EQ(read("dialect: prometheus").dialect, Dialect::kPrometheus);
  EXPECT_EQ(read("dialect: thanos").dialect, Dialect::kThanos);
  EXPECT_EQ(read("dialect: amp").dialect, Dialect::kAmp);
  EXPECT_EQ(read("dialect: mimir").dialect, Dialect::kMimir);
  EXPECT_EQ(read("dialect: victoriametrics").dialect, Dialect::kVictoriaMetrics);
}

TEST(RemoteWrite, NamesAreDerivedFromTheUrl) {
  const std::string name = good("remote_write: [{url: http://h/a}]").remote_write[0].name;
  EXPECT_EQ(name.size(), 6u);
  EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(good("remote_write: [{url: http://h/a, dialect: amp}]").remote_write[0].name, name);
  EXPECT_NE(good("remote_write: [{url: http://h/b}]").remote_write[0].name, name);
}

TEST(RemoteWrite, NamesAreUnique) {
  EXPECT_EQ(bad("remote_write:\n- {name: a, url: http://g}\n- {name: a, url: http://h}"),
            "gate.yml:3:3: remote_write[1] has the name \"a\" of an earlier destination; give each "
            "its own name");
  EXPECT_THAT(bad("remote_write:\n- {url: http://h}\n- {url: http://h}"),
              HasSubstr("gate.yml:3:3: remote_write[1] has the name"));
}

TEST(RemoteWrite, AWrongUrlIsPlacedAndItsPasswordNotRepeated) {
  EXPECT_EQ(bad("remote_write: [{name: a}]"), "gate.yml:1:16: remote_write[0] needs url");
  EXPECT_EQ(bad("remote_write: [{url: ftp://h}]"),
            "gate.yml:1:22: remote_write[0].url has the unknown scheme \"ftp\"; use http or https");
  const std::string message = bad("remote_write: [{url: 'http://u:hunter2@h'}]");
  EXPECT_EQ(message, "gate.yml:1:22: remote_write[0].url must not carry user info; use basic_auth");
}

struct Case {
  const char* keys;
  const char* message;  // from the column on
};

TEST(RemoteWrite, MistakesAreRefused) {
  const Case cases[] = {
      {"name: \"a\\tb\"", "32: remote_write[0].name has a control character; remove it"},
      {"dialect: graphite",
       "41: remote_write[0].dialect: \"graphite\" is not one of prometheus, "
       "thanos, amp, mimir, victoriametrics"},
      {"remote_timeout: 0s", "32: remote_write[0].remote_timeout must be longer than 0"},
      {"tenant_header: 'a b'",
       "32: remote_write[0].tenant_header: \"a b\" is not the name of an HTTP header"},
      {"tenant_header: Content-Type",
       "32: remote_write[0].tenant_header: \"Content-Type\" is reserved, because Tollgate sets it"},
      {"tenant_header: x-t, headers: {X-T: a}",
       "32: remote_write[0].tenant_header: \"x-t\" is in headers as well; keep one of the two"},
      {"headers: {Authorization: x}",
       "42: remote_write[0].headers.Authorization cannot be set "
       "here; use basic_auth or authorization"},
      {"headers: {host: x}",
       "42: remote_write[0].headers.host is reserved, because Tollgate sets "
       "it; remove it"},
      {"headers: {X-Prometheus-Remote-Write-Version: x}",
       "42: remote_write[0].headers.X-Prometheus-Remote-Write-Version is reserved, because "
       "Tollgate "
       "sets it; remove it"},
      {"headers: {X-A: b, x-a: c}",
       "50: remote_write[0].headers.x-a is there twice (names of "
       "headers have no case); remove one"},
      {"headers: {'a:b': c}",
       "42: remote_write[0].headers.a:b: \"a:b\" is not the name of an HTTP header"},
      {"headers: {X-A: \"b\\r\\nEvil: 1\"}",
       "47: remote_write[0].headers.X-A has a control character, which cannot be sent"},
      {"basic_auth: {username: u}",
       "44: remote_write[0].basic_auth needs password or "
       "password_file"},
      {"basic_auth: {password: u}", "44: remote_write[0].basic_auth needs username"},
      {"basic_auth: {username: 'a:b', password: u}",
       "45: remote_write[0].basic_auth.username has a colon, which a user name cannot have"},
      {"authorization: {}",
       "47: remote_write[0].authorization needs credentials or credentials_file"},
      {"authorization: {type: Basic, credentials: x}",
       "48: remote_write[0].authorization.type must not be Basic; use basic_auth"},
      {"authorization: {type: 'a b', credentials: x}",
       "48: remote_write[0].authorization.type: \"a b\" is not an authentication scheme"},
      {"authorization: {credentials: \"x\\r\\nEvil: 1\"}",
       "61: remote_write[0].authorization.credentials has a space, a control character or a letter "
       "outside ASCII, which a token cannot have"},
      {"authorization: {credentials: x}, basic_auth: {username: u, password: p}",
       "32: remote_write[0].authorization contradicts basic_auth; keep one of the two"},
      {"authorization: {credentials: x}, bearer_token: y",
       "65: remote_write[0].bearer_token contradicts authorization; keep one of the two"},
      {"queue_config: {min_backoff: 10s}",
       "47: remote_write[0].queue_config.min_backoff makes min_backoff (10s) longer than "
       "max_backoff (5s)"},
      {"queue_config: {max_backoff: 1ms}",
       "47: remote_write[0].queue_config.max_backoff makes min_backoff (30ms) longer than "
       "max_backoff (1ms)"},
      {"queue_config: {max_shards: 0}",
       "59: remote_write[0].queue_config.max_shards: \"0\" is not a whole number from 1 to 10000"},
      {"queue_config: {max_shards: 2, min_shards: 3}",
       "62: remote_write[0].queue_config.min_shards is more than max_shards"},
      {"queue_config: {max_samples_per_send: 0}",
       "69: remote_write[0].queue_config.max_samples_per_send: \"0\" is not a whole number from 1 "
       "to 1000000"},
      {"queue_config: {max_bytes_per_send: 0}",
       "47: remote_write[0].queue_config.max_bytes_per_send must be more than 0"},
      {"queue_config: {sample_age_limit: 1h}",
       "47: remote_write[0].queue_config.sample_age_limit is not supported by this version, which "
       "never drops a sample for its age; remove it"},
      {"send_exemplars: false",
       "32: remote_write[0].send_exemplars cannot be false in this version, which forwards all "
       "that "
       "was received; remove it"},
      {"send_native_histograms: false",
       "32: remote_write[0].send_native_histograms cannot be false in this version, which forwards "
       "all that was received; remove it"},
      {"metadata_config: {send: false}",
       "50: remote_write[0].metadata_config.send cannot be false in this version, which forwards "
       "all that was received; remove it"},
      {"protobuf_message: io.prometheus.write.v2.Request",
       "50: remote_write[0].protobuf_message cannot be remote write 2.0, which is not supported by "
       "this version; remove it"},
      {"protobuf_message: x",
       "50: remote_write[0].protobuf_message: \"x\" is unknown; this version "
       "sends prometheus.WriteRequest"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(bad(destination(c.keys)), std::string("gate.yml:1:") + c.message) << c.keys;
  }
}

TEST(RemoteWrite, FeaturesOfLaterVersionsAreRefused) {
  const Case cases[] = {
      {"sigv4: {region: eu-west-2}", "32: remote_write[0].sigv4"},
      {"sigv4: {}", "32: remote_write[0].sigv4"},
      {"oauth2: {client_id: x}", "32: remote_write[0].oauth2"},
      {"azuread: {cloud: x}", "32: remote_write[0].azuread"},
      {"write_relabel_configs: [{action: drop}]", "32: remote_write[0].write_relabel_configs"},
      {"tenants: [a]", "32: remote_write[0].tenants"},
      {"max_backlog: {age: 1h}", "46: remote_write[0].max_backlog.age"},
      {"max_backlog: {size: 1GB}", "46: remote_write[0].max_backlog.size"},
      {"proxy_url: http://p", "32: remote_write[0].proxy_url"},
      {"proxy_from_environment: true", "32: remote_write[0].proxy_from_environment"},
      {"round_robin_dns: true", "32: remote_write[0].round_robin_dns"},
      {"http_headers: {a: {values: [b]}}", "32: remote_write[0].http_headers"},
      {"tls_config: {min_version: TLS10}", "45: remote_write[0].tls_config.min_version"},
      {"tls_config: {ca: x}", "45: remote_write[0].tls_config.ca"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(bad(destination(c.keys)), std::string("gate.yml:1:") + c.message +
                                            " is not supported by this version; remove it");
  }
}

TEST(RemoteWrite, NeutralValuesOfLaterFeaturesAreAccepted) {
  EXPECT_EQ(bad(destination("tenants: [], max_backlog: {age: 0s, size: 0}, proxy_url: '', "
                            "write_relabel_configs: [], round_robin_dns: false, sigv4: ")),
            "");
}

TEST(RemoteWrite, TlsFilesAreResolvedAndMustBeThere) {
  const TemporaryDirectory d;
  d.write("ca.pem", "x");
  d.write("c.pem", "x");
  d.write("k.pem", "x");
  const std::string file = d.path() + "/gate.yml";
  const ClientTls tls =
      good(destination("tls_config: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem}"), file)
          .remote_write[0]
          .tls;
  EXPECT_EQ(tls.ca_file, d.path() + "/ca.pem");
  EXPECT_EQ(tls.cert_file, d.path() + "/c.pem");
  EXPECT_EQ(tls.key_file, d.path() + "/k.pem");
  EXPECT_EQ(bad(destination("tls_config: {key_file: k.pem}"), file),
            file + ":1:45: remote_write[0].tls_config.key_file needs cert_file as well");
  EXPECT_EQ(bad(destination("tls_config: {cert_file: c.pem}"), file),
            file + ":1:45: remote_write[0].tls_config.cert_file needs key_file as well");
  EXPECT_EQ(bad(destination("tls_config: {ca_file: no.pem}"), file),
            file + ":1:45: remote_write[0].tls_config.ca_file names " + d.path() +
                "/no.pem, which cannot be read: No such file or directory");
}

}  // namespace
}  // namespace tollgate::config
