#include "journal/journal.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <thread>

#include "testing.h"

namespace tollgate::journal {
namespace {

using model::DropReason;

class JournalTest : public ::testing::Test {
 protected:
  FaultFs fs_;
  FakeClock clock_;
};

TEST_F(JournalTest, AppendedBlocksComeBackInOrder) {
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  const StreamId b = journal->intern(key_of(2)).value();
  for (int i = 0; i < 5; i++) {
    std::vector<NewBlock> blocks;
    blocks.push_back(block_of(a, "a" + std::to_string(i), 10));
    blocks.push_back(block_of(b, "b" + std::to_string(i), 1));
    ASSERT_TRUE(append_and_wait(*journal, std::move(blocks)).ok());
  }
  EXPECT_EQ(contents_of(*journal, a), (std::vector<std::string>{"a0", "a1", "a2", "a3", "a4"}));
  EXPECT_EQ(contents_of(*journal, b), (std::vector<std::string>{"b0", "b1", "b2", "b3", "b4"}));
  const auto totals = journal->streams();
  ASSERT_EQ(totals.size(), 2u);
  EXPECT_EQ(totals[0].accepted, 50u);
  EXPECT_EQ(totals[1].accepted, 5u);
}

TEST_F(JournalTest, BlockKeepsItsNumbers) {
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "first", 7).ok());
  std::vector<NewBlock> blocks;
  blocks.push_back(block_of(a, "second", 3));
  blocks[0].exemplars = 2;
  blocks[0].min_timestamp = -4;
  ASSERT_TRUE(append_and_wait(*journal, std::move(blocks)).ok());
  const auto refs = journal->next(a, 0, 100, 100);
  ASSERT_EQ(refs.size(), 2u);
  EXPECT_EQ(refs[1].samples_before, 7u);
  EXPECT_EQ(refs[1].samples, 3u);
  EXPECT_EQ(refs[1].exemplars, 2u);
  EXPECT_EQ(refs[1].raw_length, 12u);
  EXPECT_EQ(refs[1].elements_length, 6u);
  EXPECT_EQ(refs[1].min_timestamp, -4);
  EXPECT_EQ(refs[1].max_timestamp, 2000);
  EXPECT_EQ(refs[1].appended_ms, clock_.now_ms());
  EXPECT_EQ(refs[1].position, refs[0].end);
}

TEST_F(JournalTest, NextStopsAtTheMaximaButGivesAtLeastOneBlock) {
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  for (int i = 0; i < 4; i++) ASSERT_TRUE(append_one(*journal, a, "0123456789", 10).ok());
  EXPECT_EQ(journal->next(a, 0, 1, 1 << 20).size(), 1u);
  EXPECT_EQ(journal->next(a, 0, 20, 1 << 20).size(), 2u);
  EXPECT_EQ(journal->next(a, 0, 29, 1 << 20).size(), 2u);
  EXPECT_EQ(journal->next(a, 0, 1000, 60).size(), 3u);
  EXPECT_EQ(journal->next(a, 0, 1000, 1).size(), 1u);
  const auto all = journal->next(a, 0, 1000, 1 << 20);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(journal->next(a, all[1].end, 1000, 1 << 20).size(), 2u);
  EXPECT_TRUE(journal->next(a, all[3].end, 1000, 1 << 20).empty());
}

TEST_F(JournalTest, SameKeyGivesTheSameIdAlsoAfterARestart) {
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  StreamKey other = key_of(1);
  other.shards = 2;
  const StreamId b = journal->intern(other).value();
  EXPECT_NE(a, b);
  EXPECT_EQ(journal->intern(key_of(1)).value(), a);
  ASSERT_TRUE(append_one(*journal, a, "x").ok());
  ASSERT_TRUE(append_one(*journal, b, "y").ok());
  crash(fs_, journal, Crash::kKill);
  journal = open_or_die(fs_, clock_);
  EXPECT_EQ(journal->intern(other).value(), b);
  EXPECT_EQ(journal->intern(key_of(1)).value(), a);
  EXPECT_EQ(journal->key(b), other);
}

