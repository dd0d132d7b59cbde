#include "journal/state.h"

#include <algorithm>
#include <numeric>

namespace tollgate::journal {

uint64_t Cursor::settled() const {
  return std::accumulate(dropped.begin(), dropped.end(), baseline + delivered);
}

std::shared_ptr<const Rows> RowCache::find(Position base, StreamId stream) {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->base != base || it->stream != stream) continue;
    entries_.splice(entries_.begin(), entries_, it);
    return it->rows;
  }
  return nullptr;
}

void RowCache::insert(Position base, StreamId stream, std::shared_ptr<const Rows> rows) {
  if (find(base, stream)) return;
  rows_ += rows->size();
  entries_.push_front({base, stream, std::move(rows)});
  while (entries_.size() > 1 && (rows_ > kMaxRows || entries_.size() > kMaxEntries)) {
    rows_ -= entries_.back().rows->size();
    entries_.pop_back();
  }
}

void RowCache::erase(Position base) {
  std::erase_if(entries_, [&](const Entry& e) {
    if (e.base != base) return false;
    rows_ -= e.rows->size();
    return true;
  });
}

std::deque<Extent>::const_iterator extent_at(const State::Stream& stream, Position from) {
  return std::partition_point(stream.extents.begin(), stream.extents.end(),
                              [&](const Extent& e) { return e.end <= from; });
}

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
  const auto [stream, id_is_new] = streams_.try_emplace(id);
  if (!id_is_new) {
    ids_.erase(known);
    return false;
  }
  stream->second.key = key;
  next_stream_ = std::max(next_stream_, id + 1);
  return true;
}

