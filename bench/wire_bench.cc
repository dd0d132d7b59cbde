// The codec's cost on captured bodies of 500 samples (bench/corpus). `per_sample` is the number to
// compare: BM_WalkTwoLabels against BM_LibprotobufTwoLabels, BM_Gateway* against BM_SnappyOnly.
#define XXH_INLINE_ALL
#include <benchmark/benchmark.h>
#include <snappy.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "prometheus/remote.pb.h"
#include "wire/packer.h"
#include "wire/run_cache.h"
#include "wire/snappy.h"
#include "wire/walker.h"

namespace tollgate::wire {
namespace {

constexpr uint64_t kLimit = 128 << 20;

struct Body {
  std::string packed;
  std::string raw;
};

struct Corpus {
  std::vector<Body> bodies;
  int64_t samples = 0;
  size_t raw_bytes = 0;
};

const Corpus& corpus() {
  static const Corpus all = [] {
    Corpus c;
    std::vector<std::filesystem::path> files;
    for (const auto& entry :
         std::filesystem::directory_iterator(TOLLGATE_SOURCE_DIR "/bench/corpus")) {
      if (entry.path().extension() == ".snappy") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      std::ifstream in(file, std::ios::binary);
      Body body;
      body.packed.assign(std::istreambuf_iterator<char>(in), {});
      prometheus::WriteRequest request;
      if (!snappy::Uncompress(body.packed.data(), body.packed.size(), &body.raw) ||
          !request.ParseFromString(body.raw)) {
        std::fprintf(stderr, "%s is not a remote write body\n", file.c_str());
        std::exit(1);
      }
      for (const auto& series : request.timeseries()) c.samples += series.samples_size();
      c.raw_bytes += body.raw.size();
      c.bodies.push_back(std::move(body));
    }
    if (c.bodies.empty()) {
      std::fprintf(stderr, "no corpus in bench/corpus\n");
      std::exit(1);
    }
    return c;
  }();
  return all;
}

const model::LabelPlan& two_labels() {
  static const model::LabelPlan plan({{"cluster", "blue", model::LabelAction::kOverride},
                                      {"tenant", "team-blue", model::LabelAction::kOverride}});
  return plan;
}

// Every benchmark below does one pass over the corpus an iteration.
void report(benchmark::State& state, size_t packed_bytes = 0) {
  const Corpus& c = corpus();
  state.counters["per_sample"] = benchmark::Counter(
      static_cast<double>(c.samples),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  if (packed_bytes > 0) {
    state.counters["bytes/sample"] =
        static_cast<double>(packed_bytes) / static_cast<double>(c.samples);
  }
}

void BM_Unpack(benchmark::State& state) {
  Buffer raw;
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      if (!unpack(body.packed, kLimit, raw)) state.SkipWithError("corrupt");
      benchmark::DoNotOptimize(raw.data());
    }
  }
  report(state);
}
BENCHMARK(BM_Unpack);

void BM_UnpackGoogle(benchmark::State& state) {
  std::string raw(1 << 20, '\0');
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      if (!snappy::RawUncompress(body.packed.data(), body.packed.size(), raw.data())) {
        state.SkipWithError("corrupt");
      }
      benchmark::DoNotOptimize(raw.data());
    }
  }
  report(state);
}
BENCHMARK(BM_UnpackGoogle);

void BM_Pack(benchmark::State& state) {
  Buffer out;
  Packer packer;
  size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const Body& body : corpus().bodies) {
      out.clear();
      packer.pack(body.raw, out);
      bytes += out.size();
    }
  }
  report(state, bytes);
}
BENCHMARK(BM_Pack);

void BM_PackGoogle(benchmark::State& state) {
  std::string out(snappy::MaxCompressedLength(1 << 20), '\0');
  size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const Body& body : corpus().bodies) {
      size_t size = 0;
      snappy::RawCompress(body.raw.data(), body.raw.size(), out.data(), &size);
      bytes += size;
    }
  }
  report(state, bytes);
}
BENCHMARK(BM_PackGoogle);

// Decode and encode of the same bytes with Google's library: the floor of any compressing proxy.
void BM_SnappyOnly(benchmark::State& state) {
  std::string out(snappy::MaxCompressedLength(1 << 20), '\0');
  std::string raw(1 << 20, '\0');
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      size_t size = 0;
      if (!snappy::RawUncompress(body.packed.data(), body.packed.size(), raw.data())) {
        state.SkipWithError("corrupt");
      }
      snappy::RawCompress(raw.data(), body.raw.size(), out.data(), &size);
      benchmark::DoNotOptimize(size);
    }
  }
  report(state);
}
BENCHMARK(BM_SnappyOnly);

