#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "base/guarded.h"
#include "testing.h"

namespace tollgate::journal {
namespace {

// Passes everything on to another file system, but lets renames wait at a gate.
class GateFs final : public fs::FileSystem {
 public:
  explicit GateFs(fs::FileSystem& behind) : behind_(behind) {}
  void close_gate() { *closed_.lock() = true; }
  void open_gate() {
    *closed_.lock() = false;
    opened_.notify_all();
  }
  // Returns when somebody waits.
  void await_visitor() {
    auto closed = closed_.lock();
    came_.wait(closed.raw_lock(), [&] { return waiting_; });
  }

  Status create_directories(const std::string& p) override { return behind_.create_directories(p); }
  Result<std::unique_ptr<fs::File>> open_append(const std::string& path) override {
    return behind_.open_append(path);
  }
  Result<std::unique_ptr<fs::File>> open_read(const std::string& path) override {
    return behind_.open_read(path);
  }
  Result<std::vector<std::string>> list(const std::string& d) override { return behind_.list(d); }
  Status remove(const std::string& path) override { return behind_.remove(path); }
  Status rename(const std::string& from, const std::string& to) override {
    {
      auto closed = closed_.lock();
      waiting_ = *closed;
      came_.notify_all();
      opened_.wait(closed.raw_lock(), [&] { return !*closed; });
      waiting_ = false;
    }
    return behind_.rename(from, to);
  }
  Status sync_directory(const std::string& d) override { return behind_.sync_directory(d); }
  Result<std::unique_ptr<fs::Lock>> lock(const std::string& path) override {
    return behind_.lock(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override { return behind_.free_bytes(path); }

 private:
  fs::FileSystem& behind_;
  Guarded<bool> closed_{false};
  bool waiting_ = false;  // guarded by closed_
  std::condition_variable came_;
  std::condition_variable opened_;
};

TEST(JournalThreads, NoAcknowledgementWaitsForTheCursors) {
  FaultFs disk;
  GateFs fs(disk);
  FakeClock clock;
  auto journal = open_or_die(fs, clock);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  fs.close_gate();
  std::thread admin([&] { EXPECT_TRUE(journal->checkpoint().ok()); });
  fs.await_visitor();  // the cursors are written, and stand before their rename
  EXPECT_TRUE(append_one(*journal, a, "meanwhile", 10).ok());
  EXPECT_EQ(contents_of(*journal, a), std::vector<std::string>{"meanwhile"});
  fs.open_gate();
  admin.join();
}

TEST(JournalThreads, NothingIsAcknowledgedBeforeANewDestinationIsDurable) {
  FaultFs disk;
  GateFs fs(disk);
  FakeClock clock;
  auto journal = open_or_die(fs, clock);
  const StreamId a = journal->intern(key_of(1)).value();
  fs.close_gate();
  std::thread admin([&] { journal->set_destinations({"thanos"}); });
  fs.await_visitor();
  std::promise<Status> answer;
  std::atomic<bool> answered{false};
  std::vector<NewBlock> blocks;
  blocks.push_back(block_of(a, "x", 10));
  journal->append(std::move(blocks), [&](const Status& s) {
    answered = true;
    answer.set_value(s);
  });
  EXPECT_FALSE(answered);
  fs.open_gate();
  EXPECT_TRUE(answer.get_future().get().ok());
  admin.join();
  crash(disk, journal, Crash::kKill);
  journal = open_or_die(fs, clock);
  journal->set_destinations({"thanos"});
  EXPECT_EQ(contents_of(*journal, a, journal->cursor("thanos", a)->position).size(), 1u);
}

// Senders append, senders' lanes read and settle, an admin looks, all at once; under TSan this is
// the test that finds a missing lock.
TEST(JournalThreads, ManyAppendersAndLanesAgreeInTheEnd) {
  constexpr int kStreams = 3;
  constexpr int kBlocks = 300;
  FaultFs fs;
  Options options = test_options();
  options.max_size = 64 << 20;
  options.checkpoint_interval = std::chrono::milliseconds(1);
  options.retention = std::chrono::milliseconds(0);
  auto journal = open_or_die(fs, Clock::real(), options);
  const std::vector<std::string> destinations = {"d0", "d1"};
  journal->set_destinations(destinations);
  std::vector<StreamId> ids;
  for (int s = 0; s < kStreams; s++) ids.push_back(journal->intern(key_of(s)).value());

  std::atomic<int> acknowledged{0};
  std::atomic<int> wrong{0};
  std::atomic<bool> finished{false};
  std::vector<std::thread> threads;
  for (int s = 0; s < kStreams; s++) {
    threads.emplace_back([&, s] {
      for (int i = 0; i < kBlocks; i++) {
        std::vector<NewBlock> blocks;
        blocks.push_back(block_of(ids[s], std::to_string(i) + std::string(200, '.'), 2));
        journal->append(std::move(blocks),
                        [&](const Status& st) { st.ok() ? acknowledged++ : wrong++; });
      }
    });
    for (const std::string& destination : destinations) {
      threads.emplace_back([&, s, destination] {
        for (int expected = 0; expected < kBlocks;) {
          const auto blocks = journal->pending(destination, ids[s], 16, 4096)->blocks;
          for (const BlockRef& b : blocks) {
            Buffer out;
            auto status = journal->read(b, out);
            if (!status || std::atoi(std::string(out.view()).c_str()) != expected++) wrong++;
          }
          if (!journal->settle(destination, blocks, std::nullopt)) wrong++;
          if (blocks.empty()) std::this_thread::yield();
        }
      });
    }
  }
  std::thread admin([&] {
    while (!finished) {
      expect_ledger_closes(*journal);
      if (!journal->stats().healthy) wrong++;
      if (journal->streams().size() != kStreams) wrong++;
      if (!journal->checkpoint().ok()) wrong++;
      journal->reconfigure(options);
      if (!journal->intern(key_of(0)).ok()) wrong++;
    }
  });
  for (std::thread& t : threads) t.join();
  finished = true;
  admin.join();
  journal->close();
  EXPECT_EQ(acknowledged, kStreams * kBlocks);
  EXPECT_EQ(wrong, 0);
  for (const LedgerRow& row : journal->ledger()) {
    EXPECT_EQ(row.cursor.delivered, uint64_t{kBlocks} * 2);
    EXPECT_EQ(row.pending_samples, 0u);
  }
}

TEST(JournalThreads, AppendsRacingWithCloseAreAnsweredExactlyOnce) {
  for (int round = 0; round < 50; round++) {
    FaultFs fs;
    auto journal = open_or_die(fs, Clock::real());
    const StreamId a = journal->intern(key_of(1)).value();
    constexpr int kAppends = 50;
    std::atomic<int> answers{0};
    std::atomic<int> accepted{0};
    std::thread sender([&] {
      for (int i = 0; i < kAppends; i++) {
        std::vector<NewBlock> blocks;
        blocks.push_back(block_of(a, "x", 1));
        journal->append(std::move(blocks), [&](const Status& s) {
          answers++;
          if (s.ok()) accepted++;
        });
      }
    });
    journal->close();
    sender.join();
    EXPECT_EQ(answers, kAppends);
    EXPECT_EQ(contents_of(*journal, a).size(), static_cast<size_t>(accepted));
  }
}

}  // namespace
}  // namespace tollgate::journal
