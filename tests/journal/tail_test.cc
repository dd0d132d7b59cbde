#include "journal/tail.h"

#include <gtest/gtest.h>

#include "testing.h"

namespace tollgate::journal {
namespace {

Buffer buffer_of(std::string_view bytes) {
  Buffer out;
  out.append(bytes);
  return out;
}

TEST(JournalTail, FindsWhatWasPushedAtItsPositionOnly) {
  Tail tail;
  tail.push(10, buffer_of("a"));
  tail.push(20, buffer_of("b"));
  tail.push(30, buffer_of("c"));
  EXPECT_EQ(tail.find(20)->view(), "b");
  EXPECT_EQ(tail.find(21), nullptr);
  tail.drop_before(20);
  EXPECT_EQ(tail.find(10), nullptr);
  EXPECT_EQ(tail.find(20)->view(), "b");
  tail.drop_before(1000);
  EXPECT_EQ(tail.find(30), nullptr);
}

TEST(JournalTail, KeepsTheNewestWithinItsBytes) {
  Tail tail;
  const std::string mib(1 << 20, 'x');
  for (Position p = 0; p < 100; p++) tail.push(p, buffer_of(mib));
  uint64_t kept = 0;
  for (Position p = 0; p < 100; p++) kept += tail.find(p) != nullptr;
  EXPECT_EQ(kept, Tail::kMaxBytes >> 20);
  EXPECT_NE(tail.find(99), nullptr);
}

TEST(JournalTail, DestinationThatKeepsUpReadsNothingFromTheDisk) {
  FaultFs fs;
  FakeClock clock;
  auto journal = open_or_die(fs, clock);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "new", 1).ok());
  const auto pending = journal->pending("thanos", a, 10, 100);
  const uint64_t before = fs.operations();
  EXPECT_EQ(read_all(*journal, pending->blocks.at(0)), "new");
  EXPECT_EQ(fs.operations(), before);
  journal.reset();
  journal = open_or_die(fs, clock);
  EXPECT_EQ(read_all(*journal, pending->blocks.at(0)), "new") << "from the disk";
}

TEST(JournalTail, BlocksThatMadeRoomAreGoneFromItToo) {
  FaultFs fs;
  FakeClock clock;
  Options options = test_options();
  options.max_size = 40'000;
  options.on_full = OnFull::kDropOldest;
  auto journal = open_or_die(fs, clock, options);
  journal->set_destinations({"thanos"});
  const StreamId a = journal->intern(key_of(1)).value();
  ASSERT_TRUE(append_one(*journal, a, "first", 1).ok());
  const auto first = journal->pending("thanos", a, 10, 100)->blocks.at(0);
  for (int i = 0; i < 60; i++) ASSERT_TRUE(append_one(*journal, a, std::string(1000, 'x'), 1).ok());
  Buffer out;
  const auto status = journal->read(first, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Code::kUnavailable);
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace tollgate::journal
