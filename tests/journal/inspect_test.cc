#include "journal/inspect.h"

#include <gtest/gtest.h>

#include "testing.h"

namespace tollgate::journal {
namespace {

class JournalInspect : public ::testing::Test {
 protected:
  void SetUp() override {
    journal_ = open_or_die(fs_, clock_);
    const StreamId a = journal_->intern(key_of(1)).value();
    const StreamId b = journal_->intern(key_of(2)).value();
    for (int i = 0; i < 40; i++) {
      ASSERT_TRUE(append_one(*journal_, i % 2 ? a : b, std::string(500, 'x'), 3).ok());
    }
    ASSERT_TRUE(journal_->checkpoint().ok());  // all footers are written
  }
  FaultFs fs_;
  FakeClock clock_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalInspect, SumsUpARunningJournalWithoutItsLock) {
  const auto segments = inspect(fs_, kDirectory);
  ASSERT_TRUE(segments.ok());
  ASSERT_GT(segments.value().size(), 2u);
  uint64_t blocks = 0;
  uint64_t samples = 0;
  uint64_t size = 0;
  for (size_t i = 0; i < segments.value().size(); i++) {
    const SegmentSummary& s = segments.value()[i];
    blocks += s.blocks;
    samples += s.samples;
    size += s.size;
    EXPECT_EQ(s.streams, s.blocks > 1 ? 2u : 1u);
    EXPECT_FALSE(s.damaged());
    EXPECT_EQ(s.tail_bytes, 0u);
    EXPECT_EQ(s.sealed, i + 1 < segments.value().size());
    EXPECT_EQ(s.first_ms, clock_.now_ms());
  }
  EXPECT_EQ(blocks, 40u);
  EXPECT_EQ(samples, 120u);
  EXPECT_EQ(size, journal_->stats().size_bytes);
}

TEST_F(JournalInspect, ShowsDamageInElements) {
  const std::string path = segment_paths(fs_)[1];
  std::string bytes = fs_.contents(path);
  bytes[bytes.find("xxxx")] = 'y';
  fs_.set_contents(path, bytes);
  const auto segments = inspect(fs_, kDirectory);
  ASSERT_TRUE(segments.ok());
  EXPECT_FALSE(segments.value()[0].damaged());
  EXPECT_TRUE(segments.value()[1].damaged());
  EXPECT_EQ(segments.value()[1].damaged_records, 1u);
  EXPECT_NE(to_line(segments.value()[1]).find("DAMAGED 1 places, 580 bytes"), std::string::npos)
      << to_line(segments.value()[1]);
}

TEST_F(JournalInspect, LineNamesTheFileAndItsContents) {
  const auto segments = inspect(fs_, kDirectory);
  ASSERT_TRUE(segments.ok());
  const std::string line = to_line(segments.value()[0]);
  EXPECT_TRUE(line.starts_with("0000000000000000.seg  ")) << line;
  EXPECT_NE(line.find("sealed"), std::string::npos) << line;
  EXPECT_NE(line.find("2 streams"), std::string::npos) << line;
  EXPECT_NE(line.find("2023-11-14T22:13:20Z"), std::string::npos) << line;
}

TEST_F(JournalInspect, MissingDirectoryIsAnErrorOfTheFileSystem) {
  const auto segments = inspect(fs::FileSystem::real(), "/nonexistent/journal");
  ASSERT_FALSE(segments.ok());
  EXPECT_EQ(segments.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace tollgate::journal
