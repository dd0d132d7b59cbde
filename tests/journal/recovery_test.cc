#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "journal/codec.h"
#include "testing.h"

namespace tollgate::journal {
namespace {

using model::DropReason;

// One stream "a" with `count` blocks of 10 samples, "block0", "block1", …
class JournalRecovery : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    journal_ = open_or_die(fs_, clock_, options_);
    ASSERT_NE(journal_, nullptr);
    journal_->set_destinations({"thanos"});
    a_ = journal_->intern(key_of(1)).value();
  }
  void fill(int count) {
    for (int i = 0; i < count; i++) {
      ASSERT_TRUE(append_one(*journal_, a_, "block" + std::to_string(filled_++), 10).ok());
    }
  }
  void kill() { crash(fs_, journal_, Crash::kKill); }
  std::string last_segment() { return segment_paths(fs_).back(); }
  // The file offset of a block of the last segment.
  size_t offset_of(const std::string& bytes, const std::string& block) {
    return bytes.find(block) - format::kRecordHeaderSize;
  }
  void settle_all() {
    for (;;) {
      const auto blocks = journal_->next(a_, journal_->cursor("thanos", a_)->position, 100, 10000);
      if (blocks.empty()) return;
      for (const BlockRef& b : blocks) {
        Buffer out;
        auto status = journal_->read(b, out);
        std::optional<DropReason> reason;
        if (!status) {
          ASSERT_EQ(status.error().code, Code::kCorrupt) << status.error().message;
          reason = DropReason::kCorrupt;
        }
        ASSERT_TRUE(journal_->settle("thanos", b, reason));
      }
    }
  }

  Options options_ = test_options();
  FaultFs fs_;
  FakeClock clock_;
  std::unique_ptr<Journal> journal_;
  StreamId a_ = 0;
  int filled_ = 0;
};

TEST_F(JournalRecovery, AcknowledgedBlocksSurvivePowerLoss) {
  fill(20);
  crash(fs_, journal_, Crash::kPowerLoss);
  open();
  EXPECT_EQ(contents_of(*journal_, a_).size(), 20u);
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
}

TEST_F(JournalRecovery, TornTailIsNotCorruption) {
  fill(3);
  kill();
  const std::string whole = fs_.contents(last_segment());
  const size_t tail = offset_of(whole, "block2");
  for (size_t cut = tail + 1; cut < whole.size(); cut++) {
    fs_.set_contents(last_segment(), whole.substr(0, cut));
    open();
    const Stats stats = journal_->stats();
    EXPECT_EQ(stats.corrupt_records, 0u) << cut;
    EXPECT_EQ(stats.torn_bytes, cut - tail);
    EXPECT_EQ(contents_of(*journal_, a_), (std::vector<std::string>{"block0", "block1"}));
    kill();
    for (const std::string& path : segment_paths(fs_)) fs_.erase(path);
    fs_.set_contents("journal/" + segment_name(0), whole);
  }
}

TEST_F(JournalRecovery, HalfWrittenPayloadIsATornTail) {
  fill(3);
  kill();
  std::string bytes = fs_.contents(last_segment());
  const size_t tail = offset_of(bytes, "block2");
  for (size_t i = bytes.size() - 3; i < bytes.size(); i++) bytes[i] = '\0';
  fs_.set_contents(last_segment(), bytes);
  open();
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  EXPECT_EQ(journal_->stats().torn_bytes, bytes.size() - tail);
  EXPECT_EQ(contents_of(*journal_, a_).size(), 2u);
}

TEST_F(JournalRecovery, AppendsAfterATornTailStayReadable) {
  fill(3);
  kill();
  const std::string path = last_segment();
  fs_.set_contents(path, fs_.contents(path) + std::string(500, 'x'));
  open();
  EXPECT_EQ(journal_->stats().torn_bytes, 500u);
  fill(2);
  kill();
  open();
  EXPECT_EQ(journal_->stats().torn_bytes, 0u);
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  EXPECT_EQ(contents_of(*journal_, a_).size(), 5u);
}

