#include "base/log.h"

#include <gtest/gtest.h>

#include <string>

namespace tollgate::log {
namespace {

constexpr int64_t kNow = 1'700'000'000'123;  // 2023-11-14T22:13:20.123Z

TEST(Logfmt, QuotesWhereItMust) {
  EXPECT_EQ(render(Format::kLogfmt, Level::kInfo, kNow, "it works",
                   {{"plain", "abc"},
                    {"number", 42},
                    {"yes", true},
                    {"empty", ""},
                    {"space", "a b"},
                    {"quote", "a\"b"},
                    {"equals", "a=b"},
                    {"line", "a\nb\tc\\"},
                    {"bell", "\a"}}),
            R"(time=2023-11-14T22:13:20.123Z level=INFO msg="it works" plain=abc number=42 )"
            R"(yes=true empty="" space="a b" quote="a\"b" equals="a=b" line="a\nb\tc\\" )"
            R"(bell="\u0007")");
}

TEST(Json, IsOneObjectALine) {
  EXPECT_EQ(
      render(Format::kJson, Level::kError, kNow, "no \"luck\"\r\n", {{"path", "/a b"}, {"n", 1}}),
      R"({"time":"2023-11-14T22:13:20.123Z","level":"ERROR","msg":"no \"luck\"\r\n",)"
      R"("path":"/a b","n":"1"})");
}

TEST(Log, LineBreaksInValuesCannotForgeALine) {
  for (Format format : {Format::kLogfmt, Format::kJson}) {
    const std::string line = render(format, Level::kWarn, kNow, "m\nlevel=ERROR", {{"k", "v\nx"}});
    EXPECT_EQ(line.find('\n'), std::string::npos);
  }
}

TEST(Log, LevelsAndFormatsHaveNames) {
  Level level = Level::kInfo;
  EXPECT_TRUE(parse_level("debug", level));
  EXPECT_EQ(level, Level::kDebug);
  EXPECT_TRUE(parse_level("error", level));
  EXPECT_EQ(level, Level::kError);
  EXPECT_FALSE(parse_level("ERROR", level));
  EXPECT_FALSE(parse_level("", level));
  Format format = Format::kLogfmt;
  EXPECT_TRUE(parse_format("json", format));
  EXPECT_EQ(format, Format::kJson);
  EXPECT_FALSE(parse_format("xml", format));
}

TEST(Log, LevelsBelowTheConfiguredOneAreSilent) {
  configure(Level::kWarn, Format::kLogfmt);
  ::testing::internal::CaptureStderr();
  info("quiet");
  warn("loud", {{"k", "v"}});
  const std::string out = ::testing::internal::GetCapturedStderr();
  configure(Level::kInfo, Format::kLogfmt);
  EXPECT_EQ(out.find("quiet"), std::string::npos);
  EXPECT_NE(out.find("level=WARN msg=\"loud\" k=v\n"), std::string::npos);
}

}  // namespace
}  // namespace tollgate::log
