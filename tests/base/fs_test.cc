#include "base/fs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace tollgate::fs {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The real file system, in a directory of its own.
class RealFs : public ::testing::Test {
 protected:
  RealFs() {
    std::string pattern = std::filesystem::temp_directory_path() / "tollgate-fs-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  ~RealFs() override { std::filesystem::remove_all(root_); }

  std::string path(const std::string& name) const { return root_ + "/" + name; }
  std::string contents(const std::string& name) {
    auto text = read_file(fs_, path(name));
    EXPECT_TRUE(text) << (text ? "" : text.error().message);
    return text ? *text : "";
  }
  static Status append(File& file, const std::vector<std::string>& pieces) {
    std::vector<std::string_view> views(pieces.begin(), pieces.end());
    return file.append(views);
  }

  FileSystem& fs_ = FileSystem::real();
  std::string root_;
};

TEST_F(RealFs, AppendsAtTheEnd) {
  {
    auto file = fs_.open_append(path("a"));
    ASSERT_TRUE(file);
    EXPECT_TRUE(append(**file, {"one", "", "two"}));
    EXPECT_TRUE((*file)->sync());
    EXPECT_EQ(*(*file)->size(), 6u);
  }
  auto again = fs_.open_append(path("a"));
  EXPECT_TRUE(append(**again, {"three"}));
  EXPECT_EQ(contents("a"), "onetwothree");
}

TEST_F(RealFs, AppendsMorePiecesThanOneCallTakes) {
  std::vector<std::string> pieces;
  std::string expected;
  for (int i = 0; i < 3000; i++) {
    pieces.push_back(std::to_string(i) + ",");
    expected += pieces.back();
  }
  auto file = fs_.open_append(path("a"));
  EXPECT_TRUE(append(**file, pieces));
  EXPECT_EQ(contents("a"), expected);
}

TEST_F(RealFs, ReadsAnywhereAndLessOnlyAtTheEnd) {
  auto file = fs_.open_append(path("a"));
  EXPECT_TRUE(append(**file, {"0123456789"}));
  char out[8] = {};
  EXPECT_EQ(*(*file)->read_at(3, out, 4), 4u);
  EXPECT_EQ(std::string_view(out, 4), "3456");
  EXPECT_EQ(*(*file)->read_at(8, out, 8), 2u);
  EXPECT_EQ(*(*file)->read_at(10, out, 8), 0u);
  EXPECT_EQ(*(*file)->read_at(1000, out, 8), 0u);
}

TEST_F(RealFs, TruncatesAndGoesOnFromThere) {
  auto file = fs_.open_append(path("a"));
  EXPECT_TRUE(append(**file, {"0123456789"}));
  EXPECT_TRUE((*file)->truncate(4));
  EXPECT_TRUE(append(**file, {"x"}));
  EXPECT_EQ(contents("a"), "0123x");
}

TEST_F(RealFs, ReservingDoesNotChangeTheSize) {
  auto file = fs_.open_append(path("a"));
  EXPECT_TRUE(append(**file, {"abc"}));
  EXPECT_TRUE((*file)->reserve(3, 1 << 20));
  EXPECT_EQ(*(*file)->size(), 3u);
  EXPECT_TRUE(append(**file, {"d"}));
  EXPECT_EQ(contents("a"), "abcd");
}

TEST_F(RealFs, ReadingAFileOfSeveralChunks) {
  std::string large(200'000, 'x');
  large[65'536] = 'y';
  EXPECT_TRUE(replace_file(fs_, path("a"), large));
  EXPECT_EQ(contents("a"), large);
  EXPECT_TRUE(replace_file(fs_, path("a"), std::string(65'536, 'z')));
  EXPECT_EQ(contents("a"), std::string(65'536, 'z'));
}

TEST_F(RealFs, ReplacingLeavesNoTemporaryFile) {
  EXPECT_TRUE(replace_file(fs_, path("a"), "a long first version"));
  EXPECT_TRUE(replace_file(fs_, path("a"), "short"));
  EXPECT_EQ(contents("a"), "short");
  EXPECT_EQ(*fs_.list(root_), std::vector<std::string>{"a"});
}

TEST_F(RealFs, ALeftoverTemporaryFileDoesNotLeakIntoTheNewOne) {
  auto leftover = fs_.open_append(path("a.tmp"));
  EXPECT_TRUE(append(**leftover, {"torn by a crash"}));
  EXPECT_TRUE(replace_file(fs_, path("a"), "new"));
  EXPECT_EQ(contents("a"), "new");
}

TEST_F(RealFs, DirectoriesAreMadeWithTheirParents) {
  EXPECT_TRUE(fs_.create_directories(path("x/y/z")));
  EXPECT_TRUE(fs_.create_directories(path("x/y/z")));
  EXPECT_TRUE(fs_.create_directories(path("x/y/z/")));
  EXPECT_TRUE(std::filesystem::is_directory(path("x/y/z")));
  EXPECT_TRUE(fs_.sync_directory(path("x/y")));
  EXPECT_TRUE(replace_file(fs_, path("file"), ""));
  EXPECT_FALSE(fs_.create_directories(path("file/below")).ok());
}

TEST_F(RealFs, ListsSortedNames) {
  for (const char* name : {"b", "a", "c"}) EXPECT_TRUE(replace_file(fs_, path(name), ""));
  EXPECT_EQ(*fs_.list(root_), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(fs_.remove(path("b")));
  EXPECT_TRUE(fs_.rename(path("c"), path("d")));
  EXPECT_EQ(*fs_.list(root_), (std::vector<std::string>{"a", "d"}));
}

TEST_F(RealFs, ErrorsNameOperationPathAndReason) {
  const auto missing = fs_.open_read(path("no"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Code::kUnavailable);
  EXPECT_EQ(missing.error().message, "open " + path("no") + ": No such file or directory");
  EXPECT_THAT(fs_.list(path("no")).error().message, StartsWith("list "));
  EXPECT_THAT(fs_.remove(path("no")).error().message, StartsWith("remove "));
  EXPECT_THAT(fs_.rename(path("no"), path("x")).error().message, StartsWith("rename "));
  EXPECT_THAT(fs_.sync_directory(path("no")).error().message, HasSubstr(path("no")));
  EXPECT_THAT(fs_.free_bytes(path("no")).error().message, StartsWith("statvfs "));
  EXPECT_FALSE(read_file(fs_, path("no")).ok());
  EXPECT_FALSE(replace_file(fs_, path("no/a"), "x").ok());
}

// /dev/full refuses every write as a full disk does.
TEST_F(RealFs, AFullDiskSaysSo) {
  auto file = fs_.open_append("/dev/full");
  ASSERT_TRUE(file);
  const Status status = append(**file, {"x"});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnavailable);
  EXPECT_THAT(status.error().message, StartsWith("no space left"));
}

TEST_F(RealFs, ALockIsExclusiveAndEndsWithItsOwner) {
  {
    const auto lock = fs_.lock(path("lock"));
    ASSERT_TRUE(lock);
    const auto second = fs_.lock(path("lock"));
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Code::kUnavailable);
    EXPECT_EQ(second.error().message, path("lock") + " is locked by another process");
  }
  EXPECT_TRUE(fs_.lock(path("lock")).ok());
}

TEST_F(RealFs, KnowsTheFreeSpace) { EXPECT_GT(*fs_.free_bytes(root_), 0u); }

TEST(DirectoryOf, IsThePartBeforeTheLastSlash) {
  EXPECT_EQ(directory_of("a/b/c"), "a/b");
  EXPECT_EQ(directory_of("/a"), "/");
  EXPECT_EQ(directory_of("a"), ".");
  EXPECT_EQ(directory_of("a/"), "a");
}

}  // namespace
}  // namespace tollgate::fs
