#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "ingest/shards.h"
#include "journal/journal.h"
#include "net/loop.h"
#include "wire/packer.h"
#include "wire/run_cache.h"
#include "wire/walker.h"

namespace tollgate::ingest {

// Blocks are cut at this many decoded bytes, or at the smallest max_samples_per_send, which is
// usually less: a full block is one request. The smallest unit that a destination can be sent
// without re-encoding, and that damage on disk can take.
inline constexpr size_t kBlockBytes = 512 * 1024;

// Bytes that were accepted but are not durable yet, over all cores: what ingest.max_inflight_size
// limits.
using InflightBytes = std::atomic<uint64_t>;

// Collects the rewritten series of one core's requests per (stream, shard), cuts and compresses
// them to blocks, and commits them to the journal in groups.
//
// Group commit: one batch of a core is with the journal at a time; what arrives meanwhile makes
// the next batch. So the number of fsyncs adapts to the disk, and blocks grow under load.
//
// Owner and lifetime: one per loop. Threads: the loop's only. A request stages all of its series
// between begin() and either commit() or rollback(), without suspending in between.
class Stager {
 public:
  struct Options {
    uint32_t max_block_samples = 2000;  // the smallest max_samples_per_send of all destinations
    uint64_t max_block_bytes = kBlockBytes;  // or the smallest max_bytes_per_send, if that is less
  };

  // Told of every stream before its first block is appended.
  using Announce = std::function<void(journal::StreamId, const journal::StreamKey&)>;

  Stager(net::Loop& loop, journal::Journal& journal, Shards& shards, InflightBytes& inflight,
         const Announce& announce);
  ~Stager();
  Stager(const Stager&) = delete;
  Stager& operator=(const Stager&) = delete;

  void configure(Options options) { options_ = options; }

  // A request of `source` for `tenant`; both live until its commit() or rollback().
  void begin(std::string_view source, std::string_view tenant);
  // Chooses the stream of the series that follow. kLimited naming journal.max_streams.
  Status select(std::string_view ha_cluster, std::string_view ha_replica);
  // Adds the walker's current series (or, for `other`, metadata and unknown fields) to the
  // selected stream.
  void add_series(const wire::Walker& walker);
  void add_other(const wire::Walker& walker);
  // Adds a run that came out like this before. Only where one_shard().
  void add_run(const wire::RememberedRun& remembered, const wire::Run& run);
  // Whether blocks have room for any run, which cannot be cut.
  bool takes_runs() const {
    return options_.max_block_samples >= wire::Run::kMost &&
           options_.max_block_bytes >= 2 * wire::Run::kMostBytes;
  }
  // Whether a stream is selected, and all of its series stay together.
  bool one_shard() const { return selected_ != nullptr && selected_->lanes.size() == 1; }
  // Whether a stream is selected whose series go different ways.
  bool many_shards() const { return selected_ != nullptr && selected_->lanes.size() > 1; }
  // The last `n` bytes of the series added to the selected stream. Only where one_shard().
  std::string_view last_added(size_t n) const;
  // Takes back everything since begin().
  void rollback();
  // Waits until everything staged since begin() is durable, or failed as a whole.
  net::Task<Status> commit();

 private:
  // What some series add up to.
  struct Counts {
    uint64_t bytes = 0;  // rewritten, not compressed
    uint32_t samples = 0;
    uint32_t exemplars = 0;
    uint32_t series = 0;
    int64_t min_timestamp = INT64_MAX;
    int64_t max_timestamp = INT64_MIN;
  };
  // Neighbours in one of a lane's two buffers.
  struct Stretch {
    bool packed;
    size_t begin;
    size_t end;
  };
  struct Cut {
    size_t stretches;  // how many are before it
    Counts counts;     // of the block that ends here
  };
  // The open data of one (stream, shard): series as they were rewritten (`raw`) and runs that are
  // element streams already (`packed`); the stretches tell their order.
  struct Lane {
    journal::StreamId stream = 0;
    Buffer raw;
    Buffer packed;
    std::vector<Stretch> stretches;
    std::vector<Cut> cuts;  // complete blocks
    Counts open;            // after the last cut
    bool touched = false;   // by the present request
    bool dirty = false;     // in dirty_

    // As it was before the present request.
    struct Mark {
      size_t raw = 0;
      size_t packed = 0;
      size_t stretches = 0;
      size_t last_end = 0;  // of the last stretch
      size_t cuts = 0;
      Counts open;
    } mark;
    uint64_t request_bytes = 0;  // that the present request has added
  };
  struct Stream {
    Shards::Count shards;     // how many there should be
    std::vector<Lane> lanes;  // one per shard
  };
  // One group commit: the requests that wait for it, and how it ended.
  struct Batch {
    explicit Batch(net::Loop& loop) : done(loop.context()) {}
    boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                      boost::asio::wait_traits<std::chrono::steady_clock>,
                                      net::Executor>
        done;  // cancelled when the journal has answered
    bool finished = false;
    Status status = Ok{};
    uint64_t bytes = 0;
  };

  Status select_other(std::string_view ha_cluster, std::string_view ha_replica);
  Result<std::unique_ptr<Stream>> make_stream(const journal::StreamKey& base, Shards::Count shards);
  void shorten_replica(size_t at);
  void recycle(Buffer raw);
  void touch(Lane& lane);
  Buffer& open_for(Lane& lane, size_t bytes, uint32_t samples, bool packed);
  void schedule_flush();
  void flush();
  void seal(Lane& lane, std::vector<journal::NewBlock>& out);
  void finished(const std::shared_ptr<Batch>& batch, Status status);

  net::Loop& loop_;
  journal::Journal& journal_;
  Shards& shards_;
  InflightBytes& inflight_;
  const Announce& announce_;
  Options options_;

  std::unordered_map<std::string, std::unique_ptr<Stream>> streams_;
  // The request being staged, and the stream of its series.
  std::string_view source_;
  std::string_view tenant_;
  Stream* selected_ = nullptr;
  std::string selected_cluster_;  // what it was selected by
  std::string selected_replica_;
  std::string key_scratch_;

  // Streams whose shard count has changed, until their last data is sealed.
  std::vector<std::unique_ptr<Stream>> retired_;

  std::vector<Lane*> touched_;
  std::vector<Lane*> dirty_;
  std::vector<Buffer> spare_;  // raw buffers between uses
  wire::Packer packer_;
  Buffer block_;  // scratch for compression

  std::shared_ptr<Batch> next_;     // collects
  std::shared_ptr<Batch> current_;  // with the journal
  bool flush_scheduled_ = false;
  // Guards posts from the journal's thread against a destroyed stager.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tollgate::ingest
