#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <string>

#include "base/clock.h"
#include "journal/journal.h"

// Append, read and recovery of the journal on a real file system (TMPDIR, default /tmp).
namespace {

using namespace tollgate;           // NOLINT
using namespace tollgate::journal;  // NOLINT

constexpr size_t kBlockBytes = 9000;  // a 500-sample request, compressed
constexpr uint32_t kBlockSamples = 500;

class Directory {
 public:
  Directory() {
    const char* root = std::getenv("TMPDIR");
    std::string name = std::string(root ? root : "/tmp") + "/tollgate-bench-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Options options_for(const Directory& directory) {
  Options o;
  o.path = directory.path();
  o.sync = Sync::kNever;
  return o;
}

std::unique_ptr<Journal> open_or_die(const Options& options) {
  auto journal = Journal::open(options, fs::FileSystem::real(), Clock::real());
  TG_CHECK(journal.ok());
  return std::move(journal).value();
}

NewBlock make_block(StreamId stream) {
  static const std::string bytes(kBlockBytes, 'x');
  NewBlock b;
  b.stream = stream;
  b.elements.append(bytes);
  b.raw_length = 85'000;
  b.samples = kBlockSamples;
  b.series = 200;
  b.min_timestamp = 1;
  b.max_timestamp = 2;
  return b;
}

void fill(Journal& journal, StreamId stream, uint64_t blocks) {
  for (uint64_t left = blocks; left > 0;) {
    std::vector<NewBlock> batch;
    for (; left > 0 && batch.size() < 256; left--) batch.push_back(make_block(stream));
    std::promise<bool> done;
    journal.append(std::move(batch), [&](const Status& s) { done.set_value(s.ok()); });
    TG_CHECK(done.get_future().get());
  }
}

// One iteration is one block; requests of 16 blocks, as under load.
void BM_JournalAppend(benchmark::State& state) {
  Directory directory;
  Options options = options_for(directory);
  options.sync = state.range(0) ? Sync::kAlways : Sync::kNever;
  options.max_size = 2ull << 30;
  options.retention = std::chrono::milliseconds(0);  // without destinations: nothing is kept
  auto journal = open_or_die(options);
  const StreamId stream = journal->intern({"tenant", "source", "", 0, 0, 1}).value();
  constexpr int kBatch = 16;
  for (auto _ : state) {
    std::vector<NewBlock> batch;
    for (int i = 0; i < kBatch; i++) batch.push_back(make_block(stream));
    std::promise<bool> done;
    journal->append(std::move(batch), [&](const Status& s) { done.set_value(s.ok()); });
    TG_CHECK(done.get_future().get());
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
  state.SetBytesProcessed(state.iterations() * kBatch * static_cast<int64_t>(kBlockBytes));
}
BENCHMARK(BM_JournalAppend)->ArgName("sync")->Arg(0)->Arg(1)->UseRealTime();

// What a lane does for every outgoing request of four blocks.
void BM_JournalNextReadSettle(benchmark::State& state) {
  Directory directory;
  auto journal = open_or_die(options_for(directory));
  journal->set_destinations({"d"});
  const StreamId stream = journal->intern({"tenant", "source", "", 0, 0, 1}).value();
  constexpr uint64_t kBlocks = 20'000;
  fill(*journal, stream, kBlocks);
  Position at = 0;
  Buffer out;
  uint64_t read = 0;
  for (auto _ : state) {
    const auto blocks = journal->next(stream, at, 4 * kBlockSamples, 1 << 20);
    out.clear();
    for (const BlockRef& b : blocks) TG_CHECK(journal->read(b, out).ok());
    if (journal->cursor("d", stream)->position <= blocks.front().position) {
      for (const BlockRef& b : blocks) TG_CHECK(journal->settle("d", b, std::nullopt));
    }
    read += blocks.size();
    at = read % kBlocks == 0 ? 0 : blocks.back().end;
  }
  state.SetItemsProcessed(static_cast<int64_t>(read));
}
BENCHMARK(BM_JournalNextReadSettle);

// Opening a journal with so many MiB pending. JOURNAL_BENCH_MIB=4096 for the budget of 3 s.
void BM_JournalRecovery(benchmark::State& state) {
  const char* text = std::getenv("JOURNAL_BENCH_MIB");
  const uint64_t mib = text ? std::strtoull(text, nullptr, 10) : 256;
  const bool open_end = state.range(0) != 0;
  Directory directory;
  const Options options = options_for(directory);
  StreamId stream = 0;
  {
    auto journal = open_or_die(options);
    journal->set_destinations({"d"});
    stream = journal->intern({"tenant", "source", "", 0, 0, 1}).value();
    fill(*journal, stream, (mib << 20) / (kBlockBytes + 80));
  }
  // As after a crash: the newest segment with data has no index and is the last one.
  const auto cut = [&] {
    std::filesystem::path newest;
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      if (entry.path().extension() != ".seg" || entry.file_size() < (1 << 20)) continue;
      if (entry.path() > newest) newest = entry.path();
    }
    for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
      if (entry.path().extension() == ".seg" && entry.path() > newest) {
        std::filesystem::remove(entry.path());
      }
    }
    std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - 1);
  };
  for (auto _ : state) {
    if (open_end) {
      state.PauseTiming();
      cut();
      state.ResumeTiming();
    }
    auto journal = open_or_die(options);
    benchmark::DoNotOptimize(journal->next(stream, 0, 1, 1));
    state.PauseTiming();
    journal.reset();
    state.ResumeTiming();
  }
  state.counters["MiB"] = static_cast<double>(mib);
}
BENCHMARK(BM_JournalRecovery)->ArgName("crashed")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
