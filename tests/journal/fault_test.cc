#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <set>

#include "testing.h"

namespace tollgate::journal {
namespace {

// Appends, delivers, rolls, restarts, while operations fail. What was acknowledged must be there
// at the end, in order, and the journal must be writable again.
class FaultStory {
 public:
  explicit FaultStory(uint64_t seed) : fs_(seed) {
    options_ = test_options();
    options_.segment_size = 4096;
  }

  FaultFs& fs() { return fs_; }

  // Returns the number of file operations that it took.
  uint64_t run(Crash crash_kind) {
    if (!open()) return fs_.operations();
    append_many(12);
    settle(5);
    append_many(12);
    crash(fs_, journal_, crash_kind);
    if (!open()) return fs_.operations();
    append_many(8);
    settle(7);
    journal_.reset();
    if (!open()) return fs_.operations();
    append_many(3);
    const uint64_t operations = fs_.operations();
    fs_.fail_at({});
    fs_.set_quota(1 << 30);
    heal();
    EXPECT_TRUE(journal_->stats().healthy) << journal_->stats().problem;
    EXPECT_TRUE(append("last").ok());
    settle(1'000'000);
    check();
    return operations;
  }

 private:
  static constexpr int kAttempts = 100;

  bool open() {
    for (int attempt = 0; attempt < kAttempts; attempt++) {
      auto opened = Journal::open(options_, fs_, clock_);
      if (!opened) {
        EXPECT_EQ(opened.error().code, Code::kUnavailable);
        continue;
      }
      journal_ = std::move(opened).value();
      journal_->set_destinations({"thanos"});
      a_ = journal_->intern(key_of(1)).value();
      return true;
    }
    ADD_FAILURE() << "failures that pass must not keep it from opening again";
    return false;
  }

  void heal() {
    for (int attempt = 0; attempt < 5 && !journal_->stats().healthy; attempt++) {
      clock_.advance(std::chrono::seconds(1));
      // It also wakes the thread; while the disk fails it may fail, too.
      last_checkpoint_ = journal_->checkpoint().ok();
    }
  }

  Status append(const std::string& text) {
    submitted_.push_back(text);
    auto status = append_one(*journal_, a_, text + std::string(300, '.'), 10);
    if (status.ok()) {
      acknowledged_.insert(text);
    } else {
      EXPECT_EQ(status.error().code, Code::kUnavailable) << status.error().message;
    }
    return status;
  }

  void append_many(int count) {
    for (int i = 0; i < count; i++) {
      if (append("block" + std::to_string(submitted_.size())).ok()) continue;
      heal();
    }
  }

  void settle(int count) {
    int idle = 0;
    while (count > 0 && idle < 3) {
      const auto at = journal_->cursor("thanos", a_)->position;
      const auto blocks = journal_->next(a_, at, 10, 10000);
      if (blocks.empty()) {
        idle++;  // reading may have failed once, too
        continue;
      }
      Buffer out;
      auto status = journal_->read(blocks[0], out);
      if (!status) {
        EXPECT_EQ(status.error().code, Code::kUnavailable) << status.error().message;
        idle++;
        continue;
      }
      const std::string_view bytes = out.view();
      got_.push_back(std::string(bytes.substr(0, bytes.find('.'))));
      EXPECT_TRUE(journal_->settle("thanos", blocks[0], std::nullopt));
      count--;
    }
  }

  void check() {
    const std::set<std::string> got(got_.begin(), got_.end());
    for (const std::string& text : acknowledged_) {
      EXPECT_TRUE(got.contains(text)) << text << " was acknowledged and is lost";
    }
    // First deliveries are in the order of submission.
    std::set<std::string> seen;
    size_t at = 0;
    for (const std::string& text : got_) {
      if (!seen.insert(text).second) continue;
      while (at < submitted_.size() && submitted_[at] != text) at++;
      EXPECT_LT(at, submitted_.size()) << text << " is out of order";
    }
    EXPECT_TRUE(journal_->checkpoint().ok());
    expect_ledger_closes(*journal_);
    const auto rows = journal_->ledger();
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].pending_samples, 0u);
    for (uint64_t n : rows[0].cursor.dropped) EXPECT_EQ(n, 0u);
    EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  }

  FaultFs fs_;
  FakeClock clock_;
  Options options_;
  std::unique_ptr<Journal> journal_;
  StreamId a_ = 0;
  std::vector<std::string> submitted_;
  std::set<std::string> acknowledged_;
  std::vector<std::string> got_;
  bool last_checkpoint_ = false;
};

