#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fs.h"
#include "base/result.h"
#include "journal/block.h"
#include "model/reasons.h"

namespace tollgate::journal {

enum class Sync { kAlways, kInterval, kNever };
enum class OnFull { kReject, kDropOldest };

struct Options {
  std::string path;
  Sync sync = Sync::kAlways;
  std::chrono::milliseconds sync_interval{100};
  uint64_t max_size = 16ull << 30;
  uint64_t segment_size = 64ull << 20;
  std::chrono::milliseconds retention{15 * 60'000};
  OnFull on_full = OnFull::kReject;
  uint32_t max_streams = 10'000;
  std::chrono::milliseconds checkpoint_interval{1000};
  std::chrono::milliseconds reopen_interval{1000};  // after a failed write or fsync
};

// How far one destination has got with one stream, and what became of the samples before it.
// Always: settled() == samples_before of `position`, so that
// accepted == delivered + dropped + pending holds by construction.
struct Cursor {
  Position position = 0;  // everything of the stream before it is settled
  uint64_t baseline = 0;  // samples accepted before the destination was declared: not for it
  uint64_t delivered = 0;
  std::array<uint64_t, model::kDropReasons> dropped{};
  // baseline + delivered + sum(dropped)
  uint64_t settled() const;
  bool operator==(const Cursor&) const = default;
};

// One row of the ledger: consistent in itself, as of the last checkpoint for `cursor`, so that
// the numbers shown are those that would survive kill -9. In every row:
// accepted == cursor.delivered + sum(cursor.dropped) + pending_samples.
struct LedgerRow {
  std::string destination;
  StreamId stream = 0;
  StreamKey key;
  uint64_t accepted = 0;  // durable samples of the stream since the destination was declared
  Cursor cursor;
  uint64_t pending_samples = 0;
  uint64_t pending_bytes = 0;  // elements bytes of pending blocks
  // Append time of the oldest pending block; 0 = none. With many lanes far behind it may be early
  // by less than the span of a segment: only some are looked up on the disk.
  int64_t oldest_pending_ms = 0;
};

// Samples that were pending for a destination when it was taken out of the configuration:
// DropReason::kDestinationRemoved. The sum over the life of the directory.
struct Removed {
  std::string destination;
  std::string tenant;
  uint64_t samples = 0;
  bool operator==(const Removed&) const = default;
};

struct StreamTotals {
  StreamId stream = 0;
  StreamKey key;
  uint64_t accepted = 0;
};

struct Stats {
  bool healthy = true;
  std::string problem;  // why not healthy: "fdatasync …: Input/output error"
  uint64_t size_bytes = 0;
  uint64_t segments = 0;
  uint64_t appended_bytes = 0;  // since start
  uint64_t corrupt_records = 0;
  uint64_t corrupt_bytes = 0;
  uint64_t torn_bytes = 0;  // cut off at recovery: normal after a crash
  uint64_t checkpoint_failures = 0;
  int64_t oldest_ms = 0;  // append time of the oldest block kept; 0 = empty
};

// The durable log of blocks (format: docs/journal-format.md), its index and the destinations'
// cursors.
//
// Owner and lifetime: one per process and directory; a second process is refused by a lock file.
// It starts two threads. The journal's: drain the queue → one gather-write → one fdatasync →
// publish to the index → call the `done`s. The housekeeper's, for which no `done` waits: persist
// the cursors (atomically, every checkpoint_interval), prepare the next segment, remove those that
// nobody needs.
// Threads: every method from any thread; `close` and `set_destinations` not from callbacks. `done`
// and observers run on the journal's thread (a `done` that is refused at once: inside `append`):
// they must only post.
// Errors: a failed write or fsync fails the blocks concerned (kUnavailable), turns `healthy` off
// and refuses appends until a new segment could be opened; blocks published before stay
// readable. Over max_size: kLimited naming journal.max_size (on_full: reject), or the oldest
// segments go and every cursor that stood in them counts DropReason::kJournalFull.
// Damaged bytes found at recovery or on reading are counted, skipped, and show up as
// DropReason::kCorrupt in every cursor that passes them.
// Limits: max_size, segment_size, max_streams. Memory: the index of the segments being read
// (about 64 B a block), a summary per (segment, stream) otherwise, and the newest 4 MiB of blocks;
// independent of the backlog.
class Journal {
 public:
  using Done = std::function<void(const Status&)>;
  // Called after each commit with the streams that have new blocks.
  using Observer = std::function<void(const std::vector<StreamId>&)>;
  // Called on the journal's thread with the seconds that each fdatasync took.
  using SyncTimer = std::function<void(double)>;