State::Stream* State::stream(StreamId id) {
  const auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

const State::Stream* State::stream(StreamId id) const {
  const auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

uint64_t State::size_bytes() const {
  uint64_t total = 0;
  for (const SegmentPtr& s : segments) total += s->end - s->base;
  return total;
}

void State::add_segment(const SegmentPtr& segment, SegmentIndex& index) {
  for (auto& [id, found] : index.streams) {
    Stream& s = streams_.at(id);
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
  published_end = std::max(published_end, segment->end);
}

void State::publish(const BlockRef& b) {
  Stream& s = streams_.at(b.stream);
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
  version++;
}

void State::retire_active() {
  for (StreamId id : active->streams) {
    Extent& extent = streams_.at(id).extents.back();
    cache.insert(active->base, id, std::move(extent.rows));
    extent.rows = nullptr;
  }
  active = nullptr;
}

void State::disown_active() {
  TG_CHECK(active->streams.empty() && segments.back() == active);
  published_end = active->base;
  segments.pop_back();
  active = nullptr;
}

void State::forget_oldest_segment() {
  const SegmentPtr& oldest = segments.front();
  for (StreamId id : oldest->streams) streams_.at(id).extents.pop_front();
  cache.erase(oldest->base);
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
    const auto extent = extent_at(streams_.at(id), segment.base);
    for (const auto& [name, destination] : destinations) {
      const auto lane = destination.lanes.find(id);
      if (lane == destination.lanes.end()) return false;
      const Lane::Point& point = durably ? lane->second.durable : lane->second.now;
      if (point.cursor.position < extent->end) return false;
    }
  }
  return true;
}

void State::drop(const Segment& segment) {
  for (StreamId id : segment.streams) {
    const Stream& s = streams_.at(id);
    const auto extent = extent_at(s, segment.base);
    for (auto& [name, destination] : destinations) {
      Lane& lane = destination.lanes[id];
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
    for (const auto& [id, s] : streams_) {
      const auto lane = destination.lanes.find(id);
      pending += s.bytes - (lane == destination.lanes.end() ? 0 : lane->second.now.bytes);
    }
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
    auto row = std::partition_point(rows->begin(), rows->end(),
                                    [&](const BlockRef& b) { return b.position < from; });
    for (; row != rows->end(); ++row) {
      if (!out.empty() && (row->samples > left.samples || row->raw_length > left.raw_bytes)) {
        return true;
      }
      left.samples -= std::min<uint64_t>(left.samples, row->samples);
      left.raw_bytes -= std::min<uint64_t>(left.raw_bytes, row->raw_length);
      out.push_back(*row);
    }
    from = extent->end;
  }
  return true;
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
    for (const auto& [id, s] : streams_) {
      const uint64_t pending = s.accepted - cursor(it->second, id).settled();
      if (pending > 0) removed[{it->first, s.key.tenant}] += pending;
    }
    it = destinations.erase(it);
    changed = true;
  }
  for (const std::string& name : names) {
    const auto [it, is_new] = destinations.try_emplace(name);
    if (!is_new) continue;
    changed = true;
    for (const auto& [id, s] : streams_) {
      if (s.accepted == 0 && s.extents.empty()) continue;
      Lane lane;
      if (destinations_lost && !s.extents.empty()) {
        lane.now.cursor.position = s.extents.front().first;
        lane.now.cursor.delivered = s.extents.front().samples_before;
        lane.now.bytes = s.extents.front().bytes_before;
      } else {
        lane.now.cursor.position = published_end;
        lane.now.cursor.baseline = s.accepted;
        lane.now.bytes = s.bytes;
      }
      lane.staged = lane.durable = lane.now;
      it->second.lanes.emplace(id, lane);
    }
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
  Lane& lane = it->second.lanes[block.stream];
  Cursor& cursor = lane.now.cursor;
  if (block.position < cursor.position) return false;
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
  const auto lane = destination.lanes.find(id);
  return lane == destination.lanes.end() ? Cursor{} : lane->second.now.cursor;
}

Checkpoint State::stage() {
  Checkpoint out;
  out.next_stream = next_stream_;
  out.end = staged_end_ = published_end;
  out.destinations_lost = destinations_lost;
  staged_changes_ = changes_;
  for (const auto& [id, s] : streams_) {
    if (s.accepted > 0 || !s.extents.empty()) out.streams[id] = {s.key, s.accepted};
  }
  for (auto& [name, destination] : destinations) {
    auto& cursors = out.destinations[name];
    for (auto& [id, lane] : destination.lanes) {
      lane.staged = lane.now;
      cursors[id] = lane.now.cursor;
    }
  }
  for (const auto& [who, samples] : removed) {
    out.removed.push_back({who.first, who.second, samples});
  }
  return out;
}

void State::commit_staged() {
  durable_end = staged_end_;
  destinations_changed = changes_ != staged_changes_;
  for (auto& [name, destination] : destinations) {
    for (auto& [id, lane] : destination.lanes) lane.durable = lane.staged;
  }
}

void State::restore(const Checkpoint& c) {
  for (const auto& [id, s] : c.streams) {
    if (restore(id, s.key)) streams_.at(id).accepted = s.accepted;
  }
  next_stream_ = std::max(next_stream_, c.next_stream);
  published_end = std::max(published_end, c.end);
  durable_end = c.end;
  destinations_lost = c.destinations_lost;
  for (const auto& [name, cursors] : c.destinations) {
    Destination& destination = destinations[name];
    for (const auto& [id, cursor] : cursors) {
      if (!streams_.contains(id)) continue;
      destination.lanes[id].now.cursor = cursor;
      published_end = std::max(published_end, cursor.position);
    }
  }
  for (const Removed& r : c.removed) removed[{r.destination, r.tenant}] += r.samples;
}

void State::finish_recovery(
    const std::function<std::shared_ptr<const Rows>(const Extent&, StreamId)>& rows) {
  for (auto& [id, s] : streams_) {
    const uint64_t found = s.extents.empty() ? 0 : s.extents.back().samples_end;
    if (s.accepted > found) {
      s.gap_at = s.extents.empty() ? 0 : s.extents.back().end;
      s.gap_upto = s.accepted;
    }
    s.accepted = std::max(s.accepted, found);
    for (const auto& [name, destination] : destinations) {
      s.accepted = std::max(s.accepted, cursor(destination, id).settled());
    }
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
  }
}

}  // namespace tollgate::journal
