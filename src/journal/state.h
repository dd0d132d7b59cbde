#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "journal/checkpoint.h"
#include "journal/journal.h"
#include "journal/segment.h"

namespace tollgate::journal {

// The rows of sealed segments that were read lately, by (segment, stream). Bounded by the number
// of rows, but it always keeps the latest entry.
class RowCache {
 public:
  std::shared_ptr<const Rows> find(Position base, StreamId stream);
  void insert(Position base, StreamId stream, std::shared_ptr<const Rows> rows);
  void erase(Position base, StreamId stream);

 private:
  static constexpr size_t kMaxRows = 64 * 1024;  // about 6 MB
  using Key = std::pair<Position, StreamId>;
  struct Hash {
    size_t operator()(const Key& k) const {
      return std::hash<uint64_t>()(k.first * 0x9e3779b97f4a7c15ull + k.second);
    }
  };
  struct Entry {
    Key key;
    std::shared_ptr<const Rows> rows;
  };
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<Key, std::list<Entry>::iterator, Hash> index_;
  size_t rows_ = 0;
};

// Everything that the journal knows in memory: streams, segments, destinations and their cursors.
// It touches no file. Owner: the Journal. Threads: none of its own; the Journal keeps it in a
// Guarded. Memory: a Lane per (destination, stream), an Extent per (segment, stream), the rows of
// the active segment and a bounded cache of others.
class State {
 public:
  struct Stream {
    StreamKey key;
    uint64_t accepted = 0;
    uint64_t bytes = 0;          // elements of all its extents since open, removed ones included
    std::deque<Extent> extents;  // oldest first
    // Set at recovery if the newest samples of the stream are lost: whoever has settled all up
    // to gap_at has lost those up to the total gap_upto.
    Position gap_at = 0;
    uint64_t gap_upto = 0;
    bool changed = false;  // since the last checkpoint was staged
    // Of the journal's thread, which touches it without the lock.
    struct Writing {
      uint64_t commit = 0;     // the last one that it was in
      uint64_t samples = 0;    // `accepted` after that commit's blocks so far
      uint64_t described = 0;  // the last segment with its descriptor
    };
    Writing writing;
  };
  // A cursor three times: now, as written into the checkpoint under way, and as durable.
  struct Lane {
    struct Point {
      Cursor cursor;
      uint64_t bytes = 0;  // Stream::bytes up to here
    };
    Point now, staged, durable;
    bool changed = false;    // listed in `changed`
    bool is_staged = false;  // listed in `staged`
  };
  // Checkpoints cost what has changed: its lanes are listed.
  struct Destination {
    ById<Lane> lanes;  // absent: nothing settled yet
    std::vector<StreamId> changed;
    std::vector<StreamId> staged;
    Lane& changing(StreamId id) {
      Lane& lane = lanes[id];
      if (!lane.changed) changed.push_back(id);
      lane.changed = true;
      return lane;
    }
  };

  // --- streams
  std::optional<StreamId> find(const StreamKey& key) const;
  StreamId add(const StreamKey& key);
  // For recovery: false if the id or the key is already taken otherwise.
  bool restore(StreamId id, const StreamKey& key);
  Stream* stream(StreamId id);
  const Stream* stream(StreamId id) const;
  size_t stream_count() const { return streams_.size(); }
  StreamId end_stream() const { return streams_.end_id(); }  // above all ids