  // Recovers the directory (creating it if needed) and starts the thread. Fails with kUnavailable
  // when the directory is locked or unusable.
  static Result<std::unique_ptr<Journal>> open(Options options, fs::FileSystem& fs,
                                               const Clock& clock);
  virtual ~Journal() = default;

  // The id of a stream; the same key gives the same id. kLimited naming journal.max_streams.
  virtual Result<StreamId> intern(const StreamKey& key) = 0;
  virtual StreamKey key(StreamId stream) const = 0;

  // Queues blocks; they are written together, in this order, after everything queued before.
  // `done` is called exactly once, when they are as durable as `sync` promises or have failed as
  // a whole. While unhealthy or closed that happens at once, inside this call.
  virtual void append(std::vector<NewBlock> blocks, Done done) = 0;

  // Declares the complete set of destinations. A new one starts at the present end of every
  // stream (at the beginning for streams interned later); a missing one is forgotten and its
  // pending samples are added to `removed()` (kDestinationRemoved). A change is durable on return;
  // if the disk refuses it, no append is acknowledged before it is.
  virtual void set_destinations(const std::vector<std::string>& names) = 0;
  virtual std::vector<Removed> removed() const = 0;

  // Blocks of a stream at or after `from`, in order, whose samples and decoded bytes stay within
  // the maxima (but at least one, if there is any). Samples lost to corruption before a block show
  // as samples_before above the cursor's settled(); settle() accounts for them.
  virtual std::vector<BlockRef> next(StreamId stream, Position from, uint64_t max_samples,
                                     uint64_t max_raw_bytes) const = 0;
  // Whether there are blocks at or after `from`, from memory alone: true with an empty next() means
  // that the disk cannot be read now.
  virtual bool has_blocks(StreamId stream, Position from) const = 0;
  // What a lane is to send: next() from the destination's cursor on, in one call. Nothing if the
  // destination is gone.
  struct Pending {
    std::vector<BlockRef> blocks;
    bool unreadable = false;  // there are blocks, but the disk cannot be read now
  };
  virtual std::optional<Pending> pending(const std::string& destination, StreamId stream,
                                         uint64_t max_samples, uint64_t max_raw_bytes) const = 0;
  // Appends the elements of a block to `out`, after checking its checksum. kCorrupt if damaged
  // (settle it as DropReason::kCorrupt), kUnavailable if it was removed (look at
  // the cursor again: it has moved) or cannot be read now; `out` is then as before.
  virtual Status read(const BlockRef& block, Buffer& out) const = 0;

  // Where a destination stands in a stream now (not as of the last checkpoint).
  virtual std::optional<Cursor> cursor(const std::string& destination, StreamId stream) const = 0;
  // Settles `block`, which must be the first one at or after the cursor's position: delivered, or
  // dropped for `reason`. A gap in samples_before is settled as kCorrupt first. False if the
  // cursor has moved meanwhile (drop_oldest) or the destination is gone.
  virtual bool settle(const std::string& destination, const BlockRef& block,
                      std::optional<model::DropReason> reason) = 0;
  // The same for the blocks of one request, in order, in one call; ends at the first that is not
  // settled.
  virtual bool settle(const std::string& destination, std::span<const BlockRef> blocks,
                      std::optional<model::DropReason> reason) = 0;
  // The same for one block, with some of its samples delivered and the rest dropped for `reason`.
  virtual bool settle_partly(const std::string& destination, const BlockRef& block,
                             uint32_t dropped_samples, model::DropReason reason) = 0;

  // Both are called until close() has returned: what they refer to must live that long.
  virtual void observe(Observer observer) = 0;
  virtual void time_syncs(SyncTimer timer) = 0;

  virtual std::vector<StreamTotals> streams() const = 0;
  virtual std::vector<LedgerRow> ledger() const = 0;
  virtual Stats stats() const = 0;
  // Retention and size limits may change on reload; the path may not.
  virtual void reconfigure(const Options& options) = 0;
  // Writes the cursors now (returns when they are durable).
  virtual Status checkpoint() = 0;
  // Finishes what is queued, writes a checkpoint, closes. Later appends fail with kUnavailable.
  virtual void close() = 0;
};

}  // namespace tollgate::journal
