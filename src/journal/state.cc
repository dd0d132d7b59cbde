#include "journal/state.h"

#include <algorithm>
#include <numeric>

namespace tollgate::journal {

uint64_t Cursor::settled() const {
  return std::accumulate(dropped.begin(), dropped.end(), baseline + delivered);
}

std::shared_ptr<const Rows> RowCache::find(Position base, StreamId stream) {
  const auto found = index_.find({base, stream});
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->rows;
}

void RowCache::insert(Position base, StreamId stream, std::shared_ptr<const Rows> rows) {
  const Key key{base, stream};
  if (index_.contains(key)) return;
  rows_ += rows->size();
  entries_.push_front({key, std::move(rows)});
  index_[key] = entries_.begin();
  while (entries_.size() > 1 && rows_ > kMaxRows) {
    rows_ -= entries_.back().rows->size();
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

void RowCache::erase(Position base, StreamId stream) {
  const auto found = index_.find({base, stream});
  if (found == index_.end()) return;
  rows_ -= found->second->rows->size();
  entries_.erase(found->second);
  index_.erase(found);
}

// Most who ask stand near the end: it is looked at before the rest is searched.
std::deque<Extent>::const_iterator extent_at(const State::Stream& stream, Position from) {
  const auto& extents = stream.extents;
  auto it = extents.end();
  for (int steps = 2; it != extents.begin(); steps--) {
    if (std::prev(it)->end <= from) return it;
    if (steps == 0) break;
    --it;
  }
  return std::partition_point(extents.begin(), it, [&](const Extent& e) { return e.end <= from; });
}

namespace {

// The first row at or after `from`; the end first, as above.
Rows::const_iterator row_at(const Rows& rows, Position from) {
  auto it = rows.end();
  for (int steps = 4; it != rows.begin(); steps--) {
    if (std::prev(it)->position < from) return it;
    if (steps == 0) break;
    --it;
  }
  return std::partition_point(rows.begin(), it,
                              [&](const BlockRef& b) { return b.position < from; });
}

}  // namespace

std::optional<StreamId> State::find(const StreamKey& key) const {
  const auto it = ids_.find(encode(key));
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

StreamId State::add(const StreamKey& key) {
  const StreamId id = next_stream_;
  TG_CHECK(restore(id, key));
  return id;
}

bool State::restore(StreamId id, const StreamKey& key) {
  const auto [known, is_new] = ids_.try_emplace(encode(key), id);
  if (!is_new) return known->second == id;
  if (id > kMaxStreamId || streams_.contains(id)) {
    ids_.erase(known);
    return false;
  }
  auto& stream = streams_[id];
  stream = std::make_unique<Stream>();
  stream->key = key;
  next_stream_ = std::max(next_stream_, id + 1);
  return true;
}

State::Stream* State::stream(StreamId id) {
  auto* found = streams_.find(id);
  return found ? found->get() : nullptr;
}

const State::Stream* State::stream(StreamId id) const {
  const auto* found = streams_.find(id);
  return found ? found->get() : nullptr;
}

void State::note_change(StreamId id, Stream& stream) {
  if (!stream.changed) changed_streams_.push_back(id);
  stream.changed = true;
}

void State::activate(const SegmentPtr& segment) {
  segments.push_back(segment);
  active = segment;
  size_bytes_ += segment->end - segment->base;
  published_end = segment->end;
}

void State::extend_active(Position end) {
  size_bytes_ += end - active->end;
  published_end = active->end = end;
}

void State::add_segment(const SegmentPtr& segment, SegmentIndex& index) {
  for (auto& [id, found] : index.streams) {
    Stream& s = *streams_.at(id);
    found.extent.segment = segment;
    found.extent.bytes_before = s.bytes;
    s.bytes += found.extent.bytes;
    segment->streams.push_back(id);
    segment->newest_ms = std::max(segment->newest_ms, found.extent.last_ms);
    if (segment->oldest_ms == 0 || found.extent.first_ms < segment->oldest_ms) {
      segment->oldest_ms = found.extent.first_ms;
    }
    s.extents.push_back(found.extent);
    if (!found.rows.empty()) {
      cache.insert(segment->base, id, std::make_shared<const Rows>(std::move(found.rows)));
    }
  }
  segments.push_back(segment);
  size_bytes_ += segment->end - segment->base;
  published_end = std::max(published_end, segment->end);
}

void State::publish(const BlockRef& b) {
  Stream& s = *streams_.at(b.stream);
  if (s.extents.empty() || s.extents.back().segment != active) {
    Extent extent;
    extent.segment = active;
    extent.bytes_before = s.bytes;
    extent.rows = std::make_shared<Rows>();
    s.extents.push_back(std::move(extent));
    active->streams.push_back(b.stream);
  }
  Extent& extent = s.extents.back();
  extent.add(b);
  extent.rows->push_back(b);
  s.bytes += b.elements_length;
  s.accepted = b.samples_before + b.samples;
  if (active->oldest_ms == 0) active->oldest_ms = b.appended_ms;
  active->newest_ms = std::max(active->newest_ms, b.appended_ms);
  note_change(b.stream, s);
  version++;
}

uint64_t State::active_footer_size() const {
  FooterSize size;
  for (StreamId id : active->streams) {
    const Stream& s = *streams_.at(id);
    size.add(s.key, s.extents.back().blocks);
  }
  return size.total();
}

std::vector<FooterStream> State::footer_of(const Segment& segment) const {
  std::vector<FooterStream> out;
  out.reserve(segment.streams.size());
  for (StreamId id : segment.streams) {
    const Stream& s = *streams_.at(id);
    out.push_back({id, s.key, *extent_at(s, segment.base)});
  }
  return out;
}

void State::retire(Segment& segment, const std::vector<FooterStream>* footer) {
  for (size_t i = 0; i < segment.streams.size(); i++) {
    const StreamId id = segment.streams[i];
    Stream& s = *streams_.at(id);
    const auto at = extent_at(s, segment.base) - s.extents.cbegin();
    Extent& extent = s.extents[static_cast<size_t>(at)];
    cache.insert(segment.base, id, std::move(extent.rows));
    extent.rows = nullptr;
    if (footer == nullptr) continue;
    extent.rows_at = (*footer)[i].extent.rows_at;
    extent.rows_crc = (*footer)[i].extent.rows_crc;
  }
  segment.has_footer = footer != nullptr;
}

void State::retire_active() {
  retire(*active, nullptr);
  active = nullptr;
}

void State::disown_active() {
  TG_CHECK(active->streams.empty() && segments.back() == active);
  size_bytes_ -= active->end - active->base;
  published_end = active->base;
  segments.pop_back();
  active = nullptr;
}

void State::forget_oldest_segment() {
  const SegmentPtr& oldest = segments.front();
  for (StreamId id : oldest->streams) {
    streams_.at(id)->extents.pop_front();
    cache.erase(oldest->base, id);
  }
  size_bytes_ -= oldest->end - oldest->base;
  segments.pop_front();
}

SegmentPtr State::segment_of(Position position) const {
  const auto after = std::partition_point(segments.begin(), segments.end(),
                                          [&](const SegmentPtr& s) { return s->base <= position; });
  if (after == segments.begin()) return nullptr;
  const SegmentPtr& found = *std::prev(after);
  return position < found->end ? found : nullptr;
}

bool State::settled(const Segment& segment, bool durably) const {
  if (destinations_lost) return false;  // we do not know yet who still wants it
  if (durably && durable_end < segment.end) return false;
  for (StreamId id : segment.streams) {
    const auto extent = extent_at(*streams_.at(id), segment.base);
    for (const auto& [name, destination] : destinations) {
      const Lane* lane = destination.lanes.find(id);
      if (lane == nullptr) return false;
      const Lane::Point& point = durably ? lane->durable : lane->now;
      if (point.cursor.position < extent->end) return false;
    }
  }
  return true;
}

void State::drop(const Segment& segment) {
  for (StreamId id : segment.streams) {
    const Stream& s = *streams_.at(id);
    const auto extent = extent_at(s, segment.base);
    for (auto& [name, destination] : destinations) {
      Lane& lane = destination.changing(id);
      Cursor& cursor = lane.now.cursor;
      if (cursor.position >= extent->end) continue;
      if (cursor.position <= extent->first) {
        lose(cursor, extent->samples_before, model::DropReason::kCorrupt);
      }
      lose(cursor, extent->samples_end, model::DropReason::kJournalFull);
      cursor.position = extent->end;
      lane.now.bytes = extent->bytes_before + extent->bytes;
      lose_tail(s, lane);
    }
  }
  version++;
}

std::pair<std::string, uint64_t> State::slowest_destination() const {
  std::pair<std::string, uint64_t> worst;
  for (const auto& [name, destination] : destinations) {
    uint64_t pending = 0;
    streams_.each([&, &lanes = destination.lanes](StreamId id, const auto& s) {
      const Lane* lane = lanes.find(id);
      pending += s->bytes - (lane == nullptr ? 0 : lane->now.bytes);
    });
    if (pending > worst.second) worst = {name, pending};
  }
  return worst;
}

bool State::collect(StreamId id, Position& from, Limits& left, Rows& out, Missing& missing,
                    const std::shared_ptr<const Rows>& loaded) {
  const Stream* s = stream(id);
  if (s == nullptr) return true;
  for (auto extent = extent_at(*s, from); extent != s->extents.end(); ++extent) {
    std::shared_ptr<const Rows> rows = extent->rows;
    if (!rows) rows = cache.find(extent->segment->base, id);
    if (!rows && loaded && missing.extent.segment == extent->segment) rows = loaded;
    if (!rows) {
      missing = {*extent, id, extent->segment->has_footer, extent->segment->end};
      return false;
    }
    const auto first = row_at(*rows, from);
    auto row = first;
    bool full = false;
    for (; row != rows->end(); ++row) {
      full = (row != first || !out.empty()) &&
             (row->samples > left.samples || row->raw_length > left.raw_bytes);
      if (full) break;
      left.samples -= std::min<uint64_t>(left.samples, row->samples);
      left.raw_bytes -= std::min<uint64_t>(left.raw_bytes, row->raw_length);
    }
    out.insert(out.end(), first, row);
    if (full) return true;
    from = extent->end;
  }
  return true;
}

State::Oldest State::oldest_pending_ms(StreamId id, Position from) {
  const Stream& s = *streams_.at(id);
  const auto extent = extent_at(s, from);
  if (extent == s.extents.end()) return {};
  if (from <= extent->first) return {extent->first_ms, true};
  std::shared_ptr<const Rows> rows = extent->rows;
  if (!rows) rows = cache.find(extent->segment->base, id);
  if (!rows) return {extent->first_ms, false};
  const auto row = row_at(*rows, from);
  if (row != rows->end()) return {row->appended_ms, true};
  return {extent->last_ms, true};
}

void State::lose(Cursor& cursor, uint64_t upto, model::DropReason reason) {
  const uint64_t settled = cursor.settled();
  if (upto > settled) cursor.dropped[static_cast<size_t>(reason)] += upto - settled;
}

void State::lose_tail(const Stream& s, Lane& lane) const {
  if (lane.now.cursor.position >= s.gap_at) {
    lose(lane.now.cursor, s.gap_upto, model::DropReason::kCorrupt);
  }
}

bool State::set_destinations(const std::vector<std::string>& names) {
  bool changed = destinations_lost;
  for (auto it = destinations.begin(); it != destinations.end();) {
    if (std::find(names.begin(), names.end(), it->first) != names.end()) {
      ++it;
      continue;
    }
    streams_.each([&](StreamId id, const auto& s) {
      const uint64_t pending = s->accepted - cursor(it->second, id).settled();
      if (pending > 0) removed[{it->first, s->key.tenant}] += pending;
    });
    it = destinations.erase(it);
    changed = true;
  }
  for (const std::string& name : names) {
    const auto [it, is_new] = destinations.try_emplace(name);
    if (!is_new) continue;
    changed = true;
    Destination& destination = it->second;
    streams_.each([&](StreamId id, const auto& stream) {
      const Stream& s = *stream;
      if (s.accepted == 0 && s.extents.empty()) return;
      Lane& lane = destination.lanes[id];
      if (destinations_lost && !s.extents.empty()) {
        lane.now.cursor.position = s.extents.front().first;
        lane.now.cursor.delivered = s.extents.front().samples_before;
        lane.now.bytes = s.extents.front().bytes_before;
      } else {
        lane.now.cursor.position = data_end();
        lane.now.cursor.baseline = s.accepted;
        lane.now.bytes = s.bytes;
      }
      lane.staged = lane.durable = lane.now;
    });
  }
  destinations_lost = false;
  if (changed) {
    version++;
    changes_++;
    destinations_changed = true;
  }
  return changed;
}

bool State::settle(const std::string& destination, const BlockRef& block, uint64_t dropped,
                   model::DropReason reason) {
  const auto it = destinations.find(destination);
  const Stream* s = stream(block.stream);
  if (it == destinations.end() || s == nullptr) return false;
  const Lane* known = it->second.lanes.find(block.stream);
  if (known != nullptr && block.position < known->now.cursor.position) return false;
  Lane& lane = it->second.changing(block.stream);
  Cursor& cursor = lane.now.cursor;
  // Damage may have taken blocks out of an extent after its bytes were summed up: start every
  // extent with what is known for certain.
  const auto extent = extent_at(*s, block.position);
  if (extent != s->extents.end() && cursor.position <= extent->first) {
    lane.now.bytes = extent->bytes_before;
  }
  lose(cursor, block.samples_before, model::DropReason::kCorrupt);
  const uint64_t upto = block.samples_before + block.samples;
  const uint64_t settled = cursor.settled();
  const uint64_t count = upto > settled ? upto - settled : 0;
  const uint64_t lost = std::min(dropped, count);
  cursor.dropped[static_cast<size_t>(reason)] += lost;
  cursor.delivered += count - lost;
  cursor.position = block.end;
  lane.now.bytes += block.elements_length;
  lose_tail(*s, lane);
  version++;
  return true;
}

Cursor State::cursor(const Destination& destination, StreamId id) const {
  const Lane* lane = destination.lanes.find(id);
  return lane == nullptr ? Cursor{} : lane->now.cursor;
}

void State::stage(Checkpoint& image) {
  image.next_stream = next_stream_;
  image.end = staged_end_ = data_end();
  image.destinations_lost = destinations_lost;
  staged_changes_ = changes_;
  for (const StreamId id : changed_streams_) {
    Stream& s = *streams_.at(id);
    s.changed = false;
    auto& entry = image.streams[id];
    if (entry.accepted == 0) entry.key = s.key;
    entry.accepted = s.accepted;
  }
  changed_streams_.clear();
  const auto stage_lane = [](Destination& destination, StreamId id, Lane& lane,
                             ById<Cursor>& cursors) {
    lane.staged = lane.now;
    lane.changed = false;
    if (!lane.is_staged) destination.staged.push_back(id);
    lane.is_staged = true;
    cursors[id] = lane.now.cursor;
  };
  if (image_changes_ == changes_) {
    for (auto& [name, destination] : destinations) {
      auto& cursors = image.destinations[name];
      for (const StreamId id : destination.changed) {
        stage_lane(destination, id, destination.lanes.at(id), cursors);
      }
      destination.changed.clear();
    }
    return;
  }
  // Other destinations than before: all anew.
  image_changes_ = changes_;
  image.destinations.clear();
  for (auto& [name, destination] : destinations) {
    auto& cursors = image.destinations[name];
    destination.lanes.each([&, &target = destination](StreamId id, Lane& lane) {
      stage_lane(target, id, lane, cursors);
    });
    destination.changed.clear();
  }
  image.removed.clear();
  for (const auto& [who, samples] : removed) {
    image.removed.push_back({who.first, who.second, samples});
  }
}

void State::commit_staged() {
  durable_end = staged_end_;
  destinations_changed = changes_ != staged_changes_;
  for (auto& [name, destination] : destinations) {
    for (const StreamId id : destination.staged) {
      Lane& lane = destination.lanes.at(id);
      lane.durable = lane.staged;
      lane.is_staged = false;
    }
    destination.staged.clear();
  }
}

void State::restore(const Checkpoint& c) {
  c.streams.each([&](StreamId id, const Checkpoint::Stream& s) {
    if (restore(id, s.key)) streams_.at(id)->accepted = s.accepted;
  });
  next_stream_ = std::max(next_stream_, c.next_stream);
  published_end = std::max(published_end, c.end);
  durable_end = c.end;
  destinations_lost = c.destinations_lost;
  for (const auto& [name, cursors] : c.destinations) {
    Destination& destination = destinations[name];
    cursors.each([&](StreamId id, const Cursor& cursor) {
      if (!streams_.contains(id)) return;
      destination.lanes[id].now.cursor = cursor;
      published_end = std::max(published_end, cursor.position);
    });
  }
  for (const Removed& r : c.removed) removed[{r.destination, r.tenant}] += r.samples;
}

void State::finish_recovery(
    const std::function<std::shared_ptr<const Rows>(const Extent&, StreamId)>& rows) {
  streams_.each([&](StreamId id, auto& stream) {
    Stream& s = *stream;
    const uint64_t found = s.extents.empty() ? 0 : s.extents.back().samples_end;
    if (s.accepted > found) {
      s.gap_at = s.extents.empty() ? 0 : s.extents.back().end;
      s.gap_upto = s.accepted;
    }
    s.accepted = std::max(s.accepted, found);
    for (const auto& [name, destination] : destinations) {
      s.accepted = std::max(s.accepted, cursor(destination, id).settled());
    }
    if (s.accepted > 0 || !s.extents.empty()) note_change(id, s);
    for (auto& [name, destination] : destinations) {
      if (!destination.lanes.contains(id) && s.gap_upto == 0) continue;
      Lane& lane = destination.lanes[id];
      const Position at = lane.now.cursor.position;
      const auto extent = extent_at(s, at);
      lane.now.bytes = extent == s.extents.end() ? s.bytes : extent->bytes_before;
      if (extent != s.extents.end() && at > extent->first) {
        if (const auto blocks = rows(*extent, id)) {
          for (const BlockRef& b : *blocks) {
            if (b.position < at) lane.now.bytes += b.elements_length;
          }
        }
      }
      // What is lost is known from now on, whether or not a checkpoint follows.
      lose_tail(s, lane);
      lane.staged = lane.durable = lane.now;
    }
  });
}

}  // namespace tollgate::journal
