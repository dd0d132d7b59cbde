#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/guarded.h"
#include "journal/journal.h"
#include "journal/state.h"
#include "journal/tail.h"

namespace tollgate::journal {

// The Journal over segment files. Public methods are in journal.cc, opening in recovery.cc, the
// journal's thread in writer.cc, the housekeeper's in housekeeping.cc.
class Impl final : public Journal {
 public:
  Impl(Options options, fs::FileSystem& fs, const Clock& clock);
  ~Impl() override;
  // Reads the directory and starts the thread. Once, before anything else.
  Status start();

  Result<StreamId> intern(const StreamKey& key) override;
  StreamKey key(StreamId stream) const override;
  void append(std::vector<NewBlock> blocks, Done done) override;
  void set_destinations(const std::vector<std::string>& names) override;
  std::vector<Removed> removed() const override;
  std::vector<BlockRef> next(StreamId stream, Position from, uint64_t max_samples,
                             uint64_t max_raw_bytes) const override;
  bool has_blocks(StreamId stream, Position from) const override;
  std::optional<Pending> pending(const std::string& destination, StreamId stream,
                                 uint64_t max_samples, uint64_t max_raw_bytes) const override;
  Status read(const BlockRef& block, Buffer& out) const override;
  std::optional<Cursor> cursor(const std::string& destination, StreamId stream) const override;
  bool settle(const std::string& destination, const BlockRef& block,
              std::optional<model::DropReason> reason) override;
  bool settle(const std::string& destination, std::span<const BlockRef> blocks,
              std::optional<model::DropReason> reason) override;
  bool settle_partly(const std::string& destination, const BlockRef& block,
                     uint32_t dropped_samples, model::DropReason reason) override;
  void observe(Observer observer) override;
  void time_syncs(SyncTimer timer) override;
  std::vector<StreamTotals> streams() const override;
  std::vector<LedgerRow> ledger() const override;
  Stats stats() const override;
  void reconfigure(const Options& options) override;
  Status checkpoint() override;
  void close() override;

 private:
  struct Request {
    std::vector<NewBlock> blocks;
    Done done;
    uint64_t bytes = 0;  // of its block records
  };
  // What the requests admitted to one write will need.
  struct Planned {
    uint64_t bytes = 0;
    uint64_t key_bytes = 0;
    size_t blocks = 0;
  };
  struct Queue {
    std::deque<Request> requests;
    std::vector<std::promise<Status>> checkpoints;
    bool stopping = false;
    bool stopped = false;
  };
  struct Work {
    std::vector<Request> requests;
    std::vector<std::promise<Status>> checkpoints;
    bool stop = false;
  };
  struct Problem {
    std::string text;  // empty: healthy
  };
  struct Counters {
    uint64_t appended_bytes = 0;
    uint64_t corrupt_records = 0;
    uint64_t corrupt_bytes = 0;
    uint64_t torn_bytes = 0;
    uint64_t checkpoint_failures = 0;
    std::set<Position> corrupt_blocks;  // found on reading, so that each counts once; bounded
  };
  struct OpenFiles {
    std::deque<std::weak_ptr<Segment>> order;  // oldest first
  };
  // A segment that is complete but for its footer.
  struct Sealed {
    SegmentPtr segment;
    std::shared_ptr<fs::File> file;
    Position position = 0;  // of the footer
  };
  // The records of one commit; kept, so that its memory is.
  struct Assembly {
    Buffer bytes;
    std::vector<std::string_view> pieces;
    std::vector<BlockRef> written;
    std::vector<State::Stream*> streams;  // of each block
    std::vector<StreamId> changed;        // each once
    void clear();
  };
  // What the journal's thread asks the housekeeper for.
  struct Chores {
    std::vector<Sealed> sealed;
    std::vector<std::promise<Status>> checkpoints;
    bool prepare = false;  // the next segment's file
    bool stopping = false;
    bool empty() const { return sealed.empty() && checkpoints.empty() && !prepare && !stopping; }
  };
  // The file of the next segment, under the name `spare`: created and synced, without contents.
  struct Spare {
    bool ready = false;
    bool wanted = false;  // asked for, not yet there
  };
  // Held while cursors are written and segments are removed, by whichever thread does it; the
  // functions that take a House& rely on it.
  struct House {
    uint64_t written_version = 0;
    bool checkpoint_exists = false;
    Checkpoint image;  // what was written last: see State::stage
  };

