#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <string>
#include <vector>

#include "generate.h"
#include "wire/snappy.h"
#include "wire/walker.h"

// Counts what the whole binary allocates: operator new always, malloc and realloc where no
// sanitizer has taken their place.
namespace {
std::atomic<uint64_t> allocations{0};

void* counted(void* memory) {
  allocations++;
  if (memory == nullptr) std::abort();
  return memory;
}
}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNT_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNT_MALLOC 0
#else
#define COUNT_MALLOC 1
#endif
#else
#define COUNT_MALLOC 1
#endif

#if COUNT_MALLOC
extern "C" {
void* __libc_malloc(size_t);
void* __libc_realloc(void*, size_t);
void* malloc(size_t size) { return counted(__libc_malloc(size)); }
void* realloc(void* memory, size_t size) { return counted(__libc_realloc(memory, size)); }
}
#else
void* operator new(size_t size) { return counted(std::malloc(size)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
#endif

namespace tollgate::wire {
namespace {

// One request, from the compressed body to the shards' raw bytes.
void process(std::string_view block, const model::LabelPlan& plan, Walker& walker, Buffer& raw,
             std::vector<Buffer>& shards, uint64_t& series) {
  ASSERT_TRUE(unpack(block, 128 << 20, raw).ok());
  walker.begin(raw.view(), plan, {"cluster", "prometheus_replica"});
  bool more = true;
  while (more) {
    switch (walker.next()) {
      case Step::kSeries:
        series++;
        walker.emit(shards[walker.labels_hash() % shards.size()]);
        break;
      case Step::kOther:
        walker.emit(shards[0]);
        break;
      case Step::kRefused:
        break;
      default:
        more = false;
    }
  }
  for (Buffer& shard : shards) shard.clear();
}

std::vector<std::string> bodies() {
  std::vector<std::string> all;
  for (const auto& entry :
       std::filesystem::directory_iterator(TOLLGATE_SOURCE_DIR "/bench/corpus")) {
    if (entry.path().extension() != ".snappy") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  // What takes the walker's other way: unsorted labels, and series to refuse.
  for (uint64_t seed = 1; seed <= 20; seed++) {
    Generator g(seed);
    const std::string raw = g.request();
    Buffer elements;
    pack_elements(raw, elements);
    std::string block;
    append_preamble(raw.size(), block);
    all.push_back(block + std::string(elements.view()));
  }
  return all;
}

TEST(Allocation, ARequestInSteadyStateAllocatesNothing) {
  const model::LabelPlan plan({{"cluster", "blue", model::LabelAction::kOverride},
                               {"tenant", "team-blue", model::LabelAction::kReject},
                               {"zone", "a", model::LabelAction::kAddAbsent}});
  const std::vector<std::string> requests = bodies();
  ASSERT_GE(requests.size(), 25u) << "the captured corpus is part of this";
  Walker walker;
  Buffer raw;
  std::vector<Buffer> shards(4);
  uint64_t series = 0;
  for (int round = 0; round < 2; round++) {
    for (const auto& block : requests) process(block, plan, walker, raw, shards, series);
  }
  const uint64_t before = allocations;
  series = 0;
  for (const auto& block : requests) process(block, plan, walker, raw, shards, series);
  const uint64_t after = allocations;
  EXPECT_EQ(after - before, 0u);
  EXPECT_GT(series, 5000u);
  std::vector<int> proof(100);
  asm volatile("" : : "r"(proof.data()) : "memory");  // clang leaves out a new that nobody sees
  EXPECT_GT(allocations, after) << "the count counts";
}

}  // namespace
}  // namespace tollgate::wire