// Walks `raw` into out[hash % shards].
void walk(Walker& walker, std::string_view raw, const model::LabelPlan& plan, Buffer* out,
          size_t shards) {
  walker.begin(raw, plan, {"cluster", "prometheus_replica"});
  for (;;) {
    const Step step = walker.next();
    if (step == Step::kSeries) {
      walker.emit(out[shards == 1 ? 0 : walker.labels_hash() % shards]);
    } else if (step == Step::kEnd) {
      return;
    } else {
      std::abort();
    }
  }
}

void BM_WalkUnchanged(benchmark::State& state) {
  const model::LabelPlan nothing;
  Walker walker;
  Buffer out;
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      out.clear();
      walk(walker, body.raw, nothing, &out, 1);
    }
  }
  report(state);
}
BENCHMARK(BM_WalkUnchanged);

void BM_WalkTwoLabels(benchmark::State& state) {
  Walker walker;
  Buffer out;
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      out.clear();
      walk(walker, body.raw, two_labels(), &out, 1);
    }
  }
  report(state);
}
BENCHMARK(BM_WalkTwoLabels);

void BM_WalkTwoLabelsFourShards(benchmark::State& state) {
  Walker walker;
  Buffer out[4];
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      for (Buffer& one : out) one.clear();
      walk(walker, body.raw, two_labels(), out, 4);
    }
  }
  report(state);
}
BENCHMARK(BM_WalkTwoLabelsFourShards);

// Decode, walk with two labels, split into shards, encode: all that the gateway does to bytes.
// Blocks are encoded a request each, which is the worst case.
void BM_Gateway(benchmark::State& state) {
  const auto shards = static_cast<size_t>(state.range(0));
  Walker walker;
  Buffer raw;
  Buffer out[4];
  Buffer packed;
  Packer packer;
  size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const Body& body : corpus().bodies) {
      if (!unpack(body.packed, kLimit, raw)) state.SkipWithError("corrupt");
      walk(walker, raw.view(), two_labels(), out, shards);
      packed.clear();
      for (size_t i = 0; i < shards; i++) {
        packer.pack(out[i].view(), packed);
        out[i].clear();
      }
      bytes += packed.size();
    }
  }
  report(state, bytes);
}
BENCHMARK(BM_Gateway)->Arg(1)->Arg(4);

// The same when all series have come before.
void BM_GatewayRemembered(benchmark::State& state) {
  Walker walker;
  Buffer raw;
  RunCache runs(64 << 20);
  Buffer out;
  size_t bytes = 0;
  int64_t min_time = 0, max_time = 0;
  const auto pass = [&](bool learning) {
    bytes = 0;
    for (const Body& body : corpus().bodies) {
      if (!unpack(body.packed, kLimit, raw)) state.SkipWithError("corrupt");
      out.clear();
      const char* const end = raw.data() + raw.size();
      walker.begin(raw.view(), two_labels(), {"cluster", "prometheus_replica"});
      while (walker.position() < end) {
        const Run run = next_run(walker.position(), end);
        if (run.series == 0) std::abort();
        if (const RememberedRun* known = runs.find(run, 1)) {
          known->put(run, out, min_time, max_time);
          walker.seek(run.end);
          continue;
        }
        if (!learning) state.SkipWithError("not remembered");
        Buffer rewritten;
        std::vector<uint32_t> sizes;
        while (walker.position() < run.end) {
          walker.next();
          walker.emit(rewritten);
          sizes.push_back(static_cast<uint32_t>(walker.series().encoded_size));
        }
        runs.learn(run, 1, rewritten.view(), sizes, {}, {});
      }
      bytes += out.size();
    }
  };
  pass(true);
  for (auto _ : state) pass(false);
  report(state, bytes);
}
BENCHMARK(BM_GatewayRemembered);

void BM_LibprotobufParse(benchmark::State& state) {
  prometheus::WriteRequest request;
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      if (!request.ParseFromString(body.raw)) state.SkipWithError("corrupt");
    }
  }
  report(state);
}
BENCHMARK(BM_LibprotobufParse);

// The same rewrite as BM_WalkTwoLabels by the library: parse, add labels, sort, serialise. The
// message and the string are reused.
void BM_LibprotobufTwoLabels(benchmark::State& state) {
  prometheus::WriteRequest request;
  std::string out;
  for (auto _ : state) {
    for (const Body& body : corpus().bodies) {
      if (!request.ParseFromString(body.raw)) state.SkipWithError("corrupt");
      for (auto& series : *request.mutable_timeseries()) {
        for (const auto& planned : two_labels().labels()) {
          auto* label = series.add_labels();
          label->set_name(planned.name);
          label->set_value(planned.value);
        }
        std::sort(series.mutable_labels()->pointer_begin(), series.mutable_labels()->pointer_end(),
                  [](const auto* a, const auto* b) { return a->name() < b->name(); });
      }
      request.SerializeToString(&out);
      benchmark::DoNotOptimize(out.data());
    }
  }
  report(state);
}
BENCHMARK(BM_LibprotobufTwoLabels);

}  // namespace
}  // namespace tollgate::wire

BENCHMARK_MAIN();
