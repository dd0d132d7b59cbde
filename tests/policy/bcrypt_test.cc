#include <gtest/gtest.h>

#include "policy/password.h"
#include "support.h"

namespace tollgate::policy {
namespace {

TEST(Bcrypt, KnowsPublishedVectors) {
  // From the crypt_blowfish test suite.
  EXPECT_TRUE(
      bcrypt_matches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
  EXPECT_TRUE(
      bcrypt_matches("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"));
  EXPECT_TRUE(bcrypt_matches("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"));
  EXPECT_TRUE(
      bcrypt_matches("\xa3", "$2y$05$/OK.fbVrR/bpIqNJ5ianF.Sa7shbm4.OzKpvFnX1pQLmQW96oUlCq"));
  EXPECT_FALSE(
      bcrypt_matches("U*V", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

TEST(Bcrypt, ABrokenHashMatchesNothing) {
  for (const char* hash : {"", "*0", "*1", "$2b$", "$2b$04$", "$2b$99$abcdefghijklmnopqrstuu"}) {
    EXPECT_FALSE(bcrypt_matches("x", hash)) << hash;
    EXPECT_FALSE(bcrypt_matches("", hash)) << hash;
  }
}

TEST(Bcrypt, PasswordIsCheckedOnceAndRemembered) {
  const auto policy = make_policy({basic_source("s", {{"u", bcrypt("pw")}})});
  EXPECT_EQ(outcome(*policy, basic("u", "pw")), "verify");
  EXPECT_EQ(outcome(*policy, basic("u", "pw")), "verify");
  policy->verify(basic("u", "pw"));
  EXPECT_EQ(outcome(*policy, basic("u", "pw")), "s/default");
  EXPECT_EQ(outcome(*policy, "basic " + base64("u:pw")), "s/default");  // the credential counts
}

TEST(Bcrypt, EveryKindOfHashWorks) {
  for (const char* kind : {"2a", "2b", "2y"}) {
    const auto policy = make_policy({basic_source("s", {{"u", bcrypt("pw", kind)}})});
    EXPECT_EQ(verified(*policy, basic("u", "pw")), "s/default") << kind;
    EXPECT_EQ(verified(*policy, basic("u", "pW")), "unauthenticated") << kind;
  }
}

TEST(Bcrypt, WrongPasswordsAreRefusedAndRemembered) {
  const auto policy = make_policy({basic_source("s", {{"u", bcrypt("pw")}})});
  const std::string wrong[] = {basic("u", ""),
                               basic("u", "p"),
                               basic("u", "pw "),
                               basic("U", "pw"),
                               basic("nobody", "pw"),
                               basic("", "pw"),
                               basic("u", bcrypt("pw")),  // the hash is not the password
                               basic("u", std::string(3000, 'x'))};
  for (const std::string& header : wrong) {
    EXPECT_EQ(outcome(*policy, header), "verify");
    policy->verify(header);
    EXPECT_EQ(outcome(*policy, header), "unauthenticated");
  }
}

TEST(Bcrypt, ANulDoesNotShortenThePassword) {
  const auto policy = make_policy({basic_source("s", {{"u", bcrypt("pw")}})});
  const std::string header = basic("u", std::string("pw\0x", 4));
  EXPECT_EQ(outcome(*policy, header), "unauthenticated");
  policy->verify(header);
  EXPECT_EQ(outcome(*policy, header), "unauthenticated");
}

TEST(Bcrypt, OrderOfSourcesHolds) {
  const auto policy =
      make_policy({basic_source("one", {{"u", bcrypt("1")}}), basic_source("plain", {{"u", "2"}}),
                   basic_source("two", {{"u", bcrypt("2")}}),
                   basic_source("three", {{"u", bcrypt("3")}}), open_source("rest")});
  EXPECT_EQ(verified(*policy, basic("u", "1")), "one/default");
  EXPECT_EQ(verified(*policy, basic("u", "2")), "plain/default");
  EXPECT_EQ(verified(*policy, basic("u", "3")), "three/default");
  EXPECT_EQ(verified(*policy, basic("u", "4")), "rest/default");
  EXPECT_EQ(verified(*policy, "Bearer x"), "rest/default");  // needs no check
}

TEST(Bcrypt, APlainMatchBeforeItNeedsNoCheck) {
  const auto policy =
      make_policy({basic_source("s", {{"h", bcrypt("1")}, {"u", "2"}}), open_source("rest")});
  EXPECT_EQ(outcome(*policy, basic("u", "2")), "s/default");
  EXPECT_EQ(outcome(*policy, "Bearer x"), "rest/default");
  EXPECT_EQ(outcome(*policy, ""), "rest/default");
}

TEST(Bcrypt, VerifyingWhatCannotMatchDoesNothing) {
  const auto policy = make_policy({basic_source("s", {{"u", "plain"}})});
  for (const std::string& header :
       {std::string(), std::string("Bearer x"), std::string("Basic !"), basic("u", "x")}) {
    policy->verify(header);
    EXPECT_EQ(outcome(*policy, header), "unauthenticated");
  }
}

TEST(Bcrypt, UnknownUsersCostWhatKnownOnesDo) {
  const auto policy =
      make_policy({basic_source("s", {{"cheap", bcrypt("x", "2b", "05")},
                                      {"dear", bcrypt("x", "2b", "07")},
                                      {"twice", bcrypt("x", "2b", "05")}}),
                   basic_source("t", {{"twice", bcrypt("y", "2b", "06")}, {"plain", "x"}})});
  for (const char* user : {"cheap", "dear", "twice", "plain", "nobody", ""}) {
    const uint64_t before = rounds_spent();
    policy->verify(basic(user, "wrong"));
    EXPECT_EQ(rounds_spent() - before, 128u) << user;
  }
}

TEST(Bcrypt, ARememberedRefusalCostsNothing) {
  const auto policy = make_policy({basic_source("s", {{"u", bcrypt("x")}})});
  policy->verify(basic("u", "wrong"));
  const uint64_t before = rounds_spent();
  policy->verify(basic("u", "wrong"));
  EXPECT_EQ(rounds_spent(), before);
}

TEST(Bcrypt, RoundsAreCounted) {
  EXPECT_EQ(bcrypt_rounds(bcrypt("x", "2b", "04")), 16u);
  EXPECT_EQ(bcrypt_rounds(bcrypt("x", "2b", "06")), 64u);
}

}  // namespace
}  // namespace tollgate::policy