TEST_F(JournalTest, TooManyStreamsNameTheLimit) {
  Options options = test_options();
  options.max_streams = 2;
  auto journal = open_or_die(fs_, clock_, options);
  ASSERT_TRUE(journal->intern(key_of(1)).ok());
  ASSERT_TRUE(journal->intern(key_of(2)).ok());
  const auto third = journal->intern(key_of(3));
  ASSERT_FALSE(third.ok());
  EXPECT_EQ(third.error().code, Code::kLimited);
  EXPECT_NE(third.error().message.find("journal.max_streams (2)"), std::string::npos);
  EXPECT_TRUE(journal->intern(key_of(2)).ok());
}

TEST_F(JournalTest, CursorMovesWhenBlocksAreSettled) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  for (int i = 0; i < 4; i++) ASSERT_TRUE(append_one(*journal, a, "x", 10).ok());
  const auto blocks = journal->next(a, 0, 1000, 1000);
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_TRUE(journal->settle("thanos", blocks[0], std::nullopt));
  EXPECT_TRUE(journal->settle("thanos", blocks[1], DropReason::kRefused));
  EXPECT_TRUE(journal->settle_partly("thanos", blocks[2], 4, DropReason::kRefused));
  EXPECT_FALSE(journal->settle("thanos", blocks[1], std::nullopt)) << "it is behind the cursor";
  EXPECT_FALSE(journal->settle("unknown", blocks[3], std::nullopt));
  const auto cursor = journal->cursor("thanos", a);
  ASSERT_TRUE(cursor);
  EXPECT_EQ(cursor->position, blocks[2].end);
  EXPECT_EQ(cursor->delivered, 16u);
  EXPECT_EQ(dropped(*cursor, DropReason::kRefused), 14u);
  EXPECT_EQ(cursor->settled(), 30u);
  EXPECT_FALSE(journal->cursor("unknown", a));
  expect_ledger_closes(*journal);
}

TEST_F(JournalTest, LedgerShowsOnlyWhatSurvivesKill) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "1234", 10).ok());
  ASSERT_TRUE(append_one(*journal, a, "12345", 5).ok());
  const auto blocks = journal->next(a, 0, 1000, 1000);
  ASSERT_TRUE(journal->settle("thanos", blocks[0], std::nullopt));
  auto rows = journal->ledger();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].accepted, 15u);
  EXPECT_EQ(rows[0].cursor.delivered, 0u) << "not yet in a checkpoint";
  EXPECT_EQ(rows[0].pending_samples, 15u);
  EXPECT_EQ(rows[0].pending_bytes, 9u);
  EXPECT_EQ(rows[0].oldest_pending_ms, clock_.now_ms());
  ASSERT_TRUE(journal->checkpoint().ok());
  rows = journal->ledger();
  EXPECT_EQ(rows[0].cursor.delivered, 10u);
  EXPECT_EQ(rows[0].pending_samples, 5u);
  EXPECT_EQ(rows[0].pending_bytes, 5u);
  ASSERT_TRUE(journal->settle("thanos", blocks[1], std::nullopt));
  crash(fs_, journal, Crash::kKill);
  journal = open_or_die(fs_, clock_);
  rows = journal->ledger();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].accepted, 15u);
  EXPECT_EQ(rows[0].cursor.delivered, 10u);
  EXPECT_EQ(rows[0].pending_samples, 5u);
  EXPECT_EQ(rows[0].pending_bytes, 5u);
  EXPECT_EQ(contents_of(*journal, a, journal->cursor("thanos", a)->position),
            std::vector<std::string>{"12345"});
}

