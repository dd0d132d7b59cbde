#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* text;
  const char* message;  // without the file's name
};

void expect(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(bad(c.text), std::string("gate.yml:") + c.message) << c.text;
  }
}

TEST(BadConfig, UnknownKeysNameThePlaceAndTheNearestKey) {
  expect({
      {"ingress: {}",
       "1:1: unknown key \"ingress\" at the top level; the nearest known key is "
       "\"ingest\""},
      {"ingest:\n  lisen: :1",
       "2:3: unknown key \"lisen\" in ingest; the nearest known key is "
       "\"listen\""},
      {"ingest: {tls: {client_ca: x}}",
       "1:16: unknown key \"client_ca\" in ingest.tls; the "
       "nearest known key is \"client_ca_file\""},
      {"admin: {listn: :1}",
       "1:9: unknown key \"listn\" in admin; the nearest known key is "
       "\"listen\""},
      {"store_api: {label: {}}",
       "1:13: unknown key \"label\" in store_api; the nearest known key "
       "is \"labels\""},
      {"journal:\n  retension: 1m",
       "2:3: unknown key \"retension\" in journal; the nearest known "
       "key is \"retention\""},
      {"sources:\n- auth: none\n  enforcedLabels: {}",
       "3:3: unknown key \"enforcedLabels\" in sources[0]; the nearest known key is "
       "\"enforced_labels\""},
      {"sources: [{auth: none, limits: {brust: 0}}]",
       "1:33: unknown key \"brust\" in sources[0].limits; the nearest known key is \"burst\""},
      {"sources: [{auth: none, ha: {Mode: off}}]",
       "1:29: unknown key \"Mode\" in sources[0].ha; the nearest known key is \"mode\""},
      {"sources: [{auth: {bearer: {tokenfile: f, token: t}}}]",
       "1:28: unknown key \"tokenfile\" in sources[0].auth.bearer; the nearest known key is "
       "\"token_file\""},
      {"sources: [{auth: none, tenant: {header: X, alow: []}}]",
       "1:44: unknown key \"alow\" in sources[0].tenant; the nearest known key is \"allow\""},
      {"remote_write:\n  - url: http://h\n    remote_timeot: 1s",
       "3:5: unknown key \"remote_timeot\" in remote_write[0]; the nearest known key is "
       "\"remote_timeout\""},
      {"remote_write:\n  - url: http://h\n    queue_config:\n      max_shard: 3",
       "4:7: unknown key \"max_shard\" in remote_write[0].queue_config; the nearest known key is "
       "\"max_shards\""},
      {"remote_write: [{url: http://h, tls_config: {cafile: x}}]",
       "1:45: unknown key \"cafile\" in remote_write[0].tls_config; the nearest known key is "
       "\"ca_file\""},
      {"a: &x {b: 1}\ningest:\n  <<: *x",
       "1:1: unknown key \"a\" at the top level; the nearest known key is \"admin\"\n"
       "gate.yml:3:3: unknown key \"<<\" in ingest; merge keys are not supported, use an alias "
       "for a whole value"},
  });
  EXPECT_THAT(bad("global: {external_labels: {a: b}}"),
              HasSubstr("gate.yml:1:1: unknown key \"global\" at the top level"));
}

