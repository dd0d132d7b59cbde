#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::policy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

config::Source tenant_source(std::vector<std::string> allow, const std::string& fallback) {
  config::Source source = open_source("s");
  source.tenant.header = "X-Scope-OrgID";
  source.tenant.allow = std::move(allow);
  source.tenant.fallback = fallback;
  return source;
}

std::string for_header(const Policy& policy, const std::string& value) {
  return outcome(policy, "", {{"X-Scope-OrgID", value}});
}

TEST(Tenant, IsFixedWhateverTheHeadersSay) {
  config::Source source = open_source("s");
  source.tenant.fixed = "team-a";
  const auto policy = make_policy({source});
  EXPECT_EQ(outcome(*policy, ""), "s/team-a");
  EXPECT_EQ(outcome(*policy, "", {{"X-Scope-OrgID", "team-b"}, {"THANOS-TENANT", "team-b"}}),
            "s/team-a");
}

TEST(Tenant, FromAHeaderIsAnyValidIdWithoutAnAllowList) {
  const auto policy = make_policy({tenant_source({}, "")});
  EXPECT_EQ(for_header(*policy, "team-a"), "s/team-a");
  EXPECT_EQ(for_header(*policy, std::string(150, 'a')), "s/" + std::string(150, 'a'));
  EXPECT_EQ(for_header(*policy, "!_.*'()-"), "s/!_.*'()-");
  EXPECT_EQ(for_header(*policy, "..."), "s/...");
}

TEST(Tenant, TricksInTheHeaderAreRefused) {
  const auto strict = make_policy({tenant_source({"team-a", "team-b"}, "team-a")});
  const auto loose = make_policy({tenant_source({}, "fallback")});
  const std::string tricks[] = {".",
                                "..",
                                "../x",
                                "x/..",
                                "team-a/../team-b",
                                "/",
                                "\\",
                                std::string(151, 'a'),
                                std::string(100'000, 'a'),
                                "team-ä",
                                "team-a ",
                                " team-a",
                                "team-a\t",
                                "team-a\n",
                                "team-a, team-b",
                                "team-a,team-b",
                                "team-a|team-b",
                                "team-a;x",
                                "team-a%2f",
                                "a:b",
                                std::string("team-a\0", 7),
                                "\xff",
                                "{team-a}",
                                "\"team-a\"",
                                "@",
                                "team-a\r\nX-Evil: 1"};
  for (const std::string& trick : tricks) {
    EXPECT_EQ(for_header(*strict, trick), "permission_denied") << trick.substr(0, 60);
    EXPECT_EQ(for_header(*loose, trick), "permission_denied") << trick.substr(0, 60);
  }
}

TEST(Tenant, OutsideTheAllowListIsRefused) {
  const auto policy = make_policy({tenant_source({"team-a", "team-b"}, "")});
  EXPECT_EQ(for_header(*policy, "team-b"), "s/team-b");
  for (const char* other : {"team-c", "team-", "team-aa", "Team-a", "TEAM-B"}) {
    EXPECT_EQ(for_header(*policy, other), "permission_denied") << other;
  }
}

TEST(Tenant, WithoutTheHeaderIsTheDefaultOrRefused) {
  EXPECT_EQ(outcome(*make_policy({tenant_source({}, "fb")}), ""), "s/fb");
  EXPECT_EQ(for_header(*make_policy({tenant_source({}, "fb")}), ""), "s/fb");
  EXPECT_EQ(outcome(*make_policy({tenant_source({}, "")}), ""), "permission_denied");
  EXPECT_EQ(outcome(*make_policy({tenant_source({}, "fb")}), "", {{"X-Other", "x"}}), "s/fb");
}

// A refused tenant is no reason to try the next source: that would be another identity.
TEST(Tenant, RefusalDoesNotFallThrough) {
  config::Source first = tenant_source({"a"}, "");
  first.auth.kind = config::AuthKind::kBearer;
  first.auth.token.value = "t";
  const auto policy = make_policy({first, open_source("rest")});
  EXPECT_EQ(outcome(*policy, "Bearer t", {{"X-Scope-OrgID", "b"}}), "permission_denied");
}

TEST(Tenant, MessagesNameSourceAndTenantButRepeatNothingMalformed) {
  const auto policy = make_policy({tenant_source({"team-a"}, "")});
  const auto message = [&](std::string value) {
    Credentials credentials;
    credentials.header = [&](std::string_view) -> std::string_view { return value; };
    bool needs_verification = false;
    return policy->admit(credentials, needs_verification).error().message;
  };
  EXPECT_EQ(message("team-b"), "source s may not write for tenant team-b");
  EXPECT_THAT(message("<script>"), HasSubstr("source s: header X-Scope-OrgID holds no valid"));
  EXPECT_THAT(message("<script>"), Not(HasSubstr("script")));
  EXPECT_EQ(message(""), "source s must name its tenant in header X-Scope-OrgID");
}

}  // namespace
}  // namespace tollgate::policy
