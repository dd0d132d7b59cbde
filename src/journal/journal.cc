#include "journal/journal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "journal/impl.h"

namespace tollgate::journal {
namespace {

constexpr size_t kMaxOpenFiles = 64;        // of sealed segments, for reading
constexpr StreamId kLedgerChunk = 1024;     // streams that ledger() looks at under one lock
constexpr size_t kLedgerReads = 64;         // of indexes that it reads from the disk
constexpr size_t kMaxCorruptBlocks = 4096;  // remembered, so that each is counted once

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(Options options, fs::FileSystem& fs,
                                               const Clock& clock) {
  auto journal = std::make_unique<Impl>(std::move(options), fs, clock);
  if (auto s = journal->start(); !s) return s.error();
  return std::unique_ptr<Journal>(std::move(journal));
}

Impl::Impl(Options options, fs::FileSystem& fs, const Clock& clock)
    : fs_(fs),
      clock_(clock),
      path_(options.path),
      options_(std::move(options)),
      observers_(std::make_shared<const std::vector<Observer>>()) {}

Impl::~Impl() { close(); }

std::string Impl::path_of(std::string_view name) const { return path_ + "/" + std::string(name); }

Status Impl::start() {
  if (auto s = recover(); !s) return s;
  last_checkpoint_ns_ = last_expiry_ns_ = last_sync_ns_ = clock_.monotonic_ns();
  thread_ = std::thread([this] { run(); });
  housekeeper_ = std::thread([this] { keep_house(); });
  return Ok{};
}

void Impl::close() {
  if (!thread_.joinable()) return;
  queue_.lock()->stopping = true;
  wake_.notify_one();
  thread_.join();
  housekeeper_.join();
  lock_.reset();
}

// --- streams and appending

Result<StreamId> Impl::intern(const StreamKey& key) {
  const uint32_t max = options_.lock()->max_streams;
  auto state = state_.lock();
  if (const auto known = state->find(key)) return *known;
  if (state->stream_count() >= max || state->end_stream() > kMaxStreamId) {
    return our_error(Code::kLimited,
                     fmt::format("journal.max_streams ({}) reached: too many different tenants, "
                                 "sources and replicas",
                                 max));
  }
  return state->add(key);
}

StreamKey Impl::key(StreamId id) const {
  auto state = state_.lock();
  const State::Stream* stream = state->stream(id);
  TG_CHECK(stream != nullptr);
  return stream->key;
}

void Impl::append(std::vector<NewBlock> blocks, Done done) {
  Request request;
  for (const NewBlock& block : blocks) {
    if (block.elements.size() > UINT32_MAX) {
      done(our_error(Code::kTooLarge, "a journal block is larger than 4 GiB"));
      return;
    }
    request.bytes += format::kRecordHeaderSize + block.elements.size();
  }
  if (!healthy_) {
    done(refusal());
    return;
  }
  request.blocks = std::move(blocks);
  {
    auto queue = queue_.lock();
    if (!queue->stopping) {
      request.done = std::move(done);
      queue->requests.push_back(std::move(request));
    }
  }
  if (done) {
    done(our_error(Code::kUnavailable, "the journal is closed"));
    return;
  }
  wake_.notify_one();
}

// --- destinations

void Impl::set_destinations(const std::vector<std::string>& names) {
  if (!state_.lock()->set_destinations(names)) return;
  if (auto s = checkpoint(); !s) {
    log::warn("the destinations are not yet recorded in the journal; will try again",
              {{"error", s.error().message}});
  }
}

std::vector<Removed> Impl::removed() const {
  std::vector<Removed> out;
  auto state = state_.lock();
  for (const auto& [who, samples] : state->removed) {
    out.push_back({who.first, who.second, samples});
  }
  return out;
}

std::optional<Cursor> Impl::cursor(const std::string& destination, StreamId stream) const {
  auto state = state_.lock();
  const auto it = state->destinations.find(destination);
  if (it == state->destinations.end() || state->stream(stream) == nullptr) return std::nullopt;
  return state->cursor(it->second, stream);
}

bool Impl::settle(const std::string& destination, const BlockRef& block,
                  std::optional<model::DropReason> reason) {
  return settle(destination, std::span(&block, 1), reason);
}

bool Impl::settle(const std::string& destination, std::span<const BlockRef> blocks,
                  std::optional<model::DropReason> reason) {
  auto state = state_.lock();
  return std::all_of(blocks.begin(), blocks.end(), [&](const BlockRef& block) {
    return state->settle(destination, block, reason ? block.samples : 0,
                         reason.value_or(model::DropReason::kRefused));
  });
}

bool Impl::settle_partly(const std::string& destination, const BlockRef& block,
                         uint32_t dropped_samples, model::DropReason reason) {
  return state_.lock()->settle(destination, block, dropped_samples, reason);
}

Status Impl::checkpoint() {
  std::future<Status> result;
  {
    auto queue = queue_.lock();
    if (queue->stopped) return our_error(Code::kUnavailable, "the journal is closed");
    result = queue->checkpoints.emplace_back().get_future();
  }
  wake_.notify_one();
  return result.get();
}

// --- reading

std::vector<BlockRef> Impl::next(StreamId stream, Position from, uint64_t max_samples,
                                 uint64_t max_raw_bytes) const {
  Rows out;
  State::Limits left{max_samples, max_raw_bytes};
  State::Missing missing;
  std::shared_ptr<const Rows> loaded;
  for (;;) {
    {
      auto state = state_.lock();
      if (loaded) state->cache.insert(missing.extent.segment->base, stream, loaded);
      if (state->collect(stream, from, left, out, missing, loaded)) return out;
    }
    loaded = rows_of(missing);
    if (!loaded) return out;
  }
}

bool Impl::has_blocks(StreamId stream, Position from) const {
  auto state = state_.lock();
  const State::Stream* s = state->stream(stream);
  return s != nullptr && !s->extents.empty() && s->extents.back().end > from;
}

std::optional<Journal::Pending> Impl::pending(const std::string& destination, StreamId stream,
                                              uint64_t max_samples, uint64_t max_raw_bytes) const {
  Pending out;
  Position cursor = 0;
  {
    auto state = state_.lock();
    const auto found = state->destinations.find(destination);
    const State::Stream* s = state->stream(stream);
    if (found == state->destinations.end() || s == nullptr) return std::nullopt;
    Position from = cursor = state->cursor(found->second, stream).position;
    if (s->extents.empty() || s->extents.back().end <= from) return out;
    State::Limits left{max_samples, max_raw_bytes};
    State::Missing missing;
    if (state->collect(stream, from, left, out.blocks, missing, nullptr)) {
      out.unreadable = out.blocks.empty();
      return out;
    }
  }
  out.blocks = next(stream, cursor, max_samples, max_raw_bytes);  // reads an index
  out.unreadable = out.blocks.empty() && has_blocks(stream, cursor);
  return out;
}

std::shared_ptr<const Rows> Impl::rows_of(const State::Missing& missing) const {
  const Segment& segment = *missing.extent.segment;
  auto file = file_of(missing.extent.segment);
  if (file) {
    auto rows = load_rows(**file, missing.extent, missing.stream, missing.has_footer, segment.base,
                          missing.segment_end);
    if (rows) return std::move(rows).value();
    log::warn("cannot read the index of a journal segment", {{"error", rows.error().message}});
    return nullptr;
  }
  log::warn("cannot open a journal segment", {{"error", file.error().message}});
  return nullptr;
}

Result<std::shared_ptr<fs::File>> Impl::file_of(const SegmentPtr& segment) const {
  {
    auto state = state_.lock();
    if (segment->file) return segment->file;
  }
  auto opened = fs_.open_read(segment->path);
  if (!opened) return opened.error();
  std::shared_ptr<fs::File> file = std::move(opened).value();
  {
    auto state = state_.lock();
    if (segment->file) return segment->file;
    segment->file = file;
  }
  remember_open(segment);
  return file;
}

void Impl::remember_open(const SegmentPtr& segment) const {
  std::shared_ptr<fs::File> closing;  // outside of the locks
  auto state = state_.lock();
  auto open = open_files_.lock();
  open->order.push_back(segment);
  if (open->order.size() <= kMaxOpenFiles) return;
  if (const SegmentPtr oldest = open->order.front().lock()) closing = std::move(oldest->file);
  open->order.pop_front();
}

Status Impl::read(const BlockRef& block, Buffer& out) const {
  if (const auto elements = tail_.lock()->find(block.position)) {
    out.append(elements->view());
    return Ok{};
  }
  SegmentPtr segment;
  {
    auto state = state_.lock();
    segment = state->segment_of(block.position);
  }
  if (!segment) {
    return our_error(
        Code::kUnavailable,
        fmt::format("the block at {:016x} was removed from the journal", block.position));
  }
  auto file = file_of(segment);
  if (!file) return file.error();
  char* to = out.grow(block.elements_length);
  auto n = (*file)->read_at(block.position - segment->base + format::kRecordHeaderSize, to,
                            block.elements_length);
  if (!n) return n.error();
  if (*n < block.elements_length ||
      payload_crc({to, block.elements_length}, block.position) != block.payload_crc) {
    note_corrupt(block);
    return our_error(Code::kCorrupt, fmt::format("{}: the block at {:016x} is damaged ({} samples)",
                                                 segment->path, block.position, block.samples));
  }
  out.commit(block.elements_length);
  return Ok{};
}

void Impl::note_corrupt(const BlockRef& block) const {
  auto counters = counters_.lock();
  if (counters->corrupt_blocks.size() >= kMaxCorruptBlocks) counters->corrupt_blocks.clear();
  if (!counters->corrupt_blocks.insert(block.position).second) return;
  counters->corrupt_records++;
  counters->corrupt_bytes += block.end - block.position;
}

// --- observation

void Impl::observe(Observer observer) {
  auto observers = observers_.lock();
  auto more = std::make_shared<std::vector<Observer>>(**observers);
  more->push_back(std::move(observer));
  *observers = std::move(more);
}

void Impl::time_syncs(SyncTimer timer) { *sync_timer_.lock() = std::move(timer); }

std::vector<StreamTotals> Impl::streams() const {
  std::vector<StreamTotals> out;
  auto state = state_.lock();
  out.reserve(state->stream_count());
  for (StreamId id = 0; id < state->end_stream(); id++) {
    if (const State::Stream* s = state->stream(id)) out.push_back({id, s->key, s->accepted});
  }
  return out;
}

std::vector<LedgerRow> Impl::ledger() const {
  std::vector<LedgerRow> out;
  std::vector<std::string> names;
  {
    auto state = state_.lock();
    out.reserve(state->destinations.size() * state->stream_count());
    for (const auto& [name, destination] : state->destinations) names.push_back(name);
  }
  std::vector<size_t> unknown;  // rows whose oldest pending block is not in memory
  for (const std::string& name : names) {
    // In pieces, so that nobody waits long for the lock.
    StreamId id = 0;
    for (bool more = true; more;) {
      auto state = state_.lock();
      const auto destination = state->destinations.find(name);
      if (destination == state->destinations.end()) break;
      const StreamId until = std::min<StreamId>(state->end_stream(), id + kLedgerChunk);
      more = until < state->end_stream();
      for (; id < until; id++) {
        const State::Stream* s = state->stream(id);
        if (s == nullptr || (s->accepted == 0 && s->extents.empty())) continue;
        const State::Lane* lane = destination->second.lanes.find(id);
        const State::Lane::Point point = lane == nullptr ? State::Lane::Point{} : lane->durable;
        LedgerRow row;
        row.destination = name;
        row.stream = id;
        row.key = s->key;
        row.cursor = point.cursor;
        row.accepted = s->accepted - point.cursor.baseline;
        row.pending_samples = s->accepted - point.cursor.settled();
        row.pending_bytes = s->bytes - point.bytes;
        if (row.pending_samples > 0 || row.pending_bytes > 0) {
          const auto oldest = state->oldest_pending_ms(id, point.cursor.position);
          row.oldest_pending_ms = oldest.ms;
          if (!oldest.exact) unknown.push_back(out.size());
        }
        out.push_back(std::move(row));
      }
    }
  }
  if (unknown.size() > kLedgerReads) unknown.resize(kLedgerReads);
  for (const size_t i : unknown) {
    const auto oldest = next(out[i].stream, out[i].cursor.position, 1, 1);
    if (!oldest.empty()) out[i].oldest_pending_ms = oldest.front().appended_ms;
  }
  return out;
}

Stats Impl::stats() const {
  Stats out;
  {
    auto problem = problem_.lock();
    out.healthy = healthy_;
    if (!out.healthy) out.problem = problem->text;
  }
  {
    auto counters = counters_.lock();
    out.appended_bytes = counters->appended_bytes;
    out.corrupt_records = counters->corrupt_records;
    out.corrupt_bytes = counters->corrupt_bytes;
    out.torn_bytes = counters->torn_bytes;
    out.checkpoint_failures = counters->checkpoint_failures;
  }
  auto state = state_.lock();
  out.size_bytes = state->size_bytes();
  out.segments = state->segments.size();
  for (const SegmentPtr& s : state->segments) {
    if (s->oldest_ms == 0) continue;
    out.oldest_ms = s->oldest_ms;
    break;
  }
  return out;
}

void Impl::reconfigure(const Options& options) {
  auto current = options_.lock();
  std::string path = std::move(current->path);
  *current = options;
  current->path = std::move(path);
}

}  // namespace tollgate::journal