  // --- segments; the last one may be the active one
  std::deque<SegmentPtr> segments;
  SegmentPtr active;
  Position published_end = 0;
  Position durable_end = 0;  // data_end() at the last durable checkpoint
  // The end of the log as a restart would find it: an active segment without blocks does not count,
  // for it is removed then, and the next one has to begin where it did.
  Position data_end() const {
    return active && active->streams.empty() ? active->base : published_end;
  }
  uint64_t size_bytes() const { return size_bytes_; }
  // Opens `segment` behind the others as the active one.
  void activate(const SegmentPtr& segment);
  // The active segment's published end is here now.
  void extend_active(Position end);
  // Adds a recovered segment behind the others.
  void add_segment(const SegmentPtr& segment, SegmentIndex& index);
  // Adds a block to the active segment's index and to the stream's totals.
  void publish(const BlockRef& block);
  // The active segment is active no more: its rows will be loaded when needed.
  void retire_active();
  // The active segment, which has no blocks, was never there.
  void disown_active();
  // The exact size of the active segment's footer.
  uint64_t active_footer_size() const;
  // What a footer is made of: the extents of the segment with their rows, which are still there
  // until retire(), and which change no more unless it is active.
  std::vector<FooterStream> footer_of(const Segment& segment) const;
  // Lets go of the segment's rows: they will be loaded when needed, by walking unless `footer` says
  // where they are in the footer.
  void retire(Segment& segment, const std::vector<FooterStream>* footer);
  void forget_oldest_segment();
  SegmentPtr segment_of(Position position) const;
  // Whether all destinations have settled all of it.
  bool settled(const Segment& segment, bool durably) const;
  // Moves every cursor that stands in or before `segment` behind it, counting kJournalFull.
  void drop(const Segment& segment);
  // "name" and pending bytes of the destination that holds the oldest segment.
  std::pair<std::string, uint64_t> slowest_destination() const;

  // --- reading
  struct Limits {
    uint64_t samples;
    uint64_t raw_bytes;
  };
  struct Missing {
    Extent extent;
    StreamId stream;
    bool has_footer;
    Position segment_end;
  };
  // Appends blocks at or after `from` to `out` until the limits (true), or until the rows of an
  // extent are missing, which are then described in `missing` (false): load and pass them.
  bool collect(StreamId stream, Position& from, Limits& left, Rows& out, Missing& missing,
               const std::shared_ptr<const Rows>& loaded);
  // When the first block at or after `from` was appended, from memory alone: exact, or not later
  // than that by less than the span of a segment. 0 without such a block.
  struct Oldest {
    int64_t ms = 0;
    bool exact = true;
  };
  Oldest oldest_pending_ms(StreamId stream, Position from);
  RowCache cache;

  // --- destinations
  std::map<std::string, Destination, std::less<>> destinations;
  std::map<std::pair<std::string, std::string>, uint64_t> removed;
  bool destinations_lost = false;
  uint64_t version = 1;  // changes whenever a checkpoint would
  // The set of destinations is not durable yet. Nothing may be acknowledged until it is: after a
  // crash, a forgotten destination would start behind it.
  bool destinations_changed = false;
  bool set_destinations(const std::vector<std::string>& names);
  bool settle(const std::string& destination, const BlockRef& block, uint64_t dropped,
              model::DropReason reason);
  Cursor cursor(const Destination& destination, StreamId stream) const;

  // --- checkpoints
  // Brings `image`, which was given to the last call, up to date: what is to be written. Remembered
  // in the lanes as `staged`. Cost: what has changed since.
  void stage(Checkpoint& image);
  // The staged checkpoint is durable.
  void commit_staged();
  void restore(const Checkpoint& checkpoint);
  // After recovery of all segments: totals, lost tails, byte positions. Lanes that stand inside
  // an extent need its rows: they are looked up with `rows`.
  void finish_recovery(
      const std::function<std::shared_ptr<const Rows>(const Extent&, StreamId)>& rows);

 private:
  static void lose(Cursor& cursor, uint64_t upto, model::DropReason reason);
  void lose_tail(const Stream& stream, Lane& lane) const;

  void note_change(StreamId id, Stream& stream);

  ById<std::unique_ptr<Stream>> streams_;  // addresses stay
  std::vector<StreamId> changed_streams_;
  uint64_t size_bytes_ = 0;
  std::unordered_map<std::string, StreamId> ids_;  // by encoded key
  StreamId next_stream_ = 1;
  Position staged_end_ = 0;
  uint64_t changes_ = 0;  // of the set of destinations
  uint64_t staged_changes_ = 0;
  uint64_t image_changes_ = UINT64_MAX;  // what stage()'s image was built from
};

// The first extent that ends after `from`.
std::deque<Extent>::const_iterator extent_at(const State::Stream& stream, Position from);

}  // namespace tollgate::journal
