#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "support.h"

// Counts this thread's allocations, for the claim that the common case makes none.
namespace {
thread_local size_t allocations = 0;
}
void* operator new(size_t size) {
  allocations++;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tollgate::policy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Admit, AnOpenSourceTakesEverything) {
  const auto policy = make_policy({open_source("default")});
  for (const std::string& header :
       {std::string(), std::string("Bearer x"), std::string("nonsense"), basic("u", "p"),
        std::string(100'000, 'x'), std::string("\0\xff", 2)}) {
    EXPECT_EQ(outcome(*policy, header), "default/default");
  }
}

TEST(Admit, ATokenIsTheTokenAndNothingElse) {
  const auto policy = make_policy({bearer_source("blue", "s3cret-token")});
  EXPECT_EQ(outcome(*policy, "Bearer s3cret-token"), "blue/default");
  EXPECT_EQ(outcome(*policy, "bearer s3cret-token"), "blue/default");
  const std::string wrong[] = {"",
                               "Bearer",
                               "Bearer ",
                               "Bearer s3cret-toke",
                               "Bearer s3cret-token1",
                               "Bearer S3CRET-TOKEN",
                               "Bearer s3cret-token ",
                               "Bearer s3cret-token\n",
                               "Bearer s3cret-token\r\n",
                               std::string("Bearer s3cret-token\0", 20),
                               "Bearer s3cret-token,s3cret-token",
                               "Bearer \"s3cret-token\"",
                               "s3cret-token",
                               "Token s3cret-token",
                               "Basic s3cret-token",
                               basic("s3cret-token", ""),
                               basic("", "s3cret-token"),
                               basic("blue", "s3cret-token"),
                               "Bearer " + base64("s3cret-token"),
                               "Bearer " + std::string(100'000, 's')};
  for (const std::string& header : wrong) {
    EXPECT_EQ(outcome(*policy, header), "unauthenticated") << header.substr(0, 60);
  }
}

TEST(Admit, APlainPasswordIsThePasswordAndNothingElse) {
  const auto policy = make_policy({basic_source("green", {{"bob", "pass word"}, {"eve", "x"}})});
  EXPECT_EQ(outcome(*policy, basic("bob", "pass word")), "green/default");
  EXPECT_EQ(outcome(*policy, basic("eve", "x")), "green/default");
  const std::string wrong[] = {"",
                               "Bearer pass word",
                               basic("bob", ""),
                               basic("bob", "pass"),
                               basic("bob", "pass word "),
                               basic("bob", "pass word\n"),
                               basic("bob", std::string("pass word\0", 10)),
                               basic("bob", "Pass word"),
                               basic("Bob", "pass word"),
                               basic("bob ", "pass word"),
                               basic("", "pass word"),
                               basic("eve", "pass word"),
                               basic("bob", "x"),
                               "Basic bob:pass word",
                               basic("bob:pass word", ""),
                               "Bearer " + base64("bob:pass word")};
  for (const std::string& header : wrong) {
    EXPECT_EQ(outcome(*policy, header), "unauthenticated") << header.substr(0, 60);
  }
}

TEST(Admit, TheFirstMatchWins) {
  const auto policy =
      make_policy({basic_source("one", {{"u", "1"}}), basic_source("two", {{"u", "2"}}),
                   basic_source("three", {{"u", "1"}}), bearer_source("four", "t")});
  EXPECT_EQ(outcome(*policy, basic("u", "1")), "one/default");
  EXPECT_EQ(outcome(*policy, basic("u", "2")), "two/default");
  EXPECT_EQ(outcome(*policy, basic("u", "3")), "unauthenticated");
  EXPECT_EQ(outcome(*policy, "Bearer t"), "four/default");
}

TEST(Admit, AnOpenSourceAtTheEndTakesTheRest) {
  const auto policy = make_policy({bearer_source("blue", "t"), open_source("rest")});
  EXPECT_EQ(outcome(*policy, "Bearer t"), "blue/default");
  EXPECT_EQ(outcome(*policy, "Bearer u"), "rest/default");
  EXPECT_EQ(outcome(*policy, ""), "rest/default");
}

TEST(Admit, RefusalsSayWhatToDoAndNoSecret) {
  const auto policy = make_policy({bearer_source("blue", "hunter2")});
  const auto message = [&](std::string_view authorization) {
    bool needs_verification = false;
    const auto admission = policy->admit({authorization, nullptr}, needs_verification);
    EXPECT_EQ(admission.error().origin, Origin::kSender);
    return admission.error().message;
  };
  EXPECT_THAT(message(""), HasSubstr("no credentials; send an Authorization header"));
  EXPECT_THAT(message("Basic !"), HasSubstr("neither valid Basic nor Bearer"));
  EXPECT_THAT(message("Bearer hunter3"), HasSubstr("no source has these credentials"));
  EXPECT_THAT(message("Bearer hunter3"), Not(HasSubstr("hunter")));
}

TEST(Admit, NeedsVerificationIsAlwaysSet) {
  const auto policy = make_policy({open_source("default")});
  bool needs_verification = true;
  EXPECT_TRUE(policy->admit({"", nullptr}, needs_verification).ok());
  EXPECT_FALSE(needs_verification);
}

TEST(Admit, GivesThePlanOfTheSource) {
  config::Source over = bearer_source("over", "1");
  over.enforced_labels = {{"cluster", "blue"}};
  over.external_labels = {{"cluster", "never"}, {"region", "eu"}};
  config::Source reject = bearer_source("reject", "2");
  reject.enforced_labels = {{"cluster", "green"}};
  reject.on_conflict = config::OnConflict::kReject;
  const auto policy = make_policy({over, reject, open_source("bare")});
  const auto plan = [&](std::string_view authorization) {
    bool needs_verification = false;
    auto admission = policy->admit({authorization, nullptr}, needs_verification);
    return admission->plan->labels();
  };
  const auto one = plan("Bearer 1");
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(one[0].name, "cluster");
  EXPECT_EQ(one[0].value, "blue");
  EXPECT_EQ(one[0].action, model::LabelAction::kOverride);
  EXPECT_EQ(one[1].name, "region");
  EXPECT_EQ(one[1].action, model::LabelAction::kAddAbsent);
  const auto two = plan("Bearer 2");
  ASSERT_EQ(two.size(), 1u);
  EXPECT_EQ(two[0].action, model::LabelAction::kReject);
  EXPECT_TRUE(plan("").empty());
}

TEST(Admit, SourcesAreThoseOfTheConfiguration) {
  const auto policy = make_policy({bearer_source("a", "1"), open_source("b")});
  ASSERT_EQ(policy->sources().size(), 2u);
  EXPECT_EQ(policy->sources()[1].name, "b");
}

TEST(Admit, AllocatesNothingInTheCommonCase) {
  const auto policy =
      make_policy({bearer_source("a", "token-of-a"), basic_source("b", {{"u", "p"}}),
                   basic_source("c", {{"h", bcrypt("pw")}})});
  const std::string headers[] = {"Bearer token-of-a", basic("u", "p"), basic("h", "pw")};
  policy->verify(headers[2]);
  for (const std::string& header : headers) {
    Credentials credentials;
    credentials.authorization = header;
    bool needs_verification = false;
    EXPECT_TRUE(policy->admit(credentials, needs_verification).ok());  // warms this thread up
    const size_t before = allocations;
    const bool ok = policy->admit(credentials, needs_verification).ok();
    const size_t after = allocations;
    EXPECT_TRUE(ok) << header;
    EXPECT_EQ(after, before) << header;  // "default" fits into std::string itself
  }
}

}  // namespace
}  // namespace tollgate::policy