TEST_F(JournalTest, BlocksOfOneRequestAreSettledUpToTheFirstThatCannotBe) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  for (int i = 0; i < 3; i++) ASSERT_TRUE(append_one(*journal, a, "x", 10).ok());
  const auto pending = journal->pending("thanos", a, 1000, 1000);
  ASSERT_TRUE(pending);
  ASSERT_EQ(pending->blocks.size(), 3u);
  EXPECT_TRUE(journal->settle("thanos", std::span(pending->blocks).first(2), std::nullopt));
  EXPECT_EQ(journal->cursor("thanos", a)->delivered, 20u);
  EXPECT_FALSE(journal->settle("thanos", pending->blocks, std::nullopt)) << "the first is settled";
  EXPECT_EQ(journal->cursor("thanos", a)->delivered, 20u);
  EXPECT_EQ(journal->pending("thanos", a, 1000, 1000)->blocks.size(), 1u);
  EXPECT_FALSE(journal->pending("nobody", a, 1000, 1000));
  EXPECT_FALSE(journal->settle("nobody", pending->blocks, std::nullopt));
}

TEST_F(JournalTest, CheckpointIsWrittenByItselfWhenItsIntervalIsOver) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "x", 3).ok());
  ASSERT_TRUE(journal->settle("thanos", journal->next(a, 0, 9, 9).front(), std::nullopt));
  clock_.advance(std::chrono::milliseconds(1500));
  // Nobody asks for it: the housekeeper looks at the clock by itself.
  while (journal->ledger().at(0).cursor.delivered != 3u) std::this_thread::yield();
}

TEST_F(JournalTest, NewDestinationStartsAtThePresentEndAndItsRowsClose) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"old"});
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "before", 10).ok());
  journal->set_destinations({"old", "new"});
  ASSERT_TRUE(append_one(*journal, a, "after", 5).ok());
  const StreamId b = journal->intern(key_of(2)).value();
  ASSERT_TRUE(append_one(*journal, b, "later stream", 2).ok());
  EXPECT_EQ(contents_of(*journal, a, journal->cursor("new", a)->position),
            std::vector<std::string>{"after"});
  EXPECT_EQ(contents_of(*journal, b, journal->cursor("new", b)->position),
            std::vector<std::string>{"later stream"});
  for (int restart = 0; restart < 2; restart++) {
    uint64_t accepted_new = 0;
    uint64_t accepted_old = 0;
    for (const LedgerRow& row : journal->ledger()) {
      (row.destination == "new" ? accepted_new : accepted_old) += row.accepted;
    }
    EXPECT_EQ(accepted_new, 7u);
    EXPECT_EQ(accepted_old, 17u);
    expect_ledger_closes(*journal);
    crash(fs_, journal, Crash::kKill);
    journal = open_or_die(fs_, clock_);
    journal->set_destinations({"old", "new"});
  }
}

TEST_F(JournalTest, NewDestinationIsRememberedBeforeTheCallReturns) {
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  journal->set_destinations({"thanos"});
  ASSERT_TRUE(append_one(*journal, a, "x", 10).ok());
  crash(fs_, journal, Crash::kPowerLoss);
  journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos"});
  EXPECT_EQ(contents_of(*journal, a, journal->cursor("thanos", a)->position),
            std::vector<std::string>{"x"});
}

TEST_F(JournalTest, RemovedDestinationLeavesItsPendingSamplesAsDropped) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos", "amp"});
  const StreamId a = journal->intern(key_of(1)).value();
  const StreamId b = journal->intern(key_of(2, "team-b")).value();
  ASSERT_TRUE(append_one(*journal, a, "x", 10).ok());
  ASSERT_TRUE(append_one(*journal, a, "y", 5).ok());
  ASSERT_TRUE(append_one(*journal, b, "z", 2).ok());
  ASSERT_TRUE(journal->settle("amp", journal->next(a, 0, 10, 10).front(), std::nullopt));
  journal->set_destinations({"thanos"});
  const std::vector<Removed> expected = {{"amp", "team-a", 5}, {"amp", "team-b", 2}};
  EXPECT_EQ(journal->removed(), expected);
  EXPECT_FALSE(journal->cursor("amp", a));
  crash(fs_, journal, Crash::kKill);
  journal = open_or_die(fs_, clock_);
  EXPECT_EQ(journal->removed(), expected);
  journal->set_destinations({"thanos", "amp"});
  EXPECT_TRUE(contents_of(*journal, a, journal->cursor("amp", a)->position).empty());
  EXPECT_EQ(journal->removed(), expected);
}

