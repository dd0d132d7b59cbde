#include "config/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Duration, ReadsPrometheusForms) {
  EXPECT_EQ(parse_duration("0")->count(), 0);
  EXPECT_EQ(parse_duration("0s")->count(), 0);
  EXPECT_EQ(parse_duration("500ms")->count(), 500);
  EXPECT_EQ(parse_duration("30s")->count(), 30'000);
  EXPECT_EQ(parse_duration("1h30m")->count(), 5'400'000);
  EXPECT_EQ(parse_duration("1m1s1ms")->count(), 61'001);
  EXPECT_EQ(parse_duration("1d")->count(), 86'400'000);
  EXPECT_EQ(parse_duration("1w")->count(), 7 * 86'400'000);
  EXPECT_EQ(parse_duration("1y")->count(), 365ll * 86'400'000);
}

TEST(Duration, RefusesEverythingElse) {
  for (const char* text : {"", "5", "s", "5 m", "-5m", "+5m", "1.5h", "30s1m", "1s1s", "5M", "5min",
                           "00", "1h ", " 1h", "1h30", "99999999999999999999s", "101y"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
  EXPECT_THAT(parse_duration("5min").error().message, HasSubstr("\"5min\" is not a duration"));
}

TEST(Duration, PrintsTheShortestExactForm) {
  for (const char* text : {"0s", "1ms", "500ms", "1s", "90ms", "1m30s", "2m", "1h", "1h30m", "1d",
                           "1w", "1y", "25h"}) {
    auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    auto again = parse_duration(format_duration(*parsed));
    ASSERT_TRUE(again) << format_duration(*parsed);
    EXPECT_EQ(again->count(), parsed->count());
  }
  EXPECT_EQ(format_duration(milliseconds{90'000}), "1m30s");
  EXPECT_EQ(format_duration(milliseconds{86'400'000}), "1d");
}

TEST(Size, IsInPowersOfTwo) {
  EXPECT_EQ(*parse_size("0"), 0u);
  EXPECT_EQ(*parse_size("4096"), 4096u);
  EXPECT_EQ(*parse_size("100B"), 100u);
  EXPECT_EQ(*parse_size("1KB"), 1024u);
  EXPECT_EQ(*parse_size("1KiB"), 1024u);
  EXPECT_EQ(*parse_size("32MB"), 33554432u);
  EXPECT_EQ(*parse_size("32MiB"), 33554432u);
  EXPECT_EQ(*parse_size("16GB"), 16ull << 30);
  EXPECT_EQ(*parse_size("2TB"), 2ull << 40);
  EXPECT_EQ(*parse_size("15EiB"), 15ull << 60);
}

TEST(Size, RefusesEverythingElse) {
  for (const char* text : {"", "MB", "1.5GB", "-1", "1 GB", "1Mb", "1mb", "1K", "1kB", "1GBB",
                           "16EB", "99999999999999999999", "1iB"}) {
    EXPECT_FALSE(parse_size(text).ok()) << text;
  }
}

TEST(Size, PrintsTheLargestExactUnit) {
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(1000), "1000B");
  EXPECT_EQ(format_size(33554432), "32MB");
  EXPECT_EQ(format_size(1536), "1536B");
  EXPECT_EQ(format_size(16ull << 30), "16GB");
}

TEST(Address, ReadsHostAndPort) {
  EXPECT_EQ(parse_address("0.0.0.0:19291")->host, "0.0.0.0");
  EXPECT_EQ(parse_address("0.0.0.0:19291")->port, 19291);
  EXPECT_EQ(parse_address(":80")->host, "");
  EXPECT_EQ(parse_address("[::1]:0")->host, "::1");
  EXPECT_EQ(parse_address("gate-1.example:65535")->port, 65535);
  EXPECT_EQ(format_address(*parse_address("[::1]:90")), "[::1]:90");
  EXPECT_EQ(format_address(*parse_address(":90")), ":90");
}

TEST(Address, RefusesEverythingElse) {
  for (const char* text : {"", "80", "host", "host:", "::1:80", "[::1]", "[::1]80", "[]:80",
                           "[host]:80", "host:65536", "host:-1", "host:80x", "a b:80", "h/p:80"}) {
    EXPECT_FALSE(parse_address(text).ok()) << text;
  }
}

TEST(Url, IsTakenApart) {
  auto url = parse_url("https://user.example/api/v1/write?a=b");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->host, "user.example");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->target, "/api/v1/write?a=b");
  EXPECT_EQ(url->text, "https://user.example/api/v1/write?a=b");
}

TEST(Url, HasDefaultsForPortAndPath) {
  EXPECT_EQ(parse_url("http://h")->port, 80);
  EXPECT_EQ(parse_url("http://h")->target, "/");
  EXPECT_EQ(parse_url("http://h?x=1")->target, "/?x=1");
  EXPECT_EQ(parse_url("HTTP://h:8080/")->port, 8080);
  EXPECT_EQ(parse_url("HTTP://h:8080/")->scheme, "http");
  EXPECT_EQ(parse_url("http://[::1]:9090/w")->host, "::1");
  EXPECT_EQ(parse_url("http://[::1]:9090/w")->port, 9090);
  EXPECT_EQ(parse_url("http://h/@x")->target, "/@x");
}

TEST(Url, RefusesEverythingElse) {
  for (const char* text : {"",
                           "h",
                           "//h",
                           "ftp://h/",
                           "http:/h",
                           "http://",
                           "http:///x",
                           "http://h:/",
                           "http://h:0/",
                           "http://h:99999/",
                           "http://h:x/",
                           "http://h/#f",
                           "http://h /",
                           "http://h/a b",
                           "http://h/\n",
                           "http://h/\r\nX: y",
                           "http://[::1/",
                           "http://[]/",
                           "http://[::1]x/",
                           "http://h/ü"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
}

TEST(Url, WithUserInfoIsRefusedWithoutRepeatingIt) {
  for (const char* text : {"http://bob:hunter2@h/", "ftp://bob:hunter2@h/", "http://bob@h",
                           "http://bob:hunter2 @h/"}) {
    auto url = parse_url(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_THAT(url.error().message, HasSubstr("user info"));
    EXPECT_THAT(url.error().message, Not(HasSubstr("bob")));
  }
}

TEST(Utf8, IsJudgedAsRfc3629Says) {
  for (const char* text : {"", "a", "é", "€", "😀", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  for (const char* text :
       {"\x80", "\xc0\x80", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80", "\xe0\x80\x80", "\xff", "a\xc3(", "\xf0\x80\x80\x80"}) {
    EXPECT_FALSE(is_utf8(text));
  }
}

TEST(Bcrypt, FormIsChecked) {
  const std::string body(53, 'a');
  EXPECT_EQ(bcrypt_problem("$2a$10$" + body), "");
  EXPECT_EQ(bcrypt_problem("$2b$04$" + body), "");
  EXPECT_EQ(bcrypt_problem("$2y$16$" + body), "");
  EXPECT_THAT(bcrypt_problem("$2x$10$" + body), HasSubstr("broken old kind"));
  EXPECT_THAT(bcrypt_problem("$2b$17$" + body), HasSubstr("cost 17"));
  EXPECT_THAT(bcrypt_problem("$2b$03$" + body), HasSubstr("cost 3"));
  EXPECT_THAT(bcrypt_problem("$2b$1$" + body), HasSubstr("malformed"));
  EXPECT_THAT(bcrypt_problem("$2b$10$" + body + "a"), HasSubstr("malformed"));
  EXPECT_THAT(bcrypt_problem("$2b$10$" + body.substr(1) + "!"), HasSubstr("malformed"));
  EXPECT_THAT(bcrypt_problem("$apr1$x$y"), HasSubstr("not a bcrypt hash"));
  EXPECT_THAT(bcrypt_problem("{SHA}xyz"), HasSubstr("not a bcrypt hash"));
  EXPECT_THAT(bcrypt_problem("$2$"), HasSubstr("broken old kind"));
  EXPECT_FALSE(looks_like_bcrypt("$2"));
  EXPECT_FALSE(looks_like_bcrypt("$20 off!"));
}

}  // namespace
}  // namespace tollgate::config