TEST_F(JournalRecovery, DamagedHeaderInTheMiddleIsCountedAndSkipped) {
  fill(3);
  kill();
  std::string bytes = fs_.contents(last_segment());
  const size_t at = offset_of(bytes, "block1");
  bytes[at + 20] = static_cast<char>(bytes[at + 20] ^ 1);
  fs_.set_contents(last_segment(), bytes);
  open();
  EXPECT_EQ(journal_->stats().corrupt_records, 1u);
  EXPECT_EQ(journal_->stats().corrupt_bytes, format::kRecordHeaderSize + 6);
  EXPECT_EQ(contents_of(*journal_, a_), (std::vector<std::string>{"block0", "block2"}));
  settle_all();
  const auto cursor = journal_->cursor("thanos", a_);
  EXPECT_EQ(cursor->delivered, 20u);
  EXPECT_EQ(dropped(*cursor, DropReason::kCorrupt), 10u);
  expect_ledger_closes(*journal_);
}

TEST_F(JournalRecovery, DamagedElementsOfASealedSegmentAreFoundOnReading) {
  fill(3);
  journal_.reset();  // seals
  std::string bytes = fs_.contents(segment_paths(fs_).front());
  bytes[bytes.find("block1")] = 'X';
  fs_.set_contents(segment_paths(fs_).front(), bytes);
  open();
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  settle_all();
  EXPECT_EQ(journal_->stats().corrupt_records, 1u);
  const auto cursor = journal_->cursor("thanos", a_);
  EXPECT_EQ(cursor->delivered, 20u);
  EXPECT_EQ(dropped(*cursor, DropReason::kCorrupt), 10u);
}

TEST_F(JournalRecovery, SameDamagedBlockIsCountedOnce) {
  fill(1);
  const std::string path = last_segment();
  std::string bytes = fs_.contents(path);
  const auto block = journal_->next(a_, 0, 10, 100).front();
  journal_.reset();
  bytes = fs_.contents(path);
  bytes[bytes.find("block0")] = 'X';
  fs_.set_contents(path, bytes);
  open();
  Buffer out;
  out.append("kept");
  for (int i = 0; i < 3; i++) {
    const auto status = journal_->read(block, out);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::kCorrupt);
  }
  EXPECT_EQ(out.view(), "kept");
  EXPECT_EQ(journal_->stats().corrupt_records, 1u);
}

TEST_F(JournalRecovery, DamagedFooterFallsBackToWalking) {
  fill(200);  // several segments
  journal_.reset();
  const auto paths = segment_paths(fs_);
  ASSERT_GT(paths.size(), 2u);
  for (const std::string& path : paths) {
    std::string bytes = fs_.contents(path);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    fs_.set_contents(path, bytes);
  }
  open();
  EXPECT_EQ(contents_of(*journal_, a_).size(), 200u);
  settle_all();
  EXPECT_EQ(journal_->cursor("thanos", a_)->delivered, 2000u);
}

TEST_F(JournalRecovery, BytesBehindTheSuccessorsBaseAreNotData) {
  fill(3);
  // The write of block3 fails halfway, and so does cutting it off.
  const uint64_t now = fs_.operations();
  fs_.fail_at({now, now + 1});
  std::vector<NewBlock> blocks;
  for (int i = 0; i < 20; i++) blocks.push_back(block_of(a_, "never acknowledged", 10));
  ASSERT_FALSE(append_and_wait(*journal_, std::move(blocks)).ok());
  EXPECT_FALSE(journal_->stats().healthy);
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  ASSERT_TRUE(journal_->stats().healthy) << journal_->stats().problem;
  fill(2);
  const std::vector<std::string> expected = {"block0", "block1", "block2", "block3", "block4"};
  EXPECT_EQ(contents_of(*journal_, a_), expected);
  kill();
  open();
  EXPECT_EQ(contents_of(*journal_, a_), expected);
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  EXPECT_EQ(journal_->streams().at(0).accepted, 50u);
}