TEST_F(JournalTest, SecondOpenOfADirectoryIsRefusedByName) {
  auto journal = open_or_die(fs_, clock_);
  const auto second = Journal::open(test_options(), fs_, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  EXPECT_NE(second.error().message.find("journal directory journal"), std::string::npos)
      << second.error().message;
  journal.reset();
  EXPECT_TRUE(Journal::open(test_options(), fs_, clock_).ok());
}

TEST_F(JournalTest, ClosedJournalRefusesAtOnceButStillReads) {
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "x").ok());
  journal->close();
  journal->close();
  const auto status = append_one(*journal, a, "y");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnavailable);
  EXPECT_FALSE(journal->checkpoint().ok());
  EXPECT_EQ(contents_of(*journal, a), std::vector<std::string>{"x"});
}

TEST_F(JournalTest, CloseFinishesWhatIsQueued) {
  std::atomic<int> done{0};
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  for (int i = 0; i < 100; i++) {
    std::vector<NewBlock> blocks;
    blocks.push_back(block_of(a, "x", 1));
    journal->append(std::move(blocks), [&](const Status& s) { done += s.ok() ? 1 : 1000; });
  }
  journal->close();
  EXPECT_EQ(done, 100);
  journal = open_or_die(fs_, clock_);
  EXPECT_EQ(contents_of(*journal, a).size(), 100u);
}

TEST_F(JournalTest, ObserversHearOfTheStreamsOfACommit) {
  std::promise<std::vector<StreamId>> heard;
  auto journal = open_or_die(fs_, clock_);
  const StreamId a = journal->intern(key_of(1)).value();
  const StreamId b = journal->intern(key_of(2)).value();
  journal->observe([&](const std::vector<StreamId>& streams) { heard.set_value(streams); });
  std::vector<NewBlock> blocks;
  blocks.push_back(block_of(b, "x", 1));
  blocks.push_back(block_of(a, "x", 1));
  blocks.push_back(block_of(b, "x", 1));
  ASSERT_TRUE(append_and_wait(*journal, std::move(blocks)).ok());
  EXPECT_EQ(heard.get_future().get(), (std::vector<StreamId>{a, b}));
}

TEST_F(JournalTest, EmptyAppendSucceeds) {
  auto journal = open_or_die(fs_, clock_);
  EXPECT_TRUE(append_and_wait(*journal, {}).ok());
}

TEST_F(JournalTest, BlockWithoutSamplesIsKeptAndSettled) {
  auto journal = open_or_die(fs_, clock_);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "metadata", 0).ok());
  ASSERT_TRUE(append_one(*journal, a, "samples", 2).ok());
  const auto blocks = journal->next(a, 0, 10, 1000);
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_TRUE(journal->settle("thanos", blocks[0], std::nullopt));
  EXPECT_TRUE(journal->settle("thanos", blocks[1], std::nullopt));
  EXPECT_EQ(journal->cursor("thanos", a)->delivered, 2u);
}

TEST_F(JournalTest, AlwaysSyncsBeforeItAnswersAndNeverDoesNot) {
  for (const Sync sync : {Sync::kAlways, Sync::kNever}) {
    FaultFs fs;
    Options options = test_options();
    options.sync = sync;
    std::atomic<int> syncs{0};  // outlives the journal, whose last sync is when it closes
    auto journal = open_or_die(fs, clock_, options);
    journal->time_syncs([&](double) { syncs++; });
    const StreamId a = journal->intern(key_of(1)).value();
    for (int i = 0; i < 3; i++) ASSERT_TRUE(append_one(*journal, a, "x").ok());
    EXPECT_EQ(syncs, sync == Sync::kAlways ? 3 : 0);
  }
}

