#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "testing.h"

namespace tollgate::journal {
namespace {

using model::DropReason;

// A journal of two streams in two sealed segments and one that a crash left open.
class JournalBitFlips : public ::testing::Test {
 protected:
  void SetUp() override {
    options_ = test_options();
    options_.segment_size = 4096;
    options_.max_size = 1 << 20;
    auto journal = open_or_die(fs_, clock_, options_);
    journal->set_destinations({"thanos"});
    for (int s = 0; s < 2; s++) ids_[s] = journal->intern(key_of(s)).value();
    for (int i = 0; i < 56; i++) {
      const std::string bytes =
          "s" + std::to_string(i % 2) + "-" + std::to_string(i / 2) + std::string(100, '.');
      ASSERT_TRUE(append_one(*journal, ids_[i % 2], bytes, 10).ok());
      blocks_[i % 2].push_back(bytes);
    }
    ASSERT_TRUE(journal->checkpoint().ok());
    crash(fs_, journal, Crash::kKill);
    for (const std::string& name : fs_.names()) files_[name] = fs_.contents(name);
    ASSERT_GE(segment_paths(fs_).size(), 3u);
  }

  // Opens the journal over `files` and delivers everything: no wrong byte, nothing out of order,
  // and every sample is delivered or counted.
  void check(const std::map<std::string, std::string>& files) {
    FaultFs fs;
    for (const auto& [name, bytes] : files) fs.set_contents(name, bytes);
    auto journal = open_or_die(fs, clock_, options_);
    ASSERT_NE(journal, nullptr);
    journal->set_destinations({"thanos"});
    for (int s = 0; s < 2; s++) {
      // With cursors and descriptors both damaged a stream may be unknown; then it is new.
      const StreamId id = journal->intern(key_of(s)).value();
      size_t at = 0;
      uint64_t whole = 0;
      for (;;) {
        const auto found = journal->next(id, journal->cursor("thanos", id)->position, 100, 10000);
        if (found.empty()) break;
        for (const BlockRef& b : found) {
          Buffer out;
          auto status = journal->read(b, out);
          if (!status) {
            ASSERT_EQ(status.error().code, Code::kCorrupt);
            ASSERT_TRUE(journal->settle("thanos", b, DropReason::kCorrupt));
            continue;
          }
          while (at < blocks_[s].size() && blocks_[s][at] != out.view()) at++;
          ASSERT_LT(at, blocks_[s].size()) << "wrong bytes or wrong order: " << out.view();
          whole++;
          ASSERT_TRUE(journal->settle("thanos", b, std::nullopt));
        }
      }
      const auto cursor = journal->cursor("thanos", id);
      ASSERT_TRUE(cursor);
      EXPECT_EQ(cursor->delivered, whole * 10);
      EXPECT_EQ(cursor->settled(), 280u);
      EXPECT_EQ(cursor->delivered + dropped(*cursor, DropReason::kCorrupt), 280u);
    }
    expect_ledger_closes(*journal);
  }

  Options options_;
  FaultFs fs_;
  FakeClock clock_;
  StreamId ids_[2] = {};
  std::vector<std::string> blocks_[2];
  std::map<std::string, std::string> files_;
};

TEST_F(JournalBitFlips, NoFlippedBitOfASegmentGivesWrongBytesOrLosesCount) {
  for (const std::string& path : segment_paths(fs_)) {
    const std::string& whole = files_[path];
    for (size_t i = 0; i < whole.size() && !HasFailure(); i += i < 600 ? 1 : 7) {
      SCOPED_TRACE(path + " byte " + std::to_string(i));
      auto files = files_;
      files[path][i] = static_cast<char>(whole[i] ^ (1 << (i % 8)));
      check(files);
    }
  }
}

TEST_F(JournalBitFlips, NoZeroedRangeOfASegmentGivesWrongBytesOrLosesCount) {
  for (const std::string& path : segment_paths(fs_)) {
    const size_t size = files_[path].size();
    for (size_t i = 0; i < size && !HasFailure(); i += 97) {
      SCOPED_TRACE(path + " from " + std::to_string(i));
      auto files = files_;
      const size_t length = std::min<size_t>(512, size - i);
      files[path].replace(i, length, length, '\0');
      check(files);
    }
  }
}

TEST_F(JournalBitFlips, NoTruncatedSegmentGivesWrongBytesOrLosesCount) {
  for (const std::string& path : segment_paths(fs_)) {
    for (size_t cut = 0; cut < files_[path].size() && !HasFailure(); cut += 53) {
      SCOPED_TRACE(path + " cut at " + std::to_string(cut));
      auto files = files_;
      files[path].resize(cut);
      check(files);
    }
  }
}

TEST_F(JournalBitFlips, FlippedBitInTheCursorsDeliversEverythingAgain) {
  const std::string path = "journal/cursors";
  for (size_t i = 0; i < files_[path].size() && !HasFailure(); i++) {
    auto files = files_;
    files[path][i] = static_cast<char>(files[path][i] ^ 1);
    FaultFs fs;
    for (const auto& [name, bytes] : files) fs.set_contents(name, bytes);
    auto journal = open_or_die(fs, clock_, options_);
    ASSERT_NE(journal, nullptr);
    journal->set_destinations({"thanos"});
    for (int s = 0; s < 2; s++) {
      const StreamId id = journal->intern(key_of(s)).value();
      EXPECT_EQ(contents_of(*journal, id, journal->cursor("thanos", id)->position).size(), 28u);
    }
    EXPECT_EQ(journal->stats().corrupt_records, 1u);
  }
}

TEST_F(JournalBitFlips, RecordPlantedInElementsIsNotTakenForOneAfterDamage) {
  // A sender who knows the format plants a whole segment of ours in a block. Resynchronisation
  // sees its records at other positions than their own.
  FaultFs fs;
  options_.segment_size = 1 << 20;
  auto journal = open_or_die(fs, clock_, options_);
  const StreamId a = journal->intern(key_of(0)).value();
  const std::string planted = files_[segment_paths(fs_)[0]];
  ASSERT_TRUE(append_one(*journal, a, planted, 10).ok());
  ASSERT_TRUE(append_one(*journal, a, "honest", 10).ok());
  crash(fs, journal, Crash::kKill);
  const std::string path = segment_paths(fs)[0];
  std::string bytes = fs.contents(path);
  const size_t header = bytes.find(planted) - 80;
  bytes[header + 13] = static_cast<char>(bytes[header + 13] ^ 4);
  fs.set_contents(path, bytes);
  journal = open_or_die(fs, clock_, options_);
  EXPECT_TRUE(contents_of(*journal, a) == std::vector<std::string>{"honest"});
  EXPECT_EQ(journal->streams().size(), 1u);
}

}  // namespace
}  // namespace tollgate::journal