TEST_F(JournalRecovery, FooterThatACrashForgotIsWrittenAgainAndNotCorruption) {
  fill(200);                                 // several segments
  ASSERT_TRUE(journal_->checkpoint().ok());  // all footers are written
  kill();
  const auto paths = segment_paths(fs_);
  ASSERT_GT(paths.size(), 2u);
  const std::string path = paths[paths.size() - 2];
  const std::string whole = fs_.contents(path);
  const auto footer = load<Position>(whole.data() + whole.size() - format::kTrailerSize);
  const size_t at = footer - *parse_segment_name(path.substr(path.rfind('/') + 1));
  std::map<std::string, std::string> files;
  for (const std::string& name : fs_.names()) files[name] = fs_.contents(name);
  for (size_t cut = at; cut < whole.size(); cut += 37) {
    SCOPED_TRACE(cut);
    for (const std::string& name : fs_.names()) fs_.erase(name);
    for (const auto& [name, bytes] : files) fs_.set_contents(name, bytes);
    fs_.set_contents(path, whole.substr(0, cut));
    open();
    EXPECT_EQ(journal_->stats().corrupt_records, 0u);
    EXPECT_EQ(journal_->stats().corrupt_bytes, 0u);
    EXPECT_EQ(journal_->stats().torn_bytes, cut - at);
    EXPECT_EQ(contents_of(*journal_, a_).size(), 200u);
    EXPECT_EQ(fs_.contents(path).size(), whole.size());
    kill();
    open();
    EXPECT_EQ(journal_->stats().torn_bytes, 0u);
    EXPECT_EQ(contents_of(*journal_, a_).size(), 200u);
    kill();
  }
}

TEST_F(JournalRecovery, BlockThatIsMissingWithTheFooterIsCorruption) {
  fill(200);
  ASSERT_TRUE(journal_->checkpoint().ok());
  kill();
  const auto paths = segment_paths(fs_);
  const std::string path = paths[paths.size() - 2];
  const std::string whole = fs_.contents(path);
  const auto footer = load<Position>(whole.data() + whole.size() - format::kTrailerSize);
  const size_t at = footer - *parse_segment_name(path.substr(path.rfind('/') + 1));
  fs_.set_contents(path, whole.substr(0, at - 1));  // the last byte of the last block, too
  open();
  EXPECT_EQ(journal_->stats().corrupt_records, 1u);
  settle_all();
  const auto cursor = journal_->cursor("thanos", a_);
  EXPECT_EQ(cursor->delivered, 1990u);
  EXPECT_EQ(dropped(*cursor, DropReason::kCorrupt), 10u);
}

TEST_F(JournalRecovery, SpareSegmentIsNoDataAndGoes) {
  fill(3);
  kill();
  fs_.set_contents("journal/spare", std::string(5000, 'x'));
  open();
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  EXPECT_EQ(contents_of(*journal_, a_).size(), 3u);
  fill(200);  // rolls over spares of its own
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_EQ(contents_of(*journal_, a_).size(), 203u);
  journal_.reset();
  const auto names = fs_.names();
  EXPECT_EQ(std::count(names.begin(), names.end(), "journal/spare"), 0);
}

TEST_F(JournalRecovery, VanishedSegmentIsCountedAsCorrupt) {
  fill(400);
  journal_.reset();
  const auto paths = segment_paths(fs_);
  ASSERT_GT(paths.size(), 3u);
  fs_.erase(paths[0]);
  fs_.erase(paths[2]);
  open();
  settle_all();
  const auto cursor = journal_->cursor("thanos", a_);
  EXPECT_EQ(cursor->settled(), 4000u);
  EXPECT_GT(dropped(*cursor, DropReason::kCorrupt), 100u);
  EXPECT_EQ(cursor->delivered + dropped(*cursor, DropReason::kCorrupt), 4000u);
  expect_ledger_closes(*journal_);
}

