#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

std::vector<std::filesystem::path> by_size(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return std::filesystem::file_size(a) > std::filesystem::file_size(b);
  });
  return files;
}

void flip_byte(const std::filesystem::path& file, uint64_t at) {
  std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
  f.seekg(static_cast<std::streamoff>(at));
  const char c = static_cast<char>(f.get() ^ 0x5a);
  f.seekp(static_cast<std::streamoff>(at));
  f.put(c);
  ASSERT_TRUE(f.flush()) << file;
}

class Damage : public testing::Test {
 protected:
  void SetUp() override {
    sink_.vanish();
    topology_.journal = "  segment_size: 1MB\n";
    gateway_.configure(topology_.to(sink_, kQuickRetry).yaml(gateway_));
    gateway_.start_ready();
    SenderOptions options;
    options.port = gateway_.port();
    options.padding = 2000;
    options.name = "one";
    senders_.push_back(std::make_unique<Sender>(options));
    options.name = "two";
    senders_.push_back(std::make_unique<Sender>(options));
    start(all(senders_));
    wait_for_progress(all(senders_), 300);
    gateway_.kill9();
  }

  // Starts again, delivers what is left, and expects that what is missing is counted.
  Ledger recover() {
    gateway_.start_ready();
    wait_for_progress(all(senders_), 20);
    sink_.come_back();
    stop(all(senders_));
    Ledger ledger = expect_ledger_closes(gateway_.admin_port(), {"sink"}, true);
    expect_delivered(all_const(senders_), {&sink_}, {.gaps = true});
    const LedgerEntry& row = ledger[{"sink", "default"}];
    EXPECT_EQ(row.delivered, sink_.samples()) << render(row);
    EXPECT_EQ(static_cast<double>(row.dropped),
              scrape(gateway_.admin_port())
                  .sum("tollgate_dropped_samples_total", {{"reason", "corrupt"}}));
    uint64_t acknowledged = 0;
    for (const auto& s : senders_) acknowledged += 5 * s->acknowledged();
    EXPECT_GE(row.accepted, acknowledged) << render(row);
    std::cout << render(row) << std::endl;
    return ledger;
  }

  const uint64_t seed_ = test_seed();
  std::mt19937_64 random_{seed_};
  TempDir dir_;
  Sink sink_{"sink", seed_};
  Gateway gateway_{dir_.path()};
  Topology topology_;
  Senders senders_;
};

TEST_F(Damage, FlippedBitsAreCountedAndTheRestArrives) {
  const auto files = by_size(gateway_.journal());
  ASSERT_GE(files.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    for (int k = 0; k < 3; ++k) {
      ASSERT_NO_FATAL_FAILURE(
          flip_byte(files[i], random_() % std::filesystem::file_size(files[i])));
    }
  }
  const LedgerEntry row = recover().at({"sink", "default"});
  EXPECT_GT(row.delivered, row.accepted / 2) << "only the damaged blocks are gone";
  // A flip may hit bytes that are never read again, but not six of them.
  EXPECT_GT(scrape(gateway_.admin_port()).sum("tollgate_journal_corrupt_records_total"), 0);
  gateway_.stop_gracefully();
}

TEST_F(Damage, AMissingCheckpointSendsAgainRatherThanLosing) {
  // Everything but the segments: the cursors and whatever else is there.
  size_t removed = 0;
  for (const auto& file : by_size(gateway_.journal())) {
    if (file.extension() == ".seg") continue;
    removed += std::filesystem::remove(file) ? 1 : 0;
  }
  ASSERT_GT(removed, 0u);
  ASSERT_NO_FATAL_FAILURE(gateway_.start_ready());
  sink_.come_back();
  wait_for_progress(all(senders_), 20);
  stop(all(senders_));
  wait_for_everything(all_const(senders_), {&sink_});
  expect_delivered(all_const(senders_), {&sink_}, {});
  expect_ledger_closes(gateway_.admin_port(), {"sink"});
  gateway_.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
