#include "ingest/stager.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <filesystem>
#include <future>

#include "wire/snappy.h"

namespace tollgate::ingest {
namespace {

std::string varint(size_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  return out + static_cast<char>(n);
}

std::string label(const std::string& name, const std::string& value) {
  const std::string body =
      "\x0a" + varint(name.size()) + name + "\x12" + varint(value.size()) + value;
  return "\x0a" + varint(body.size()) + body;
}

// A TimeSeries field {__name__="m", id="<id>", …} with one sample.
std::string series(int id, const std::string& replica = "") {
  std::string body = label("__name__", "m");
  if (!replica.empty()) body += label("cluster", "blue");
  body += label("id", std::to_string(id));
  if (!replica.empty()) body += label("prometheus_replica", replica);
  const double value = id;
  const std::string sample =
      "\x09" + std::string(reinterpret_cast<const char*>(&value), 8) + "\x10\x01";
  body += "\x12" + varint(sample.size()) + sample;
  return "\x0a" + varint(body.size()) + body;
}

class StagerTest : public testing::Test {
 protected:
  StagerTest() : loops_(1) {}
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/stager-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    journal::Options options;
    options.path = directory_;
    auto journal = journal::Journal::open(options, fs::FileSystem::real(), Clock::real());
    ASSERT_TRUE(journal.ok());
    journal_ = std::move(journal).value();
    journal_->observe([this](const std::vector<journal::StreamId>&) { commits_++; });
    stager_ = std::make_unique<Stager>(loops_.at(0), *journal_, shards_, inflight_, announce_);
    loops_.start();
  }
  void TearDown() override {
    journal_->close();
    loops_.stop();
    stager_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Stages the series of one request and, unless told not to, commits them, on the loop.
  net::Task<bool> request(std::string body, bool commit) {
    Stager& stager = *stager_;
    stager.begin("blue", "team");
    walker_.begin(body, plan_, wire::HaLabels{"cluster", "prometheus_replica"});
    for (bool more = true; more;) {
      switch (walker_.next()) {
        case wire::Step::kSeries: {
          const auto& head = walker_.series();
          EXPECT_TRUE(stager.select(head.ha_cluster, head.ha_replica).ok());
          stager.add_series(walker_);
          break;
        }
        case wire::Step::kOther:
          EXPECT_TRUE(stager.select({}, {}).ok());
          stager.add_other(walker_);
          break;
        case wire::Step::kEnd:
          more = false;
          break;
        default:
          ADD_FAILURE() << "unexpected step";
          more = false;
      }
    }
    if (!commit) {
      stager.rollback();
      co_return true;
    }
    Status status = co_await stager.commit();
    co_return status.ok();
  }
  std::future<bool> submit(std::string body, bool commit = true) {
    auto done = std::make_shared<std::promise<bool>>();
    boost::asio::co_spawn(
        loops_.at(0).executor(),
        [this, body = std::move(body), commit] { return request(body, commit); },
        [done](std::exception_ptr e, bool ok) { done->set_value(e == nullptr && ok); });
    return done->get_future();
  }

  // The decoded bytes of a stream, and its blocks.
  std::string stored(const journal::StreamKey& key, std::vector<journal::BlockRef>* out = nullptr) {
    auto id = journal_->intern(key);
    EXPECT_TRUE(id.ok());
    std::string all;
    const auto blocks = journal_->next(*id, 0, UINT64_MAX, UINT64_MAX);
    for (const auto& block : blocks) {
      Buffer elements;
      Buffer raw;
      EXPECT_TRUE(journal_->read(block, elements).ok());
      EXPECT_TRUE(wire::unpack_elements(elements.view(), block.raw_length, raw).ok());
      all += raw.view();
    }
    if (out != nullptr) *out = blocks;
    return all;
  }
  static journal::StreamKey key(const std::string& replica = "", uint32_t shards = 1,
                                uint32_t shard = 0) {
    journal::StreamKey k;
    k.tenant = "team";
    k.source = "blue";
    k.replica = replica;
    k.generation = k.shards = shards;
    k.shard = shard;
    return k;
  }

  std::string directory_;
  net::Loops loops_;
  std::unique_ptr<journal::Journal> journal_;
  Shards shards_{0};
  InflightBytes inflight_{0};
  std::atomic<int> announced_{0};
  std::atomic<int> commits_{0};
  std::string last_replica_;
  Stager::Announce announce_ = [this](journal::StreamId, const journal::StreamKey& key) {
    last_replica_ = key.replica;
    announced_++;
  };
  std::unique_ptr<Stager> stager_;
  wire::Walker walker_;
  model::LabelPlan plan_;
};

TEST_F(StagerTest, CommittedBytesAreInTheJournalInOrder) {
  ASSERT_TRUE(submit(series(1) + series(2)).get());
  ASSERT_TRUE(submit(series(3)).get());
  std::vector<journal::BlockRef> blocks;
  EXPECT_EQ(stored(key(), &blocks), series(1) + series(2) + series(3));
  uint64_t samples = 0;
  for (const auto& b : blocks) samples += b.samples;
  EXPECT_EQ(samples, 3u);
  EXPECT_EQ(announced_, 1);
  EXPECT_EQ(inflight_, 0u);
}

TEST_F(StagerTest, RollbackLeavesNothingOfARequestAndKeepsTheOthers) {
  auto first = submit(series(1));
  auto second = submit(series(2) + series(3), false);
  auto third = submit(series(4));
  ASSERT_TRUE(first.get());
  ASSERT_TRUE(second.get());
  ASSERT_TRUE(third.get());
  EXPECT_EQ(stored(key()), series(1) + series(4));
}

TEST_F(StagerTest, BlocksAreCutAtSeriesBoundaries) {
  std::string body;
  for (int i = 0; i < 5000; i++) body += series(i);
  ASSERT_TRUE(submit(body).get());
  std::vector<journal::BlockRef> blocks;
  EXPECT_EQ(stored(key(), &blocks), body);
  EXPECT_GT(blocks.size(), 2u);
  for (const auto& b : blocks) {
    EXPECT_LE(b.raw_length, kBlockBytes);
    EXPECT_LE(b.samples, 2000u);
  }
}

TEST_F(StagerTest, BlocksKeepToTheSmallestRequestOfAnyDestination) {
  Stager::Options options;
  options.max_block_samples = 500;
  options.max_block_bytes = 4000;
  stager_->configure(options);
  EXPECT_FALSE(stager_->takes_runs());
  std::string body;
  for (int i = 0; i < 1000; i++) body += series(i);
  ASSERT_TRUE(submit(body).get());
  std::vector<journal::BlockRef> blocks;
  EXPECT_EQ(stored(key(), &blocks), body);
  for (const auto& b : blocks) EXPECT_LE(b.raw_length, 4000u);
  stager_->configure({});
  EXPECT_TRUE(stager_->takes_runs());
}

TEST_F(StagerTest, RequestsThatMeetShareACommit) {
  std::vector<std::future<bool>> all;
  std::string expected;
  for (int i = 0; i < 200; i++) {
    all.push_back(submit(series(i)));
    expected += series(i);
  }
  for (auto& f : all) ASSERT_TRUE(f.get());
  EXPECT_EQ(stored(key()), expected);
  EXPECT_LT(commits_, 200);
}

TEST_F(StagerTest, ReplicasAreStreamsOfTheirOwn) {
  ASSERT_TRUE(submit(series(1, "a") + series(2, "b") + series(3, "a") + series(4)).get());
  EXPECT_EQ(stored(key("blue/a")), series(1, "a") + series(3, "a"));
  EXPECT_EQ(stored(key("blue/b")), series(2, "b"));
  EXPECT_EQ(stored(key()), series(4));
}

TEST_F(StagerTest, AHostileReplicaNameIsNotKeptWhole) {
  const std::string a(100'000, 'a');
  ASSERT_TRUE(submit(series(1, a + "1") + series(2, a + "2") + series(3, a + "1")).get());
  EXPECT_EQ(announced_, 2) << "long names that differ are streams of their own";
  EXPECT_LE(last_replica_.size(), 256u);
}

TEST_F(StagerTest, ASeriesStaysOnItsShardAndShardsMayGrow) {
  std::string body;
  for (int i = 0; i < 64; i++) body += series(i);
  ASSERT_TRUE(submit(body).get());
  EXPECT_EQ(stored(key()), body);
  EXPECT_TRUE(shards_.grow(Shards::key("blue", "team", ""), 4));
  ASSERT_TRUE(submit(body).get());
  ASSERT_TRUE(submit(body).get());
  size_t total = 0;
  for (uint32_t shard = 0; shard < 4; shard++) {
    const std::string half = stored(key("", 4, shard));
    total += half.size();
    // What the second and the third request put on a shard is the same: a series never moves.
    EXPECT_EQ(half.substr(0, half.size() / 2), half.substr(half.size() / 2));
  }
  EXPECT_EQ(total, 2 * body.size());
}

TEST_F(StagerTest, AClosedJournalFailsTheRequest) {
  journal_->close();
  EXPECT_FALSE(submit(series(1)).get());
  EXPECT_EQ(inflight_, 0u);
}

}  // namespace
}  // namespace tollgate::ingest
