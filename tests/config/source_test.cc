#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;

// One source with these keys, on one line; columns count from 12.
std::string source(const std::string& keys) { return "sources: [{" + keys + "}]"; }

Source read(const std::string& keys) { return good(source(keys)).sources.at(0); }

TEST(SourceAuth, HasFourForms) {
  EXPECT_EQ(read("auth: none").auth.kind, AuthKind::kNone);
  EXPECT_EQ(read("auth: {none: {}}").auth.kind, AuthKind::kNone);
  const SourceAuth bearer = read("auth: {bearer: {token: abc}}").auth;
  EXPECT_EQ(bearer.kind, AuthKind::kBearer);
  EXPECT_EQ(bearer.token.value, "abc");
  const SourceAuth basic = read("auth: {basic: {username: u, password: 'p:q '}}").auth;
  EXPECT_EQ(basic.kind, AuthKind::kBasic);
  ASSERT_EQ(basic.users.size(), 1u);
  EXPECT_EQ(basic.users[0].username, "u");
  EXPECT_EQ(basic.users[0].password.value, "p:q ");
  const SourceAuth users =
      read("auth: {basic: {users: {u: '" + kHash + "', v: '" + kHash + "'}}}").auth;
  ASSERT_EQ(users.users.size(), 2u);
  EXPECT_EQ(users.users[1].username, "v");
  EXPECT_EQ(users.users[1].password.value, kHash);
}

TEST(SourceAuth, ReadsHtpasswdFiles) {
  const TemporaryDirectory d;
  d.write("users", "# comment\n\nu:" + kHash + "\r\nv:" + kHash);
  const SourceAuth auth =
      good(source("auth: {basic: {htpasswd_file: users}}"), d.path() + "/gate.yml").sources[0].auth;
  ASSERT_EQ(auth.users.size(), 2u);
  EXPECT_EQ(auth.users[0].username, "u");
  EXPECT_EQ(auth.users[0].password.value, kHash);
  EXPECT_EQ(auth.users[1].username, "v");
  EXPECT_EQ(auth.htpasswd_file, d.path() + "/users");
}

TEST(SourceAuth, BadHtpasswdLinesArePlaced) {
  const TemporaryDirectory d;
  const std::string file = d.path() + "/gate.yml";
  const auto problem = [&](const std::string& lines) {
    d.write("users", lines);
    return bad(source("auth: {basic: {htpasswd_file: users}}"), file);
  };
  const std::string at = file + ":1:27: sources[0].auth.basic.htpasswd_file ";
  const std::string users = d.path() + "/users";
  EXPECT_EQ(problem("u" + kHash), at + "has a bad line, " + users + ":1: a line is user:hash");
  EXPECT_EQ(problem("u:" + kHash + "\nu:" + kHash),
            at + "has a bad line, " + users + ":2: user \"u\" is there twice; remove one");
  EXPECT_EQ(problem("u:$apr1$aa$bb"),
            at + "has a bad line, " + users +
                ":1: the password of \"u\" is not a bcrypt hash; make one with htpasswd -nbB "
                "<user> <password>");
  EXPECT_EQ(problem("\n# nobody\n"),
            at + "names " + users + ", which has no users; nobody could write");
}

struct Case {
  const char* keys;
  const char* message;
};