void fail_every_operation(Crash crash_kind, uint64_t in_a_row) {
  const uint64_t operations = FaultStory(1).run(crash_kind);
  ASSERT_GT(operations, 100u);
  for (uint64_t n = 0; n < operations && !::testing::Test::HasFailure(); n++) {
    SCOPED_TRACE("failing operation " + std::to_string(n));
    FaultStory story(n);
    std::set<uint64_t> failing;
    for (uint64_t i = 0; i < in_a_row; i++) failing.insert(n + i);
    story.fs().fail_at(failing);
    story.run(crash_kind);
  }
}

TEST(JournalFaults, AnyFailingOperationLosesNothingAcknowledgedAfterKill) {
  fail_every_operation(Crash::kKill, 1);
}
TEST(JournalFaults, AnyFailingOperationLosesNothingAcknowledgedAfterPowerLoss) {
  fail_every_operation(Crash::kPowerLoss, 1);
}
TEST(JournalFaults, AnyThreeFailingOperationsLoseNothingAcknowledged) {
  fail_every_operation(Crash::kPowerLoss, 3);
}

TEST(JournalFaults, RandomFailuresLoseNothingAcknowledged) {
  for (uint64_t seed = 1; seed <= 300 && !::testing::Test::HasFailure(); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::set<uint64_t> failing;
    for (uint64_t n = 0; n < 2000; n++) {
      if (random() % 40 == 0) failing.insert(n);
    }
    FaultStory story(seed);
    story.fs().fail_at(failing);
    story.run(seed % 2 ? Crash::kKill : Crash::kPowerLoss);
  }
}

TEST(JournalFaults, FullDiskOfAnySizeLosesNothingAcknowledged) {
  for (uint64_t quota = 0; quota < 40'000 && !::testing::Test::HasFailure(); quota += 301) {
    SCOPED_TRACE("quota " + std::to_string(quota));
    FaultStory story(quota);
    story.fs().set_quota(quota);
    story.run(Crash::kPowerLoss);
  }
}

