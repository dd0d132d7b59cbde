#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "journal/journal.h"

// Append, acknowledgement latency, read and recovery of the journal on a real file system (TMPDIR,
// default /tmp).
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

NewBlock make_block(StreamId stream, size_t size = kBlockBytes) {
  static const std::string bytes(kBlockBytes, 'x');
  NewBlock b;
  b.stream = stream;
  b.elements.append(std::string_view(bytes).substr(0, size));
  b.raw_length = 85'000;
  b.samples = kBlockSamples;
  b.series = 200;
  b.min_timestamp = 1;
  b.max_timestamp = 2;
  return b;
}

void fill(Journal& journal, StreamId stream, uint64_t blocks, size_t size = kBlockBytes) {
  for (uint64_t left = blocks; left > 0;) {
    std::vector<NewBlock> batch;
    for (; left > 0 && batch.size() < 256; left--) batch.push_back(make_block(stream, size));
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

std::vector<StreamId> intern_many(Journal& journal, int count) {
  std::vector<StreamId> out;
  for (int i = 0; i < count; i++) {
    out.push_back(journal.intern({"tenant-" + std::to_string(i), "source", "", 0, 0, 1}).value());
  }
  return out;
}

// The destinations' side: reads and settles all blocks of each stream, as its lanes do.
void settle_stream(Journal& journal, const std::string& destination, StreamId stream) {
  Buffer body;
  for (;;) {
    const auto pending = journal.pending(destination, stream, 4 * kBlockSamples, 1 << 20);
    if (pending->blocks.empty()) return;
    body.clear();
    for (const BlockRef& b : pending->blocks) TG_CHECK(journal.read(b, body).ok());
    TG_CHECK(journal.settle(destination, pending->blocks, std::nullopt));
  }
}

double percentile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto at = static_cast<size_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return values[at];
}

// Time from the moment at which an append was due to its `done`, open loop, in units of a bare
// append + fdatasync of as many bytes on the same disk. The two take turns of half a second, so
// that both see the same neighbours. JOURNAL_BENCH_SECONDS: of each (default 3);
// JOURNAL_BENCH_RATE: appends a second (default 400), each of 9 KB in 1 or 16 blocks.
void BM_JournalLatency(benchmark::State& state) {
  using Time = std::chrono::steady_clock;
  const auto number = [](const char* name, int fallback) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : fallback;
  };
  const int turns = 2 * number("JOURNAL_BENCH_SECONDS", 3);
  const int rate = number("JOURNAL_BENCH_RATE", 400);
  const auto streams = static_cast<int>(state.range(0));
  const auto destinations = static_cast<int>(state.range(1));
  const int blocks_each = streams == 1 ? 1 : 16;
  constexpr auto kTurn = std::chrono::milliseconds(500);
  for (auto _ : state) {
    Directory directory;
    Options options = options_for(directory);
    options.sync = Sync::kAlways;
    options.segment_size = 8 << 20;
    options.retention = std::chrono::milliseconds(1);
    std::atomic<uint64_t> syncs{0};
    auto journal = open_or_die(options);
    journal->time_syncs([&](double) { syncs++; });
    std::vector<std::string> names;
    for (int i = 0; i < destinations; i++) names.push_back("destination-" + std::to_string(i));
    journal->set_destinations(names);
    const auto ids = intern_many(*journal, streams);

    // Settles what each commit brought, on a thread of its own.
    Guarded<std::vector<StreamId>> news;
    std::atomic<bool> stop{false};
    journal->observe([&](const std::vector<StreamId>& changed) {
      auto queue = news.lock();
      queue->insert(queue->end(), changed.begin(), changed.end());
    });
    std::thread lanes([&] {
      while (!stop) {
        std::vector<StreamId> mine;
        mine.swap(*news.lock());
        for (StreamId id : mine) {
          for (const auto& name : names) settle_stream(*journal, name, id);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });

    Guarded<std::vector<double>> acknowledged;
    std::vector<double> bare;
    auto file = fs::FileSystem::real().open_append(directory.path() + "/bare").value();
    const std::string bytes(kBlockBytes + 80, 'x');
    const std::string_view pieces[] = {bytes};
    std::atomic<uint64_t> waiting{0};
    uint64_t sent = 0;
    for (int turn = 0; turn < turns; turn++) {
      const auto start = Time::now();
      for (int i = 0; Time::now() - start < kTurn; i++) {
        const auto due = start + std::chrono::nanoseconds(1'000'000'000ll * i / rate);
        std::this_thread::sleep_until(due);
        std::vector<NewBlock> batch;
        for (int k = 0; k < blocks_each; k++) {
          batch.push_back(make_block(ids[(sent * blocks_each + k) % ids.size()],
                                     kBlockBytes / static_cast<size_t>(blocks_each)));
        }
        sent++;
        waiting++;
        journal->append(std::move(batch), [&, due](const Status& s) {
          TG_CHECK(s.ok());
          acknowledged.lock()->push_back(
              std::chrono::duration<double, std::milli>(Time::now() - due).count());
          waiting--;
        });
      }
      while (waiting > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const auto bare_start = Time::now();
      for (int i = 0; Time::now() - bare_start < kTurn; i++) {
        std::this_thread::sleep_until(bare_start +
                                      std::chrono::nanoseconds(1'000'000'000ll * i / rate));
        const auto before = Time::now();
        TG_CHECK(file->append(pieces).ok() && file->sync().ok());
        bare.push_back(std::chrono::duration<double, std::milli>(Time::now() - before).count());
      }
    }
    stop = true;
    lanes.join();
    journal->close();
    auto& times = *acknowledged.lock();
    for (const double q : {0.5, 0.99, 0.999}) {
      const std::string name = "p" + std::to_string(static_cast<int>(q * 1000));
      state.counters["ack_" + name + "_ms"] = percentile(times, q);
      state.counters["bare_" + name + "_ms"] = percentile(bare, q);
    }
    state.counters["ratio_p99"] = percentile(times, 0.99) / percentile(bare, 0.99);
    state.counters["ratio_p999"] = percentile(times, 0.999) / percentile(bare, 0.999);
    state.counters["commits"] = static_cast<double>(syncs);
    state.counters["appends"] = static_cast<double>(sent);
  }
}
BENCHMARK(BM_JournalLatency)
    ->ArgNames({"streams", "destinations"})
    ->Args({1, 3})
    ->Args({1000, 3})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

// The journal's whole work for blocks of many streams: one append of 1000 small blocks (of one or
// of 1000 streams), then what their lanes do. One item is one block.
void BM_JournalTenants(benchmark::State& state) {
  Directory directory;
  Options options = options_for(directory);
  options.max_size = 2ull << 30;
  options.retention = std::chrono::milliseconds(1);
  auto journal = open_or_die(options);
  const auto streams = static_cast<int>(state.range(0));
  std::vector<std::string> names;
  for (int i = 0; i < state.range(1); i++) names.push_back("destination-" + std::to_string(i));
  journal->set_destinations(names);
  const auto ids = intern_many(*journal, streams);
  constexpr int kBlocks = 1000;
  constexpr size_t kSmall = 250;
  for (auto _ : state) {
    std::vector<NewBlock> batch;
    for (int i = 0; i < kBlocks; i++) {
      batch.push_back(make_block(ids[static_cast<size_t>(i) % ids.size()], kSmall));
    }
    std::promise<bool> done;
    journal->append(std::move(batch), [&](const Status& s) { done.set_value(s.ok()); });
    TG_CHECK(done.get_future().get());
    for (const auto& name : names) {
      for (const StreamId id : ids) settle_stream(*journal, name, id);
    }
  }
  state.SetItemsProcessed(state.iterations() * kBlocks);
}
BENCHMARK(BM_JournalTenants)
    ->ArgNames({"streams", "destinations"})
    ->Args({1, 1})
    ->Args({1000, 1})
    ->Args({1, 3})
    ->Args({1000, 3})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

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
  const auto block_bytes = static_cast<size_t>(state.range(1));
  Directory directory;
  const Options options = options_for(directory);
  StreamId stream = 0;
  {
    auto journal = open_or_die(options);
    journal->set_destinations({"d"});
    stream = journal->intern({"tenant", "source", "", 0, 0, 1}).value();
    fill(*journal, stream, (mib << 20) / (block_bytes + 80), block_bytes);
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
BENCHMARK(BM_JournalRecovery)
    ->ArgNames({"crashed", "block"})
    ->ArgsProduct({{0, 1}, {kBlockBytes, 1000}})
    ->Unit(benchmark::kMillisecond);

}  // namespace
