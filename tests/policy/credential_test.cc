#include "policy/credential.h"

#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::policy {
namespace {

class Credential : public ::testing::Test {
 protected:
  Presented parse(std::string_view header) { return parse_credential(header, buffer_); }
  std::array<char, kLongestCredential> buffer_;
};

TEST_F(Credential, BearerIsTakenExactlyAsItIs) {
  EXPECT_EQ(parse("Bearer abc").scheme, Scheme::kBearer);
  EXPECT_EQ(parse("Bearer abc").token, "abc");
  EXPECT_EQ(parse("bEARER abc").token, "abc");
  EXPECT_EQ(parse("Bearer   abc").token, "abc");
  EXPECT_EQ(parse("Bearer abc ").token, "abc ");
  EXPECT_EQ(parse("Bearer abc\n").token, "abc\n");
  EXPECT_EQ(parse("Bearer a b").token, "a b");
}

TEST_F(Credential, BasicIsDecoded) {
  const Presented p = parse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617 §2
  EXPECT_EQ(p.scheme, Scheme::kBasic);
  EXPECT_EQ(p.user, "Aladdin");
  EXPECT_EQ(p.password, "open sesame");
  EXPECT_EQ(parse("BASIC " + base64("u:")).password, "");
  EXPECT_EQ(parse("basic " + base64(":p")).user, "");
  EXPECT_EQ(parse("Basic " + base64("u:p:q")).password, "p:q");
  EXPECT_EQ(parse("Basic dGVzdDoxMjPCow==").password, "123\xc2\xa3");  // RFC 7617 §2.1
}

TEST_F(Credential, AbsentIsNotMalformed) { EXPECT_EQ(parse("").scheme, Scheme::kAbsent); }

TEST_F(Credential, EverythingElseIsMalformed) {
  const std::string cases[] = {
      "Bearer",
      "Bearer ",
      "Bearer   ",
      "Basic",
      "Basic ",
      " Bearer abc",
      "Token abc",
      "Bearerabc",
      "Bearer\tabc",
      "Digest username=u",
      "BearerX abc",
      "Beare abc",
      "Basic u:p",                      // not base64
      "Basic " + base64("nocolon"),     //
      "Basic " + base64("u:p") + " ",   // trailing space
      "Basic " + base64("u:p") + "\n",  //
      "Basic " + base64("u:p") + "=",   // too much padding
      "Basic dTpw!",
      "Basic dTp",
      "Basic ====",
      "Basic =dTp",
      "Basic d=pw",
      "Basic dTpwcA=A",                             // padding inside
      "Basic dTpwcB==",                             // spare bits set: a second spelling
      "Basic dTpw-_8=",                             // the URL alphabet
      "Basic " + base64(std::string("u:p\0q", 5)),  // NUL would end the password for crypt()
      "Basic " + base64("u:p\n"),
      "Basic " + base64("u\r:p"),
      "Basic " + base64("u:p\x7f"),
      "Basic " + base64("u:" + std::string(5000, 'p')),
      "Bearer " + std::string(5000, 't'),
      "Bearer " + std::string(1 << 20, 't'),
      std::string(1 << 20, ' '),
      std::string("Basic dT\0w", 10),
  };
  for (const std::string& header : cases) {
    EXPECT_EQ(parse(header).scheme, Scheme::kMalformed) << header.substr(0, 60);
  }
}

TEST_F(Credential, OfTheLargestSizeIsRead) {
  const std::string password(kLongestCredential - 2, 'p');
  EXPECT_EQ(parse(basic("u", password.substr(0, 3070))).password.size(), 3070u);
  EXPECT_EQ(parse("Bearer " + std::string(kLongestCredential, 't')).token.size(),
            kLongestCredential);
}

TEST(Digests, DependOnEveryPart) {
  EXPECT_TRUE(equal(digest_basic("u", "p"), digest_basic("u", "p")));
  EXPECT_FALSE(equal(digest_basic("u", "p"), digest_basic("u", "P")));
  EXPECT_FALSE(equal(digest_basic("u", "p"), digest_basic("U", "p")));
  EXPECT_FALSE(equal(digest_basic("u", "p"), digest_basic("", "u:p")));
  EXPECT_FALSE(equal(digest_bearer("a"), digest_bearer("a ")));
  EXPECT_FALSE(equal(digest_bearer("a"), digest_basic("a", "")));
  EXPECT_FALSE(equal(digest_bearer(""), digest_basic("", "")));
}

}  // namespace
}  // namespace tollgate::policy