  // --- recovery.cc, before the thread starts
  Status recover();
  Status load_checkpoint(const std::vector<std::string>& names, bool& lost);
  // `recent`: its footer may not be durable yet.
  Status load_segment(Position base, std::optional<Position> successor, bool recent);
  Status accept_segment(const SegmentPtr& segment, SegmentIndex& index);
  void seal_recovered(const SegmentPtr& segment, fs::File& file, SegmentIndex& index);

  // --- writer.cc, on the journal's thread
  void run();
  Work wait_for_work();
  void tick();
  void commit(std::vector<Request>& batch);
  bool admit(const Options& options, Request& request, Planned& planned);
  Status write(std::vector<Request*>& batch);
  // Takes the elements of the batch.
  void publish(std::vector<Request*>& batch);
  Status make_room(const Options& options, uint64_t bytes);
  Status sync_file();
  Status sync_commit();
  // `house`: if the caller holds it.
  Status roll(House* house = nullptr);
  Status seal(House* house = nullptr);
  enum class Creation { kFirst, kNext, kHealing };
  Status create_segment(Creation why);
  Result<std::shared_ptr<fs::File>> build_segment(Creation why, Position base,
                                                  const std::string& path);
  void want_spare(const Options& options);
  void discard_spare();
  void fail(const Error& error);
  void try_reopen();
  Error refusal() const;

  // --- housekeeping.cc, on the housekeeper's thread
  void keep_house();
  void do_chores(Chores& chores);
  void on_schedule();
  void prepare_spare();
  // ... and on any thread that holds the house.
  void finish_seal(const Sealed& sealed, House& house);
  Status write_checkpoint(House& house);
  void remove_expired(House& house);
  // Removes the oldest segment if every destination is through with it. False if not.
  bool remove_settled(House& house);
  Status remove_oldest(House& house);

  // --- journal.cc
  Result<std::shared_ptr<fs::File>> file_of(const SegmentPtr& segment) const;
  std::shared_ptr<const Rows> rows_of(const State::Missing& missing) const;
  void remember_open(const SegmentPtr& segment) const;
  void note_corrupt(const BlockRef& block) const;
  std::string path_of(std::string_view name) const;

  // Constant after construction.
  fs::FileSystem& fs_;
  const Clock& clock_;
  const std::string path_;

  // Guarded, each by itself. Order when several are needed: house_, state_, then the rest.
  Guarded<House> house_;
  Guarded<Options> options_;
  Guarded<State> state_;
  Guarded<OpenFiles> open_files_;
  Guarded<Tail> tail_;
  Guarded<Queue> queue_;
  Guarded<Chores> chores_;
  Guarded<Spare> spare_;
  Guarded<Problem> problem_;
  Guarded<Counters> counters_;
  Guarded<std::shared_ptr<const std::vector<Observer>>> observers_;
  Guarded<SyncTimer> sync_timer_;
  std::atomic<bool> healthy_{true};
  std::atomic<size_t> unsealed_{0};
  std::condition_variable wake_;
  std::condition_variable wake_housekeeper_;

  // Of the journal's thread (and of recovery before it).
  std::unique_ptr<fs::Lock> lock_;
  std::shared_ptr<fs::File> file_;  // of the active segment
  Assembly assembly_;
  uint64_t commits_ = 0;
  uint64_t segment_number_ = 0;   // since the start
  uint64_t described_ = 0;        // streams in the active segment
  uint64_t described_bytes_ = 0;  // of their keys
  uint64_t active_blocks_ = 0;
  bool name_unsynced_ = false;  // its directory entry is not durable yet
  bool unsynced_ = false;
  int64_t active_since_ns_ = 0;  // its first block
  int64_t last_sync_ns_ = 0;
  int64_t next_reopen_ns_ = 0;

  // Of the housekeeper's thread.
  int64_t last_checkpoint_ns_ = 0;
  int64_t last_expiry_ns_ = 0;

  std::thread thread_;
  std::thread housekeeper_;
};

}  // namespace tollgate::journal