TEST(BadConfig, YamlThatIsNoneIsPlaced) {
  expect({
      {"a: [1\nb: 2", "2:2: not valid YAML: end of sequence flow not found"},
      {"ingest:\n\tlisten: x", "2:8: not valid YAML: illegal map value"},
      {"a: *x", "1:4: not valid YAML: the referenced anchor is not defined"},
      {"a: 1\n---\nb: 2", "3:1: a second document begins here; only one is read"},
      {"just words", "1:1: must be a mapping (key: value), not a single value"},
      {"- 1", "1:1: must be a mapping (key: value), not a list"},
  });
  EXPECT_THAT(bad(std::string(100'000, '[')), HasSubstr("gate.yml:1:1: nested too deeply"));
}

TEST(BadConfig, DuplicateKeysAreErrors) {
  expect({
      {"ingest: {}\nadmin: {}\ningest: {}",
       "3:1: duplicate key \"ingest\", first given at line 1; remove one of them"},
      {"sources:\n- auth: none\n  name: a\n  name: b",
       "4:3: duplicate key \"name\", first given at line 3; remove one of them"},
      {"sources:\n- auth: none\n  enforced_labels: {a: b, a: c}",
       "3:27: duplicate key \"a\", first given at line 3; remove one of them"},
  });
}

TEST(BadConfig, WrongKindsAreExplained) {
  expect({
      {"ingest: 5", "1:9: ingest must be a mapping (key: value), not a single value"},
      {"ingest: {listen: [a]}", "1:18: ingest.listen must be a single value, not a list"},
      {"ingest: {listen: }", "1:18: ingest.listen has no value; give one or remove the key"},
      {"ingest: {listen: 80}",
       "1:18: ingest.listen: \"80\" is not an address; write host:port, "
       ":port or [IPv6]:port"},
      {"sources: {a: b}", "1:10: sources must be a list, not a mapping"},
      {"sources: [blue]", "1:11: sources[0] must be a mapping (key: value), not a single value"},
      {"remote_write: [http://h]",
       "1:16: remote_write[0] must be a mapping (key: value), not a single value"},
      {"ingest: {max_connections: many}",
       "1:27: ingest.max_connections: \"many\" is not a whole number from 1 to 1000000"},
      {"ingest: {? [a] : b}", "1:12: a key must be a single word, not a list"},
      {"sources: [{auth: none, on_conflict: panic}]",
       "1:37: sources[0].on_conflict: \"panic\" is not one of override, reject"},
      {"journal: {on_full: drop}",
       "1:20: journal.on_full: \"drop\" is not one of reject, "
       "drop_oldest"},
      {"remote_write: [{url: http://h, tls_config: {insecure_skip_verify: maybe}}]",
       "1:67: remote_write[0].tls_config.insecure_skip_verify: \"maybe\" is not one of true, "
       "false, "
       "yes, no, on, off"},
  });
}

TEST(BadConfig, SizesAndLimitsMustMakeSense) {
  expect({
      {"ingest: {max_request_size: 0}",
       "1:10: ingest.max_request_size must be from 1B to less than 4GB"},
      {"ingest: {max_decoded_size: 4GB}",
       "1:10: ingest.max_decoded_size must be from 1B to less than 4GB"},
      {"ingest: {max_inflight_size: 1MB}",
       "1:10: ingest.max_inflight_size must be at least max_request_size (32MB)"},
      {"ingest: {idle_timeout: 0s}", "1:10: ingest.idle_timeout must be longer than 0"},
      {"ingest: {max_connections: 0}",
       "1:27: ingest.max_connections: \"0\" is not a whole number from 1 to 1000000"},
      {"journal: {max_size: 100MB, segment_size: 64MB}",
       "1:11: journal.max_size must be at least twice segment_size (64MB)"},
      {"journal:\n  segment_size: 10GB",
       "2:3: journal.max_size must be at least twice segment_size (10GB)"},
      {"journal: {max_size: 100KB}",
       "1:11: journal.max_size must be at least twice segment_size (64KB)"},
      {"journal: {segment_size: 1KB}", "1:11: journal.segment_size must be at least 64KB"},
      {"journal: {path: ''}", "1:11: journal.path is empty; name the journal's directory"},
      {"journal: {shards: 0}", "1:19: journal.shards: \"0\" is not a whole number from 1 to 1024"},
      {"journal: {shards: -1}",
       "1:19: journal.shards: \"-1\" is not a whole number from 1 to 1024"},
      {"journal: {shards: [1]}", "1:19: journal.shards must be a single value, not a list"},
      {"journal: {sync: 0s}",
       "1:17: journal.sync must be longer than 0; say always to sync before "
       "each acknowledgement"},
      {"journal: {sync: sometimes}",
       "1:17: journal.sync: \"sometimes\" is not always, never or a duration like 100ms"},
      {"journal: {retention: 5}",
       "1:22: journal.retention: \"5\" is not a duration; write it like "
       "500ms, 30s or 1h30m"},
      {"journal: {max_size: 16XB}",
       "1:21: journal.max_size: \"16XB\" is not a size; write it like "
       "512KB, 32MB or 16GB (powers of two)"},
  });
}

TEST(BadConfig, TwoListenersOnOnePortAreRefused) {
  expect({{"ingest: {listen: 0.0.0.0:9000}\nadmin: {listen: 127.0.0.1:9000}",
           "2:1: admin listens on the same port as ingest; choose another"}});
  EXPECT_EQ(bad("ingest: {listen: 127.0.0.1:0}\nadmin: {listen: 127.0.0.1:0}"), "");
  EXPECT_EQ(bad("ingest: {listen: 127.0.0.1:9}\nadmin: {listen: 127.0.0.2:9}"), "");
}

TEST(BadConfig, TlsOfTheServerMustBeComplete) {
  const TemporaryDirectory d;
  d.write("c.pem", "c");
  d.write("k.pem", "k");
  const std::string file = d.path() + "/gate.yml";
  const auto tls = [&](const std::string& body) {
    return bad("ingest: {tls: {" + body + "}}", file).substr(file.size() + 1);
  };
  EXPECT_EQ(tls("cert_file: c.pem"), "1:16: ingest.tls.cert_file needs key_file as well");
  EXPECT_EQ(tls("key_file: k.pem"), "1:16: ingest.tls.key_file needs cert_file as well");
  EXPECT_EQ(
      tls("cert_file: c.pem, key_file: k.pem, client_auth: require"),
      "1:51: ingest.tls.client_auth needs client_ca_file, against which clients are verified");
  EXPECT_EQ(tls("cert_file: c.pem, key_file: k.pem, client_ca_file: c.pem"),
            "1:51: ingest.tls.client_ca_file has no effect while client_auth is none; say request "
            "or require");
  EXPECT_EQ(tls("client_ca_file: c.pem, client_auth: require"),
            "1:16: ingest.tls.client_ca_file needs cert_file and key_file: plain HTTP has none");
  EXPECT_EQ(tls("cert_file: nope.pem, key_file: k.pem"),
            "1:16: ingest.tls.cert_file names " + d.path() +
                "/nope.pem, which cannot be read: No such file or directory");
  EXPECT_THAT(tls("cert_file: ., key_file: k.pem"), HasSubstr("Is a directory"));
}

TEST(BadConfig, AllProblemsAreReportedInOrder) {
  EXPECT_EQ(bad("remote_write: [{}]\n"
                "journal: {sync: x}\n"
                "ingest: {listen: y, foo: 1}\n"),
            "gate.yml:1:16: remote_write[0] needs url\n"
            "gate.yml:2:17: journal.sync: \"x\" is not always, never or a duration like 100ms\n"
            "gate.yml:3:18: ingest.listen: \"y\" is not an address; write host:port, :port or "
            "[IPv6]:port\n"
            "gate.yml:3:21: unknown key \"foo\" in ingest; the nearest known key is \"tls\"");
}

TEST(BadConfig, TwentyProblemsAreEnough) {
  std::string text = "ingest:\n";
  for (int i = 0; i < 25; i++) text += "  key" + std::to_string(i) + ": 1\n";
  const std::string message = bad(text);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 19);
  EXPECT_THAT(message, ::testing::EndsWith("(and 5 more)"));
}

TEST(BadConfig, CostIsNotThereYet) {
  expect({{"cost: {interval: 1h}", "1:1: cost is not supported by this version; remove it"}});
}

TEST(BadConfig, ASelfReferenceEnds) {
  EXPECT_THAT(bad("sources: &s\n  - *s"), HasSubstr("sources[0] must be a mapping"));
  EXPECT_THAT(bad("ingest: &i\n  tls: *i"), HasSubstr("unknown key \"tls\" in ingest.tls"));
}

TEST(Load, OfAMissingFileSaysSo) {
  const auto config = load("/nonexistent/gate.yml");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, Code::kUnavailable);
  EXPECT_EQ(config.error().message, "cannot read /nonexistent/gate.yml: No such file or directory");
}

TEST(Load, OfABadFileNamesItAsGiven) {
  const TemporaryDirectory d;
  const std::string file = d.write("gate.yml", "\nfoo: 1\n");
  const auto config = load(file);
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, Code::kInvalid);
  EXPECT_THAT(config.error().message, ::testing::StartsWith(file + ":2:1: unknown key \"foo\""));
}

}  // namespace
}  // namespace tollgate::config