TEST_F(JournalTest, IntervalSyncsWhenItsTimeHasCome) {
  Options options = test_options();
  options.sync = Sync::kInterval;
  options.sync_interval = std::chrono::milliseconds(50);
  std::atomic<int> syncs{0};  // outlives the journal, whose last sync is when it closes
  auto journal = open_or_die(fs_, clock_, options);
  journal->time_syncs([&](double) { syncs++; });
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "x").ok());
  ASSERT_TRUE(append_one(*journal, a, "x").ok());
  EXPECT_EQ(syncs, 0);
  clock_.advance(std::chrono::milliseconds(60));
  ASSERT_TRUE(journal->checkpoint().ok());  // wakes the thread
  EXPECT_EQ(syncs, 1);
  clock_.advance(std::chrono::milliseconds(60));
  ASSERT_TRUE(journal->checkpoint().ok());
  EXPECT_EQ(syncs, 1) << "nothing new to sync";
}

// --- on the real file system

class RealJournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/tollgate-journal-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    options_.path = directory_ + "/a/b";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string directory_;
  Options options_;
  FakeClock clock_;
};

TEST_F(RealJournalTest, BlocksAndCursorsSurviveARestart) {
  auto& fs = fs::FileSystem::real();
  StreamId a = 0;
  for (int round = 0; round < 3; round++) {
    auto journal = open_or_die(fs, clock_, options_);
    journal->set_destinations({"thanos"});
    a = journal->intern(key_of(1)).value();
    ASSERT_TRUE(append_one(*journal, a, "round" + std::to_string(round), 2).ok());
    const auto blocks = journal->next(a, journal->cursor("thanos", a)->position, 2, 100);
    ASSERT_EQ(blocks.size(), 1u);
    EXPECT_EQ(read_all(*journal, blocks[0]), "round" + std::to_string(round));
    EXPECT_TRUE(journal->settle("thanos", blocks[0], std::nullopt));
  }
  auto journal = open_or_die(fs, clock_, options_);
  EXPECT_EQ(contents_of(*journal, a).size(), 3u);
  EXPECT_EQ(journal->cursor("thanos", a)->delivered, 6u);
  EXPECT_EQ(journal->stats().corrupt_records, 0u);
}

TEST_F(RealJournalTest, SecondOpenOfADirectoryIsRefused) {
  auto& fs = fs::FileSystem::real();
  auto journal = open_or_die(fs, clock_, options_);
  const auto second = Journal::open(options_, fs, clock_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find(options_.path), std::string::npos);
}

TEST_F(RealJournalTest, FullTmpfsRefusesAndHealsWhenThereIsRoomAgain) {
  const std::string mount_point = directory_ + "/small";
  ASSERT_EQ(::mkdir(mount_point.c_str(), 0700), 0);
  if (::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, "size=4m") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted here (" << std::strerror(errno)
                 << "): a full disk is covered by the quota of FaultFs only";
  }
  options_.path = mount_point + "/journal";
  const std::string filler = mount_point + "/filler";
  {
    auto& fs = fs::FileSystem::real();
    auto journal = open_or_die(fs, clock_, options_);
    journal->set_destinations({"thanos"});
    const StreamId a = journal->intern(key_of(1)).value();
    const std::string bytes(256 * 1024, 'x');
    int accepted = 0;
    Status status = Ok{};
    while (accepted < 100 && (status = append_one(*journal, a, bytes)).ok()) accepted++;
    EXPECT_GT(accepted, 3);
    EXPECT_LT(accepted, 17);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::kUnavailable);
    EXPECT_NE(status.error().message.find("no space left"), std::string::npos);
    EXPECT_FALSE(journal->stats().healthy);
    EXPECT_EQ(contents_of(*journal, a).size(), static_cast<size_t>(accepted));
    ASSERT_EQ(::mount("tmpfs", mount_point.c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
    clock_.advance(std::chrono::seconds(2));
    ASSERT_TRUE(journal->checkpoint().ok());
    EXPECT_TRUE(journal->stats().healthy) << journal->stats().problem;
    EXPECT_TRUE(append_one(*journal, a, bytes).ok());
    journal.reset();
    journal = open_or_die(fs, clock_, options_);
    EXPECT_EQ(contents_of(*journal, a).size(), static_cast<size_t>(accepted) + 1);
    EXPECT_EQ(journal->stats().corrupt_records, 0u);
  }
  ASSERT_EQ(::umount(mount_point.c_str()), 0);
}

}  // namespace
}  // namespace tollgate::journal
