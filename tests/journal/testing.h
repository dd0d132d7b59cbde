#pragma once

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fault_fs.h"
#include "journal/journal.h"

namespace tollgate::journal {

inline constexpr char kDirectory[] = "journal";

inline Options test_options() {
  Options o;
  o.path = kDirectory;
  o.max_size = 1 << 20;
  o.segment_size = 8192;
  o.reopen_interval = std::chrono::milliseconds(10);
  // Timers are driven by a clock that stands still unless a test moves it.
  return o;
}

inline StreamKey key_of(int n, std::string tenant = "team-a") {
  StreamKey k;
  k.tenant = std::move(tenant);
  k.source = "source-" + std::to_string(n);
  return k;
}

inline NewBlock block_of(StreamId stream, std::string_view bytes, uint32_t samples) {
  NewBlock b;
  b.stream = stream;
  b.elements.append(bytes);
  b.raw_length = static_cast<uint32_t>(bytes.size() * 2);
  b.samples = samples;
  b.series = samples;
  b.min_timestamp = 1000;
  b.max_timestamp = 2000;
  return b;
}

inline std::unique_ptr<Journal> open_or_die(fs::FileSystem& fs, const Clock& clock,
                                            Options options = test_options()) {
  auto journal = Journal::open(std::move(options), fs, clock);
  if (!journal) {
    ADD_FAILURE() << journal.error().message;
    return nullptr;
  }
  return std::move(journal).value();
}

// Appends and waits for the answer.
inline Status append_and_wait(Journal& journal, std::vector<NewBlock> blocks) {
  std::promise<Status> done;
  journal.append(std::move(blocks), [&](const Status& s) { done.set_value(s); });
  return done.get_future().get();
}

inline Status append_one(Journal& journal, StreamId stream, std::string_view bytes,
                         uint32_t samples = 1) {
  std::vector<NewBlock> blocks;
  blocks.push_back(block_of(stream, bytes, samples));
  return append_and_wait(journal, std::move(blocks));
}

inline std::string read_all(const Journal& journal, const BlockRef& block) {
  Buffer out;
  auto status = journal.read(block, out);
  if (!status) return "error: " + status.error().message;
  return std::string(out.view());
}

// The contents of every block of a stream at or after `from`.
inline std::vector<std::string> contents_of(const Journal& journal, StreamId stream,
                                            Position from = 0) {
  std::vector<std::string> out;
  for (;;) {
    const auto blocks = journal.next(stream, from, 1000, 1 << 20);
    if (blocks.empty()) return out;
    for (const BlockRef& b : blocks) out.push_back(read_all(journal, b));
    from = blocks.back().end;
  }
}

inline uint64_t dropped(const Cursor& c, model::DropReason reason) {
  return c.dropped[static_cast<size_t>(reason)];
}

// The identity that holds at any moment, for every row.
inline void expect_ledger_closes(const Journal& journal) {
  for (const LedgerRow& row : journal.ledger()) {
    uint64_t gone = row.cursor.delivered;
    for (uint64_t n : row.cursor.dropped) gone += n;
    EXPECT_EQ(row.accepted, gone + row.pending_samples) << row.destination << " " << row.key.source;
    EXPECT_LT(row.pending_samples, uint64_t{1} << 40) << "underflow";
    EXPECT_LT(row.pending_bytes, uint64_t{1} << 40) << "underflow";
  }
}

// Ends the process that holds the journal: kill -9, or with the power lost.
enum class Crash { kKill, kPowerLoss };
inline void crash(FaultFs& fs, std::unique_ptr<Journal>& journal, Crash how) {
  if (how == Crash::kKill) {
    fs.kill();
  } else {
    fs.power_loss();
  }
  journal.reset();
  fs.restart();
}

inline std::vector<std::string> segment_paths(const FaultFs& fs) {
  std::vector<std::string> out;
  for (const std::string& name : fs.names()) {
    if (name.ends_with(".seg")) out.push_back(name);
  }
  return out;
}

}  // namespace tollgate::journal
