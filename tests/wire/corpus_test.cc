#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz.h"

namespace tollgate::wire {
namespace {

// Checks every file of the fuzzers' corpus; returns how many there were.
int replay(const std::string& name, std::string (*check)(std::string_view)) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(TOLLGATE_SOURCE_DIR) / "tests/wire/corpus" / name)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(in),
                                  std::istreambuf_iterator<char>()};
    EXPECT_EQ(check({bytes.data(), bytes.size()}), "") << entry.path();
    files++;
  }
  return files;
}

TEST(Corpus, TheWalkersInputsAreStillFine) { EXPECT_GE(replay("walker", fuzz_walker), 10); }

TEST(Corpus, SnappysInputsAreStillFine) { EXPECT_GE(replay("snappy", fuzz_snappy), 10); }

}  // namespace
}  // namespace tollgate::wire
