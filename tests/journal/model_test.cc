#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "testing.h"

namespace tollgate::journal {
namespace {

// What a correct journal must do, as simply as it can be said: per stream the list of blocks that
// were submitted, and for each whether it was acknowledged; per destination and stream, which of
// them have been handed out.
struct ModelStream {
  StreamKey key;
  std::vector<bool> acknowledged;  // by number; false: refused or unknown
  std::vector<uint32_t> samples;
};
struct ModelLane {
  size_t from = 0;       // the first number that this destination must get
  size_t next_min = 0;   // numbers below were seen since the last crash: order
  std::set<size_t> got;  // numbers handed out, ever
};

class Model {
 public:
  Model(uint64_t seed, Sync sync) : random_(seed), fs_(seed), sync_(sync) {
    options_ = test_options();
    options_.sync = sync;
    options_.max_size = 64 << 20;
    options_.retention = std::chrono::milliseconds(pick(2) == 0 ? 0 : 60'000);
    for (int i = 0; i < 4; i++) streams_.push_back({key_of(i), {}, {}});
    names_ = {"d0", "d1"};
    for (const std::string& name : names_) lanes_[name].resize(streams_.size());
    open();
  }

  void step() {
    switch (pick(20)) {
      case 0:
        return restart();
      case 1:
        return change_destinations();
      case 2:
        return checkpoint();
      case 3:
        clock_.advance(std::chrono::seconds(pick(40)));
        return checkpoint();
      case 4:
      case 5:
      case 6:
      case 7:
      case 8:
      case 9:
        return append();
      default:
        return deliver(names_[pick(names_.size() - 1)], pick(streams_.size() - 1));
    }
  }

  void finish() {
    for (const std::string& name : names_) {
      for (size_t s = 0; s < streams_.size(); s++) {
        while (deliver_some(name, s)) {
        }
        check_complete(name, s);
      }
    }
    ASSERT_TRUE(journal_->checkpoint().ok());
    expect_ledger_closes(*journal_);
    for (const LedgerRow& row : journal_->ledger()) {
      EXPECT_EQ(row.pending_samples, 0u);
      for (uint64_t n : row.cursor.dropped) EXPECT_EQ(n, 0u) << "nothing was damaged";
    }
    EXPECT_EQ(journal_->stats().corrupt_records, 0u);
  }

 private:
  uint64_t pick(uint64_t max) { return std::uniform_int_distribution<uint64_t>(0, max)(random_); }

  static std::string contents(size_t stream, size_t number, size_t filler) {
    return std::to_string(stream) + "/" + std::to_string(number) + "/" +
           std::string(filler, static_cast<char>('a' + number % 26));
  }

  void open() {
    journal_ = open_or_die(fs_, clock_, options_);
    ASSERT_NE(journal_, nullptr);
    journal_->set_destinations(names_);
    ids_.clear();
    for (ModelStream& s : streams_) ids_.push_back(journal_->intern(s.key).value());
    // Numbers that were shown never go backwards.
    for (const LedgerRow& row : journal_->ledger()) {
      const auto shown = shown_.find({row.destination, row.stream});
      if (shown == shown_.end()) continue;
      EXPECT_GE(row.accepted, shown->second.accepted);
      EXPECT_GE(row.cursor.delivered, shown->second.cursor.delivered);
    }
    expect_ledger_closes(*journal_);
  }

  void append() {
    std::vector<NewBlock> blocks;
    std::vector<std::pair<size_t, size_t>> numbers;
    const size_t count = 1 + pick(5);
    for (size_t i = 0; i < count; i++) {
      const size_t s = pick(streams_.size() - 1);
      ModelStream& stream = streams_[s];
      const size_t number = stream.acknowledged.size();
      const auto samples = static_cast<uint32_t>(pick(20));
      stream.acknowledged.push_back(false);
      stream.samples.push_back(samples);
      blocks.push_back(block_of(ids_[s], contents(s, number, pick(400)), samples));
      numbers.emplace_back(s, number);
    }
    if (pick(30) == 0) {
      // Nobody will ever know what became of these.
      journal_->append(std::move(blocks), [](const Status&) {});
      return restart();
    }
    const auto status = append_and_wait(*journal_, std::move(blocks));
    ASSERT_TRUE(status.ok()) << status.error().message;
    for (const auto& [s, number] : numbers) streams_[s].acknowledged[number] = true;
  }

  void deliver(const std::string& name, size_t s) { deliver_some(name, s); }

  bool deliver_some(const std::string& name, size_t s) {
    const auto cursor = journal_->cursor(name, ids_[s]);
    if (!cursor) {
      ADD_FAILURE() << "no cursor for " << name;
      return false;
    }
    const uint64_t max_samples = 1 + pick(60);
    const uint64_t max_raw = 1 + pick(2000);
    const auto blocks = journal_->next(ids_[s], cursor->position, max_samples, max_raw);
    const auto pending = journal_->pending(name, ids_[s], max_samples, max_raw);
    EXPECT_EQ(pending->blocks.size(), blocks.size());
    EXPECT_FALSE(pending->unreadable);
    for (size_t i = 0; i < blocks.size(); i++) {
      EXPECT_EQ(pending->blocks[i].position, blocks[i].position);
    }
    ModelLane& lane = lanes_[name][s];
    for (const BlockRef& b : blocks) {
      const std::string bytes = read_all(*journal_, b);
      const size_t slash = bytes.find('/');
      const size_t number = std::strtoul(bytes.c_str() + slash + 1, nullptr, 10);
      EXPECT_EQ(bytes.substr(0, slash), std::to_string(s)) << bytes;
      EXPECT_LT(number, streams_[s].samples.size());
      EXPECT_GE(number, lane.next_min) << "out of order";
      EXPECT_EQ(b.samples, streams_[s].samples[number]);
      EXPECT_EQ(b.samples_before, journal_->cursor(name, ids_[s])->settled());
      EXPECT_TRUE(journal_->settle(name, b, std::nullopt));
      lane.got.insert(number);
      lane.next_min = number + 1;
      if (pick(10) == 0) break;
    }
    return !blocks.empty();
  }

  void checkpoint() {
    ASSERT_TRUE(journal_->checkpoint().ok());
    expect_ledger_closes(*journal_);
  }

  void change_destinations() {
    if (names_.size() > 1 && pick(1) == 0) {
      const size_t i = pick(names_.size() - 1);
      lanes_.erase(names_[i]);
      names_.erase(names_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      const std::string name = "d" + std::to_string(2 + made_++);
      names_.push_back(name);
      for (const ModelStream& s : streams_) {
        lanes_[name].push_back({s.acknowledged.size(), s.acknowledged.size(), {}});
      }
    }
    journal_->set_destinations(names_);
    expect_ledger_closes(*journal_);
  }

  void restart() {
    shown_.clear();
    for (LedgerRow& row : journal_->ledger()) shown_[{row.destination, row.stream}] = row;
    switch (pick(2)) {
      case 0:
        journal_.reset();
        break;
      case 1:
        crash(fs_, journal_, Crash::kKill);
        break;
      // Only `always` promises anything here.
      default:
        crash(fs_, journal_, sync_ == Sync::kAlways ? Crash::kPowerLoss : Crash::kKill);
    }
    // After a crash, what was settled since the last checkpoint comes again.
    for (auto& [name, lanes] : lanes_) {
      for (ModelLane& lane : lanes) lane.next_min = lane.from;
    }
    open();
  }

  void check_complete(const std::string& name, size_t s) {
    const ModelLane& lane = lanes_[name][s];
    for (size_t n = lane.from; n < streams_[s].acknowledged.size(); n++) {
      if (streams_[s].acknowledged[n]) {
        EXPECT_TRUE(lane.got.contains(n))
            << name << ": block " << n << " of stream " << s << " was acknowledged and never came";
      }
    }
  }

  std::mt19937_64 random_;
  FaultFs fs_;
  FakeClock clock_;
  const Sync sync_;
  Options options_;
  std::unique_ptr<Journal> journal_;
  std::vector<ModelStream> streams_;
  std::vector<StreamId> ids_;
  std::vector<std::string> names_;
  std::map<std::string, std::vector<ModelLane>> lanes_;
  std::map<std::pair<std::string, StreamId>, LedgerRow> shown_;
  int made_ = 0;
};

// TOLLGATE_SEED replays one seed, TOLLGATE_SEEDS sets how many are tried.
void run_model(Sync sync) {
  uint64_t first = 1;
  uint64_t count = 150;
  if (const char* text = std::getenv("TOLLGATE_SEEDS")) count = std::strtoull(text, nullptr, 10);
  if (const char* text = std::getenv("TOLLGATE_SEED")) {
    first = std::strtoull(text, nullptr, 10);
    count = 1;
  }
  for (uint64_t seed = first; seed < first + count; seed++) {
    SCOPED_TRACE("TOLLGATE_SEED=" + std::to_string(seed));
    Model model(seed, sync);
    for (int i = 0; i < 120 && !::testing::Test::HasFailure(); i++) model.step();
    if (!::testing::Test::HasFailure()) model.finish();
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(JournalModel, EveryAcknowledgedBlockReachesEveryDestinationInOrderUnderPowerLoss) {
  run_model(Sync::kAlways);
}
TEST(JournalModel, EveryAcknowledgedBlockReachesEveryDestinationInOrderUnderKillWithoutSync) {
  run_model(Sync::kNever);
}

}  // namespace
}  // namespace tollgate::journal
