#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kTokenFile = "sources: [{auth: {bearer: {token_file: t}}}]";

TEST(Secret, OfAFileLosesSurroundingWhiteSpace) {
  const TemporaryDirectory d;
  d.write("t", "\n\t abc \r\n");
  const Secret token = good(kTokenFile, d.path() + "/gate.yml").sources[0].auth.token;
  EXPECT_EQ(token.value, "abc");
  EXPECT_EQ(token.file, d.path() + "/t");
}

TEST(Secret, FilesAreRelativeToTheConfiguration) {
  const TemporaryDirectory d;
  std::filesystem::create_directory(d.path() + "/sub");
  d.write("t", "abc");
  EXPECT_EQ(good("sources: [{auth: {bearer: {token_file: ../t}}}]", d.path() + "/sub/gate.yml")
                .sources[0]
                .auth.token.file,
            d.path() + "/t");
  EXPECT_EQ(good("sources: [{auth: {bearer: {token_file: " + d.path() + "/t}}}]")
                .sources[0]
                .auth.token.value,
            "abc");
}

TEST(Secret, FilesThatCannotServeAreErrorsAtTheirKey) {
  const TemporaryDirectory d;
  const std::string file = d.path() + "/gate.yml";
  const std::string at = file + ":1:28: sources[0].auth.bearer.token_file names " + d.path();
  EXPECT_EQ(bad(kTokenFile, file), at + "/t, which cannot be read: No such file or directory");
  d.write("t", " \n");
  EXPECT_EQ(bad(kTokenFile, file), at + "/t, which is empty; it must hold the secret");
  d.write("t", "a b");
  EXPECT_EQ(bad(kTokenFile, file),
            at + "/t, whose secret has a space, a control character or a letter outside ASCII, "
                 "which a token cannot have");
  d.write("t", std::string(5u << 20, 'a'));
  EXPECT_EQ(bad(kTokenFile, file), at + "/t, which cannot be read: larger than 4MB");
  EXPECT_EQ(bad("sources: [{auth: {bearer: {token_file: .}}}]", file),
            at + "/, which cannot be read: Is a directory");
  EXPECT_EQ(bad("sources: [{auth: {bearer: {token_file: ''}}}]"),
            "gate.yml:1:40: sources[0].auth.bearer.token_file is empty; name the file that holds "
            "the secret");
}

TEST(Secret, IsGivenOnce) {
  EXPECT_EQ(bad("sources: [{auth: {bearer: {token: a, token_file: t}}}]"),
            "gate.yml:1:38: sources[0].auth.bearer.token_file contradicts token; keep one of the "
            "two");
  EXPECT_EQ(bad("sources: [{auth: {bearer: {token: ''}}}]"),
            "gate.yml:1:35: sources[0].auth.bearer.token is empty; give the secret, or a file with "
            "token_file");
}

TEST(Secret, IsInNoMessage) {
  const TemporaryDirectory d;
  d.write("t", "hunter2 hunter2");
  for (const char* text :
       {kTokenFile, "sources: [{auth: {bearer: {token: 'hunter2 hunter2'}}}]",
        "sources: [{auth: {basic: {username: u, password: \"hunter2\\n\"}}}]",
        "sources: [{auth: {basic: {username: u, password: $2b$99$hunter2}}}]",
        "sources: [{auth: {basic: {users: {u: hunter2}}}}]",
        "remote_write: [{url: http://h, authorization: {credentials: 'hunter2 '}}]"}) {
    const std::string message = bad(text, d.path() + "/gate.yml");
    EXPECT_NE(message, "") << text;
    EXPECT_THAT(message, Not(HasSubstr("hunter2"))) << text;
  }
}

// Whoever serves from a printed configuration would have "<secret>" as the password.
TEST(Secret, PlaceholdersAreNotServed) {
  const TemporaryDirectory d;
  const auto refused = [&](const std::string& text) {
    const auto config = load(d.write("gate.yml", text));
    return config ? "" : config.error().message;
  };
  EXPECT_THAT(refused("sources: [{auth: {bearer: {token: <secret>}}}]"),
              HasSubstr("1:35: sources[0].auth.bearer.token is the placeholder"));
  EXPECT_THAT(refused("sources: [{auth: {basic: {username: u, password: <secret>}}}]"),
              HasSubstr("is the placeholder"));
  EXPECT_THAT(refused("sources: [{auth: {basic: {users: {u: <secret>}}}}]"),
              HasSubstr("not a bcrypt hash"));
  EXPECT_THAT(refused("remote_write: [{url: http://h, headers: {X-Key: <secret>}}]"),
              HasSubstr("is the placeholder"));
}

TEST(Secret, ABasicUserOfADestinationMayComeFromFiles) {
  const TemporaryDirectory d;
  d.write("u", "bob\n");
  d.write("p", "pw\n");
  const Config config =
      good("remote_write: [{url: http://h, basic_auth: {username_file: u, password_file: p}}]",
           d.path() + "/gate.yml");
  ASSERT_TRUE(config.remote_write[0].basic_auth);
  EXPECT_EQ(config.remote_write[0].basic_auth->username, "bob");
  EXPECT_EQ(config.remote_write[0].basic_auth->password.value, "pw");
}

}  // namespace
}  // namespace tollgate::config