TEST(SourceAuth, IsNeverGuessed) {
  const Case cases[] = {
      {"auth: open",
       "1:18: sources[0].auth: \"open\" is not none; other kinds are mappings, like "
       "{bearer: {token_file: f}}"},
      {"auth: ", "1:12: sources[0].auth is empty; say basic, bearer or none"},
      {"auth: {}", "1:12: sources[0].auth is empty; say basic, bearer or none"},
      {"auth: [none]", "1:18: sources[0].auth must be a mapping (key: value), not a list"},
      {"auth: {bearer: {token: a}, basic: {username: u, password: p}}",
       "1:12: sources[0].auth has more than one kind; make a source of each"},
      {"auth: {none: {}, bearer: {token: a}}",
       "1:12: sources[0].auth has more than one kind; make a source of each"},
      {"auth: {client_cert: {san: x}}",
       "1:19: sources[0].auth.client_cert is not supported by this version; remove it"},
      {"auth: {bearer: {}}", "1:27: sources[0].auth.bearer needs token or token_file"},
      {"auth: {bearer: {token: 'a b'}}",
       "1:35: sources[0].auth.bearer.token has a space, a control character or a letter outside "
       "ASCII, which a token cannot have"},
      {"auth: {basic: {}}",
       "1:26: sources[0].auth.basic needs exactly one of: username with "
       "password or password_file, users, htpasswd_file"},
      {"auth: {basic: {username: u}}",
       "1:26: sources[0].auth.basic needs password or password_file"},
      {"auth: {basic: {password: p}}", "1:26: sources[0].auth.basic needs username"},
      {"auth: {basic: {username: '', password: p}}",
       "1:27: sources[0].auth.basic.username is empty; give the user's name"},
      {"auth: {basic: {username: 'a:b', password: p}}",
       "1:27: sources[0].auth.basic.username has a colon, which a user name cannot have"},
      {"auth: {basic: {users: {}}}",
       "1:27: sources[0].auth.basic.users is empty, so nobody could "
       "write; name at least one user"},
      {"auth: {basic: {users: {u: plain}}}",
       "1:38: sources[0].auth.basic.users.u is not a bcrypt hash; make one with htpasswd -nbB "
       "<user> <password>"},
      {"auth: {basic: {username: u, password: $2b$10$short}}",
       "1:40: sources[0].auth.basic.password is a malformed bcrypt hash: it has 60 characters, "
       "$2b$NN$ and 53 more"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(bad(source(c.keys)), std::string("gate.yml:") + c.message) << c.keys;
  }
  EXPECT_THAT(bad(source("auth: {basic: {username: u, password: p, users: {v: '" + kHash + "'}}}")),
              HasSubstr("needs exactly one of"));
}

TEST(SourceTenant, IsFixedOrFromAHeader) {
  EXPECT_EQ(read("auth: none").tenant.fixed, "default");
  EXPECT_EQ(read("auth: none").tenant.header, "");
  EXPECT_EQ(read("auth: none, tenant: team-a").tenant.fixed, "team-a");
  const TenantRule rule =
      read("auth: none, tenant: {header: X-Scope-OrgID, allow: [a, b], default: b}").tenant;
  EXPECT_EQ(rule.header, "X-Scope-OrgID");
  EXPECT_EQ(rule.allow, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(rule.fallback, "b");
  EXPECT_EQ(read("auth: none, tenant: {header: T}").tenant.fallback, "");
}

TEST(SourceTenant, MistakesAreRefused) {
  const std::string rule =
      " is not a tenant id: 1 to 150 of A-Z a-z 0-9 ! _ . * ' ( ) -, but not \".\" or \"..\"";
  const auto problem = [](const std::string& tenant) {
    return bad(source("auth: none, tenant: " + tenant));
  };
  const std::string at = "gate.yml:1:";
  EXPECT_EQ(problem("a/b"), at + "32: sources[0].tenant: \"a/b\"" + rule);
  EXPECT_EQ(problem("'..'"), at + "32: sources[0].tenant: \"..\"" + rule);
  EXPECT_EQ(problem("''"), at + "32: sources[0].tenant: \"\"" + rule);
  EXPECT_EQ(problem(""), at + "32: sources[0].tenant has no value; give one or remove the key");
  EXPECT_EQ(problem("{}"), at + "32: sources[0].tenant needs header, or write the tenant itself");
  EXPECT_EQ(problem("{header: 'a b'}"),
            at + "33: sources[0].tenant.header: \"a b\" is not the name of an HTTP header");
  EXPECT_EQ(problem("{header: ''}"),
            at + "33: sources[0].tenant.header: \"\" is not the name of an HTTP header");
  EXPECT_EQ(problem("{header: H, allow: [a, b/c]}"),
            at + "55: sources[0].tenant.allow[1]: \"b/c\"" + rule);
  EXPECT_EQ(problem("{header: H, allow: [a, a]}"),
            at + "55: sources[0].tenant.allow[1]: \"a\" is in the list already; remove it");
  EXPECT_EQ(problem("{header: H, allow: a}"),
            at + "51: sources[0].tenant.allow must be a list, not a single value");
  EXPECT_EQ(problem("{header: H, allow: [a], default: b}"),
            at + "56: sources[0].tenant.default: \"b\" is not in allow; add it there");
  EXPECT_EQ(problem("{header: H, default: b/c}"),
            at + "44: sources[0].tenant.default: \"b/c\"" + rule);
  EXPECT_EQ(problem("{label: team}"),
            at + "33: sources[0].tenant.label is not supported by this version; remove it");
}

TEST(SourceLabels, MistakesAreRefused) {
  const auto problem = [](const std::string& labels) {
    return bad(source("auth: none, enforced_labels: {" + labels + "}"));
  };
  const std::string at = "gate.yml:1:";
  EXPECT_EQ(problem("1a: b"), at + "42: sources[0].enforced_labels.1a: \"1a\" is not a label name "
                                   "([a-zA-Z_][a-zA-Z0-9_]*)");
  EXPECT_EQ(problem("a-b: c"), at + "42: sources[0].enforced_labels.a-b: \"a-b\" is not a label "
                                    "name ([a-zA-Z_][a-zA-Z0-9_]*)");
  EXPECT_EQ(problem("a: ''"), at + "45: sources[0].enforced_labels.a is empty, which means no "
                                   "label; give it a value or remove it");
  EXPECT_EQ(problem("a: "), at + "45: sources[0].enforced_labels.a is empty, which means no label; "
                                 "give it a value or remove it");
  EXPECT_EQ(problem("__name__: x"), at + "42: sources[0].enforced_labels.__name__ would set the "
                                         "metric name of every series; remove it");
  EXPECT_EQ(problem("a: [b]"),
            at + "45: sources[0].enforced_labels.a must be a single value, not a list");
  EXPECT_EQ(problem("a: \"\\xff\""), "");  // a YAML escape for U+00FF, which is fine
  EXPECT_THAT(problem("a: \"x\\0y\""), HasSubstr("has a NUL character"));
  EXPECT_THAT(problem("a: \"\xff\""), HasSubstr("is not valid UTF-8"));
}

TEST(SourceLabels, ThatLookLikeOtherTypesAreText) {
  const Source s = read("auth: none, enforced_labels: {a: 1, b: true, c: 0x10, d: 1.50, e: no}");
  EXPECT_EQ(s.enforced_labels.at("a"), "1");
  EXPECT_EQ(s.enforced_labels.at("b"), "true");
  EXPECT_EQ(s.enforced_labels.at("c"), "0x10");
  EXPECT_EQ(s.enforced_labels.at("d"), "1.50");
  EXPECT_EQ(s.enforced_labels.at("e"), "no");
}

TEST(SourceLabels, MayBeBothEnforcedAndExternal) {
  const Source s = read("auth: none, enforced_labels: {a: x}, external_labels: {a: y}");
  EXPECT_EQ(s.enforced_labels.at("a"), "x");
  EXPECT_EQ(s.external_labels.at("a"), "y");
}

TEST(SourceFeatures, OfLaterVersionsAreRefused) {
  const Case cases[] = {
      {"auth: none, relabel_configs: [{action: drop}]", "24: sources[0].relabel_configs"},
      {"auth: none, limits: {samples_per_second: 5}", "33: sources[0].limits.samples_per_second"},
      {"auth: none, limits: {burst: 5}", "33: sources[0].limits.burst"},
      {"auth: none, limits: {active_series: 5}", "33: sources[0].limits.active_series"},
      {"auth: none, limits: {labels_per_series: 5}", "33: sources[0].limits.labels_per_series"},
      {"auth: none, limits: {label_name_length: 5}", "33: sources[0].limits.label_name_length"},
      {"auth: none, limits: {label_value_length: 5}", "33: sources[0].limits.label_value_length"},
      {"auth: none, limits: {max_sample_age: 1h}", "33: sources[0].limits.max_sample_age"},
      {"auth: none, limits: {max_future: 1h}", "33: sources[0].limits.max_future"},
      {"auth: none, limits: {on_limit: 418}", "33: sources[0].limits.on_limit"},
      {"auth: none, ha: {mode: dedupe}", "29: sources[0].ha.mode"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(bad(source(c.keys)), std::string("gate.yml:1:") + c.message +
                                       " is not supported by this version; remove it");
  }
}

TEST(SourceHa, LabelsMustBeNames) {
  EXPECT_EQ(read("auth: none, ha: {cluster_label: c, replica_label: __replica__}").ha.replica_label,
            "__replica__");
  EXPECT_EQ(bad(source("auth: none, ha: {replica_label: a-b}")),
            "gate.yml:1:29: sources[0].ha.replica_label: \"a-b\" is not a label name "
            "([a-zA-Z_][a-zA-Z0-9_]*)");
}

TEST(Sources, MustBeNamedOnce) {
  EXPECT_EQ(bad("sources:\n"
                "- {name: a, auth: {bearer: {token: x}}}\n"
                "- {name: a, auth: {bearer: {token: y}}}\n"),
            "gate.yml:3:3: sources[1] has the name \"a\" of an earlier source; names are unique");
  EXPECT_EQ(bad(source("auth: none, name: ''")),
            "gate.yml:1:24: sources[0].name is empty; give it a name");
  EXPECT_EQ(bad(source("auth: none, name: \"a\\nb\"")),
            "gate.yml:1:24: sources[0].name has a control character; remove it");
}

TEST(Sources, ThatNobodyCanReachAreRefused) {
  EXPECT_EQ(bad("sources:\n"
                "- {name: open, auth: none}\n"
                "- {name: blue, auth: {bearer: {token: x}}}\n"),
            "gate.yml:3:3: sources[1] can never match: source \"open\" before it is open to "
            "anybody; move that one to the end");
  EXPECT_EQ(bad("sources:\n"
                "- {name: blue, auth: {bearer: {token: x}}}\n"
                "- {name: green, auth: {bearer: {token: x}}}\n"),
            "gate.yml:3:3: sources[1] can never match: source \"blue\" has the same token");
  EXPECT_EQ(bad("sources:\n"
                "- {name: blue, auth: {bearer: {token: x}}}\n"
                "- {name: open, auth: none}\n"),
            "");
}

TEST(Sources, WithABrokenAuthDoNotCountAsOpen) {
  EXPECT_EQ(bad("sources:\n"
                "- {name: a, auth: {}}\n"
                "- {name: b, auth: {bearer: {token: x}}}\n"),
            "gate.yml:2:13: sources[0].auth is empty; say basic, bearer or none");
}

TEST(Sources, WithoutAuthAreOpenToAnybody) {
  EXPECT_EQ(bad("sources:\n- {name: a}\n"), "");
  EXPECT_EQ(bad("sources:\n"
                "- {name: a}\n"
                "- {name: b, auth: {bearer: {token: x}}}\n"),
            "gate.yml:3:3: sources[1] can never match: source \"a\" before it is open to anybody; "
            "move that one to the end");
}

}  // namespace
}  // namespace tollgate::config