TEST_F(JournalRecovery, LossOfTheNewestSegmentsIsSettledAtOnce) {
  fill(200);
  journal_.reset();
  for (const std::string& path : segment_paths(fs_)) fs_.erase(path);
  open();
  const auto cursor = journal_->cursor("thanos", a_);
  EXPECT_EQ(dropped(*cursor, DropReason::kCorrupt), 2000u);
  expect_ledger_closes(*journal_);
  ASSERT_EQ(journal_->ledger().size(), 1u);
  EXPECT_EQ(journal_->ledger()[0].pending_samples, 0u);
  // Positions go on growing, so the cursor sees what comes.
  fill(1);
  EXPECT_EQ(contents_of(*journal_, a_, cursor->position), std::vector<std::string>{"block200"});
  settle_all();
  EXPECT_EQ(journal_->cursor("thanos", a_)->delivered, 10u);
}

TEST_F(JournalRecovery, LostCursorsStartAtTheOldestBlock) {
  fill(5);
  settle_all();
  journal_.reset();
  fs_.erase("journal/cursors");
  open();
  EXPECT_EQ(journal_->stats().corrupt_records, 1u);
  EXPECT_EQ(contents_of(*journal_, a_, journal_->cursor("thanos", a_)->position).size(), 5u);
  EXPECT_EQ(journal_->ledger().at(0).pending_samples, 50u);
  expect_ledger_closes(*journal_);
}

TEST_F(JournalRecovery, LostCursorsAreRememberedUntilDestinationsAreDeclared) {
  fill(5);
  journal_.reset();
  fs_.set_contents("journal/cursors", "nonsense");
  {
    auto unused = open_or_die(fs_, clock_, options_);
  }
  open();
  EXPECT_EQ(contents_of(*journal_, a_, journal_->cursor("thanos", a_)->position).size(), 5u);
  // But a destination added after that is new, as ever.
  journal_->set_destinations({"thanos", "amp"});
  EXPECT_TRUE(contents_of(*journal_, a_, journal_->cursor("amp", a_)->position).empty());
}

TEST_F(JournalRecovery, DescriptorLostWithDamageIsFoundElsewhere) {
  fill(200);
  kill();
  const std::string path = last_segment();
  std::string bytes = fs_.contents(path);
  // The descriptor is the first record.
  bytes[format::kSegmentHeaderSize + 5] = static_cast<char>(0xff);
  fs_.set_contents(path, bytes);
  open();
  EXPECT_EQ(contents_of(*journal_, a_).size(), 200u);
  EXPECT_EQ(journal_->stats().corrupt_records, 1u);
}

TEST_F(JournalRecovery, NewerFormatIsRefusedAndLeftAlone) {
  fill(1);
  journal_.reset();
  const std::string path = segment_paths(fs_).front();
  std::string bytes = fs_.contents(path);
  bytes.replace(0, format::kSegmentHeaderSize, encode(SegmentHeader{99, 0, 0}));
  fs_.set_contents(path, bytes);
  const auto opened = Journal::open(options_, fs_, clock_);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("version 99"), std::string::npos);
  EXPECT_EQ(fs_.contents(path), bytes);
}

TEST_F(JournalRecovery, RestartsWithoutTrafficLeaveNoFilesBehind) {
  fill(1);
  for (int i = 0; i < 10; i++) {
    i % 2 ? journal_.reset() : kill();
    open();
  }
  EXPECT_LE(segment_paths(fs_).size(), 2u);
  EXPECT_EQ(contents_of(*journal_, a_).size(), 1u);
}

TEST_F(JournalRecovery, FullDiskAtTheStartDoesNotKeepItDown) {
  fill(5);
  kill();
  fs_.set_quota(fs_.used());
  open();
  EXPECT_FALSE(journal_->stats().healthy);
  EXPECT_NE(journal_->stats().problem.find("no space left"), std::string::npos);
  settle_all();
  EXPECT_EQ(journal_->cursor("thanos", a_)->delivered, 50u);
  ASSERT_FALSE(append_one(*journal_, a_, "x").ok());
  fs_.set_quota(16 << 20);
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_TRUE(append_one(*journal_, a_, "x").ok());
}

}  // namespace
}  // namespace tollgate::journal