TEST(JournalFaults, DroppingOldestWhileOperationsFailAnswersEverythingAndKeepsTheSums) {
  for (uint64_t seed = 1; seed <= 300 && !::testing::Test::HasFailure(); seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    FaultFs fs(seed);
    FakeClock clock;
    Options options = test_options();
    options.max_size = 40'000;
    options.on_full = OnFull::kDropOldest;
    std::atomic<uint64_t> answered{0};
    std::atomic<uint64_t> accepted{0};
    auto journal = open_or_die(fs, clock, options);
    ASSERT_NE(journal, nullptr);
    journal->set_destinations({"thanos"});
    const StreamId a = journal->intern(key_of(1)).value();
    std::set<uint64_t> failing;
    for (uint64_t n = 0; n < 2000; n++) {
      if (random() % 30 == 0) failing.insert(n);
    }
    fs.fail_at(failing);
    uint64_t sent = 0;
    for (int round = 0; round < 20; round++) {
      for (int i = 0; i < 6; i++) {
        std::vector<NewBlock> blocks;
        blocks.push_back(block_of(a, std::string(1 + random() % 12'000, 'x'), 10));
        sent++;
        journal->append(std::move(blocks), [&](const Status& s) {
          answered++;
          if (s.ok()) accepted += 10;
        });
      }
      clock.advance(std::chrono::seconds(1));
      if (!journal->checkpoint().ok()) continue;
      uint64_t on_disk = 0;
      for (const std::string& path : segment_paths(fs)) on_disk += fs.contents(path).size();
      // What a failed truncate or remove left behind is not counted; the segments are.
      EXPECT_LE(journal->stats().size_bytes, options.max_size);
      EXPECT_LE(on_disk, 2 * options.max_size);
    }
    fs.fail_at({});
    for (int i = 0; i < 3; i++) {
      clock.advance(std::chrono::seconds(1));
      ASSERT_TRUE(journal->checkpoint().ok());
    }
    EXPECT_EQ(answered, sent);
    EXPECT_TRUE(append_one(*journal, a, "last", 10).ok());
    EXPECT_EQ(journal->streams().at(0).accepted, accepted + 10);
    ASSERT_TRUE(journal->checkpoint().ok());
    expect_ledger_closes(*journal);
  }
}

class JournalFailure : public ::testing::Test {
 protected:
  void SetUp() override {
    journal_ = open_or_die(fs_, clock_);
    journal_->set_destinations({"thanos"});
    a_ = journal_->intern(key_of(1)).value();
    ASSERT_TRUE(append_one(*journal_, a_, "before", 10).ok());
  }
  FaultFs fs_;
  FakeClock clock_;
  std::unique_ptr<Journal> journal_;
  StreamId a_ = 0;
};

TEST_F(JournalFailure, FailedFsyncRefusesWritesUntilANewSegmentIsOpen) {
  fs_.fail_at({fs_.operations() + 1});  // the write succeeds, its fdatasync does not
  auto status = append_one(*journal_, a_, "lost", 10);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnavailable);
  EXPECT_NE(status.error().message.find("fdatasync"), std::string::npos) << status.error().message;
  const Stats stats = journal_->stats();
  EXPECT_FALSE(stats.healthy);
  EXPECT_NE(stats.problem.find("fdatasync"), std::string::npos);
  EXPECT_FALSE(append_one(*journal_, a_, "refused", 10).ok());
  EXPECT_EQ(contents_of(*journal_, a_), std::vector<std::string>{"before"});
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_TRUE(journal_->stats().healthy);
  EXPECT_TRUE(append_one(*journal_, a_, "after", 10).ok());
  EXPECT_EQ(contents_of(*journal_, a_), (std::vector<std::string>{"before", "after"}));
  crash(fs_, journal_, Crash::kPowerLoss);
  journal_ = open_or_die(fs_, clock_);
  EXPECT_EQ(contents_of(*journal_, a_), (std::vector<std::string>{"before", "after"}));
  EXPECT_EQ(journal_->streams().at(0).accepted, 20u);
}

TEST_F(JournalFailure, RefusalWhileUnhealthyHappensInsideTheCall) {
  fs_.fail_all(true);
  ASSERT_FALSE(append_one(*journal_, a_, "lost", 10).ok());
  bool called = false;
  std::vector<NewBlock> blocks;
  blocks.push_back(block_of(a_, "x", 1));
  journal_->append(std::move(blocks), [&](const Status& s) {
    called = true;
    EXPECT_FALSE(s.ok());
  });
  EXPECT_TRUE(called);
  fs_.fail_all(false);
}

TEST_F(JournalFailure, DiskThatKeepsFailingKeepsItUnhealthyAndReadableFromBefore) {
  fs_.fail_all(true);
  ASSERT_FALSE(append_one(*journal_, a_, "lost", 10).ok());
  for (int i = 0; i < 5; i++) {
    clock_.advance(std::chrono::seconds(1));
    EXPECT_FALSE(journal_->checkpoint().ok());
    EXPECT_FALSE(journal_->stats().healthy);
  }
  EXPECT_GT(journal_->stats().checkpoint_failures, 0u);
  fs_.fail_all(false);
  EXPECT_EQ(contents_of(*journal_, a_), std::vector<std::string>{"before"});
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_TRUE(append_one(*journal_, a_, "after", 10).ok());
}

TEST_F(JournalFailure, FullDiskIsNamedAndHealsOnlyWithSomeRoom) {
  fs_.set_quota(fs_.used() + 100);
  const auto status = append_one(*journal_, a_, std::string(5000, 'x'), 10);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnavailable);
  EXPECT_NE(status.error().message.find("no space left"), std::string::npos);
  fs_.set_quota(fs_.used() + 10'000);  // a little: it would fail again at once
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_FALSE(journal_->stats().healthy);
  fs_.set_quota(fs_.used() + (2 << 20));
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_TRUE(journal_->stats().healthy) << journal_->stats().problem;
  EXPECT_TRUE(append_one(*journal_, a_, std::string(5000, 'x'), 10).ok());
}

TEST_F(JournalFailure, SegmentThatFailsAfterSyncWasTurnedOffKeepsWhatItHas) {
  Options options = test_options();
  // Until a segment was rolled onto a spare: there are more than two.
  for (int i = 0; i < 40; i++) {
    ASSERT_TRUE(append_one(*journal_, a_, std::string(1000, 'x'), 10).ok());
    ASSERT_TRUE(journal_->checkpoint().ok());
    if (i % 8 == 3) {
      options.sync = i % 16 == 3 ? Sync::kNever : Sync::kAlways;
      journal_->reconfigure(options);
    }
  }
  fs_.fail_at({fs_.operations()});
  ASSERT_FALSE(append_one(*journal_, a_, "lost", 10).ok());
  EXPECT_EQ(contents_of(*journal_, a_).size(), 41u);
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_TRUE(append_one(*journal_, a_, "after", 10).ok());
  EXPECT_EQ(contents_of(*journal_, a_).size(), 42u);
}

TEST_F(JournalFailure, FailedIntervalSyncTurnsUnhealthy) {
  journal_.reset();
  Options options = test_options();
  options.sync = Sync::kInterval;
  journal_ = open_or_die(fs_, clock_, options);
  a_ = journal_->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal_, a_, "written", 10).ok());
  fs_.fail_at({fs_.operations()});
  clock_.advance(std::chrono::milliseconds(200));
  ASSERT_TRUE(journal_->checkpoint().ok());
  EXPECT_FALSE(journal_->stats().healthy);
  EXPECT_EQ(contents_of(*journal_, a_), (std::vector<std::string>{"before", "written"}));
}

}  // namespace
}  // namespace tollgate::journal
