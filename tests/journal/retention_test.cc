#include <gtest/gtest.h>

#include "testing.h"

namespace tollgate::journal {
namespace {

using model::DropReason;
using std::chrono::minutes;
using std::chrono::seconds;

class JournalRetention : public ::testing::Test {
 protected:
  void open() {
    journal_ = open_or_die(fs_, clock_, options_);
    ASSERT_NE(journal_, nullptr);
    journal_->set_destinations(destinations_);
    a_ = journal_->intern(key_of(1)).value();
  }
  void fill(int count, size_t bytes = 1000) {
    for (int i = 0; i < count; i++) {
      ASSERT_TRUE(append_one(*journal_, a_, std::string(bytes, 'x'), 10).ok());
    }
  }
  void settle_all(const std::string& destination) {
    for (;;) {
      const auto at = journal_->cursor(destination, a_)->position;
      const auto blocks = journal_->next(a_, at, 1000, 1 << 20);
      if (blocks.empty()) return;
      for (const BlockRef& b : blocks) {
        ASSERT_TRUE(journal_->settle(destination, b, std::nullopt));
      }
    }
  }
  // Lets the journal's thread look at the clock.
  void wake() { ASSERT_TRUE(journal_->checkpoint().ok()); }

  Options options_ = test_options();
  std::vector<std::string> destinations_ = {"thanos", "amp"};
  FaultFs fs_;
  FakeClock clock_;
  std::unique_ptr<Journal> journal_;
  StreamId a_ = 0;
};

TEST_F(JournalRetention, SegmentStaysUntilEveryDestinationHasItAndItIsOld) {
  open();
  fill(30);
  ASSERT_GT(journal_->stats().segments, 3u);
  const auto full = journal_->stats().segments;
  settle_all("thanos");
  clock_.advance(minutes(20));
  wake();
  EXPECT_GE(journal_->stats().segments, full) << "amp has nothing yet";
  settle_all("amp");
  wake();
  EXPECT_EQ(journal_->stats().segments, 1u);
  EXPECT_EQ(segment_paths(fs_).size(), 1u);
  EXPECT_EQ(journal_->streams().at(0).accepted, 300u);
  expect_ledger_closes(*journal_);
}

TEST_F(JournalRetention, DeliveredSegmentStaysReadableForTheRetention) {
  open();
  fill(30);
  settle_all("thanos");
  settle_all("amp");
  clock_.advance(minutes(14));
  wake();
  EXPECT_EQ(contents_of(*journal_, a_).size(), 30u);
}

TEST_F(JournalRetention, TotalsSurviveTheRemovalOfAllBlocks) {
  open();
  fill(30);
  settle_all("thanos");
  settle_all("amp");
  clock_.advance(minutes(20));
  wake();
  ASSERT_TRUE(contents_of(*journal_, a_).empty());
  crash(fs_, journal_, Crash::kKill);
  open();
  EXPECT_EQ(journal_->streams().at(0).accepted, 300u);
  for (const LedgerRow& row : journal_->ledger()) {
    EXPECT_EQ(row.cursor.delivered, 300u);
    EXPECT_EQ(row.pending_samples, 0u);
  }
  EXPECT_EQ(journal_->stats().corrupt_records, 0u);
}

TEST_F(JournalRetention, TotalsSurviveARemovalThatNoCheckpointPreceded) {
  options_.max_size = 50'000;
  destinations_ = {};
  open();
  const StreamId b = journal_->intern(key_of(2)).value();
  ASSERT_TRUE(append_one(*journal_, b, "only one", 7).ok());
  fill(200);  // makes room for itself at once; the clock stands still
  ASSERT_TRUE(contents_of(*journal_, b).empty());
  crash(fs_, journal_, Crash::kKill);
  open();
  uint64_t accepted = 0;
  for (const StreamTotals& total : journal_->streams()) {
    if (total.key == key_of(2)) accepted = total.accepted;
  }
  EXPECT_EQ(accepted, 7u);
}

TEST_F(JournalRetention, CursorsAreDurableBeforeASegmentGoes) {
  options_.max_size = 50'000;
  open();
  for (int i = 0; i < 200; i++) {
    fill(1);
    settle_all("thanos");
    settle_all("amp");
  }
  crash(fs_, journal_, Crash::kKill);
  open();
  settle_all("thanos");
  const auto cursor = journal_->cursor("thanos", a_);
  EXPECT_EQ(cursor->delivered, 2000u);
  EXPECT_EQ(dropped(*cursor, DropReason::kCorrupt), 0u);
}

TEST_F(JournalRetention, SmallSegmentRollsByAgeAndGoes) {
  open();
  fill(1);
  settle_all("thanos");
  settle_all("amp");
  clock_.advance(minutes(5));
  wake();
  EXPECT_EQ(journal_->stats().segments, 2u) << "rolled after a quarter of the retention";
  clock_.advance(minutes(15));
  wake();
  EXPECT_EQ(journal_->stats().segments, 1u);
  EXPECT_EQ(journal_->stats().oldest_ms, 0);
}

TEST_F(JournalRetention, WithoutDestinationsEverythingIsSettled) {
  destinations_ = {};
  open();
  fill(30);
  clock_.advance(minutes(20));
  wake();
  EXPECT_EQ(journal_->stats().segments, 1u);
}

TEST_F(JournalRetention, ReaderOfARemovedSegmentIsToldSo) {
  destinations_ = {};
  open();
  fill(30);
  const auto block = journal_->next(a_, 0, 10, 10000).front();
  clock_.advance(minutes(20));
  wake();
  Buffer out;
  const auto status = journal_->read(block, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnavailable);
}

TEST_F(JournalRetention, FullJournalRejectsNamingTheLimitAndTheDestination) {
  options_.max_size = 100'000;
  open();
  settle_all("thanos");
  int accepted = 0;
  Status status = Ok{};
  while (accepted < 200 && (status = append_one(*journal_, a_, std::string(1000, 'x'), 10)).ok()) {
    accepted++;
    settle_all("thanos");
  }
  ASSERT_FALSE(status.ok());
  EXPECT_GT(accepted, 70);
  EXPECT_EQ(status.error().code, Code::kLimited);
  EXPECT_NE(status.error().message.find("journal.max_size (97.7KB) reached"), std::string::npos)
      << status.error().message;
  EXPECT_NE(status.error().message.find("pending for destination \"amp\""), std::string::npos)
      << status.error().message;
  EXPECT_TRUE(journal_->stats().healthy);
  wake();  // all footers are written
  uint64_t on_disk = 0;
  for (const std::string& path : segment_paths(fs_)) on_disk += fs_.contents(path).size();
  EXPECT_LE(on_disk, options_.max_size);
  EXPECT_EQ(on_disk, journal_->stats().size_bytes);
  EXPECT_EQ(contents_of(*journal_, a_).size(), static_cast<size_t>(accepted));
  // What everybody has makes room, within the retention, too.
  settle_all("amp");
  EXPECT_TRUE(append_one(*journal_, a_, std::string(1000, 'x'), 10).ok());
  EXPECT_GT(journal_->stats().segments, 1u);
  expect_ledger_closes(*journal_);
}

TEST_F(JournalRetention, DropOldestCountsExactlyWhatIsLostPerDestination) {
  options_.max_size = 100'000;
  options_.on_full = OnFull::kDropOldest;
  open();
  fill(50);
  // thanos has everything so far and loses nothing; amp stands in the middle of a segment.
  settle_all("thanos");
  const auto blocks = journal_->next(a_, 0, 30, 1 << 20);
  ASSERT_EQ(blocks.size(), 3u);
  for (const BlockRef& b : blocks) ASSERT_TRUE(journal_->settle("amp", b, std::nullopt));
  for (int i = 0; i < 150; i++) {
    fill(1);
    settle_all("thanos");
  }
  EXPECT_LE(journal_->stats().size_bytes, options_.max_size);
  EXPECT_EQ(journal_->cursor("thanos", a_)->delivered, 2000u);
  const auto amp = journal_->cursor("amp", a_);
  EXPECT_EQ(amp->delivered, 30u);
  EXPECT_GT(dropped(*amp, DropReason::kJournalFull), 500u);
  EXPECT_EQ(dropped(*amp, DropReason::kCorrupt), 0u);
  const size_t left = contents_of(*journal_, a_, amp->position).size();
  EXPECT_EQ(amp->settled() + left * 10, 2000u);
  // A block that went away under its sender.
  const auto moved = journal_->next(a_, amp->position, 1, 1).front();
  EXPECT_FALSE(journal_->settle("amp", blocks[2], std::nullopt));
  EXPECT_TRUE(journal_->settle("amp", moved, std::nullopt));
  wake();
  expect_ledger_closes(*journal_);
  crash(fs_, journal_, Crash::kPowerLoss);
  open();
  settle_all("amp");
  const auto after = journal_->cursor("amp", a_);
  EXPECT_EQ(after->delivered + dropped(*after, DropReason::kJournalFull), 2000u);
  EXPECT_EQ(dropped(*after, DropReason::kCorrupt), 0u);
}

TEST_F(JournalRetention, RequestLargerThanTheJournalIsRefusedAndHarmsNothing) {
  for (const OnFull on_full : {OnFull::kReject, OnFull::kDropOldest}) {
    options_.max_size = 50'000;
    options_.on_full = on_full;
    open();
    const auto status = append_one(*journal_, a_, std::string(60'000, 'x'), 10);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::kLimited);
    EXPECT_TRUE(append_one(*journal_, a_, "small", 10).ok());
    journal_.reset();
  }
}

TEST_F(JournalRetention, DropOldestMakesRoomWhenTheOnlySegmentIsTheActiveOne) {
  options_.max_size = 50'000;
  options_.on_full = OnFull::kDropOldest;
  open();
  for (int i = 0; i < 5; i++) fill(1, 30'000);
  EXPECT_EQ(contents_of(*journal_, a_).size(), 1u);
  EXPECT_EQ(dropped(*journal_->cursor("amp", a_), DropReason::kJournalFull), 40u);
  EXPECT_LE(journal_->stats().size_bytes, options_.max_size);
}

TEST_F(JournalRetention, LimitsMayChangeWhileRunning) {
  options_.max_size = 20'000;
  open();
  Status status = Ok{};
  while ((status = append_one(*journal_, a_, std::string(1000, 'x'), 10)).ok()) {
  }
  ASSERT_EQ(status.error().code, Code::kLimited);
  options_.max_size = 40'000;
  options_.path = "elsewhere";
  journal_->reconfigure(options_);
  EXPECT_TRUE(append_one(*journal_, a_, std::string(1000, 'x'), 10).ok());
}

TEST_F(JournalRetention, FullDiskMakesRoomFromWhatEverybodyHas) {
  open();
  fill(30);
  settle_all("thanos");
  settle_all("amp");
  fs_.set_quota(fs_.used() + 500);
  // More than what the active segment may have reserved.
  ASSERT_FALSE(append_one(*journal_, a_, std::string(20'000, 'x'), 10).ok());
  fs_.set_quota(fs_.used() + (1 << 20) - 4000);
  clock_.advance(seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_TRUE(journal_->stats().healthy) << journal_->stats().problem;
  EXPECT_TRUE(append_one(*journal_, a_, std::string(1000, 'x'), 10).ok());
  EXPECT_GT(contents_of(*journal_, a_).size(), 1u) << "no more than needed";
  crash(fs_, journal_, Crash::kPowerLoss);
  fs_.set_quota(16 << 20);
  open();
  for (const LedgerRow& row : journal_->ledger()) {
    EXPECT_EQ(row.accepted, 310u);
    EXPECT_EQ(dropped(row.cursor, DropReason::kCorrupt), 0u);
  }
}

}  // namespace
}  // namespace tollgate::journal
