#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "journal/impl.h"

namespace tollgate::journal {
namespace {

constexpr uint64_t kBatchBytes = 8 << 20;     // of one gather-write
constexpr uint64_t kReopenReserve = 1 << 20;  // a new segment after a failure must have this
constexpr uint64_t kMinSegmentSize = 4096;
constexpr size_t kManySegments = 512;  // beyond it, age alone rolls only large ones
constexpr auto kPoll = std::chrono::milliseconds(100);
constexpr int64_t kNsPerMs = 1'000'000;

int64_t ns(std::chrono::milliseconds t) { return t.count() * kNsPerMs; }

bool is_disk_full(const Error& e) { return e.message.starts_with("no space left"); }

uint64_t segment_limit(const Options& o) {
  // Whole segments are removed: one must not be a large part of the whole.
  return std::max(kMinSegmentSize, std::min(o.segment_size, o.max_size / 8));
}

std::string human(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  size_t unit = 0;
  auto value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    unit++;
  }
  return value == static_cast<double>(static_cast<uint64_t>(value))
             ? fmt::format("{}{}", static_cast<uint64_t>(value), kUnits[unit])
             : fmt::format("{:.1f}{}", value, kUnits[unit]);
}

}  // namespace

void Impl::run() {
  for (;;) {
    Work work = wait_for_work();
    tick();
    if (!work.requests.empty()) commit(work.requests);
    if (!work.checkpoints.empty()) {
      const Status written = write_checkpoint();
      remove_expired();
      // Last, so that whoever asked sees all that it brought about.
      for (auto& promise : work.checkpoints) promise.set_value(written);
    }
    if (work.stop) break;
  }
  if (file_) {
    if (auto s = seal(); !s) fail(s.error());
  }
  if (auto s = write_checkpoint(); !s) {
    log::error("cannot write the journal's cursors; they stay as of the last checkpoint",
               {{"error", s.error().message}});
  }
  std::vector<std::promise<Status>> late;
  {
    auto queue = queue_.lock();
    queue->stopped = true;
    late.swap(queue->checkpoints);
  }
  for (auto& promise : late) {
    promise.set_value(our_error(Code::kUnavailable, "the journal is closed"));
  }
}

Impl::Work Impl::wait_for_work() {
  Work work;
  auto poll = std::chrono::duration_cast<std::chrono::milliseconds>(kPoll);
  {
    auto options = options_.lock();
    if (unsynced_ && options->sync == Sync::kInterval)
      poll = std::min(poll, options->sync_interval);
    if (!healthy_) poll = std::min(poll, options->reopen_interval);
  }
  auto queue = queue_.lock();
  wake_.wait_for(queue.raw_lock(), std::max(poll, std::chrono::milliseconds(1)), [&] {
    return !queue->requests.empty() || !queue->checkpoints.empty() || queue->stopping;
  });
  uint64_t bytes = 0;
  while (!queue->requests.empty() &&
         (bytes == 0 || bytes + queue->requests.front().bytes <= kBatchBytes)) {
    bytes += queue->requests.front().bytes + 1;
    work.requests.push_back(std::move(queue->requests.front()));
    queue->requests.pop_front();
  }
  // A checkpoint asked for after an append comes after it.
  if (queue->requests.empty()) {
    work.checkpoints.swap(queue->checkpoints);
    work.stop = queue->stopping;
  }
  return work;
}

void Impl::tick() {
  const int64_t now = clock_.monotonic_ns();
  const Options options = *options_.lock();
  if (!healthy_) {
    if (now >= next_reopen_ns_) try_reopen();
  } else if (unsynced_ && options.sync == Sync::kInterval &&
             now - last_sync_ns_ >= ns(options.sync_interval)) {
    if (auto s = sync_file(); !s) fail(s.error());
  }
  if (healthy_ && active_blocks_ > 0 &&
      now - active_since_ns_ >= std::max(ns(options.retention) / 4, int64_t{10'000} * kNsPerMs)) {
    bool worth_it;
    {
      auto state = state_.lock();
      worth_it = state->segments.size() < kManySegments ||
                 state->active->end - state->active->base >= segment_limit(options) / 16;
    }
    if (worth_it) {
      if (auto s = roll(); !s) fail(s.error());
    }
  }
  if (now - last_checkpoint_ns_ >= ns(options.checkpoint_interval)) {
    last_checkpoint_ns_ = now;
    if (state_.lock()->version != written_version_) {
      if (auto s = write_checkpoint(); !s) {
        log::warn("cannot write the journal's cursors; will try again",
                  {{"error", s.error().message}});
      }
    }
  }
  if (now - last_expiry_ns_ >= ns(options.checkpoint_interval)) {
    last_expiry_ns_ = now;
    remove_expired();
  }
}

// --- appending

void Impl::commit(std::vector<Request>& batch) {
  const Options options = *options_.lock();
  if (healthy_ && state_.lock()->destinations_changed) {
    if (auto s = write_checkpoint(); !s) fail(s.error());
  }
  std::vector<Request*> admitted;
  Planned planned;
  for (Request& request : batch) {
    if (admit(options, request, planned)) admitted.push_back(&request);
  }
  if (!healthy_) {
    // Making room for a later request may have failed after an earlier one was admitted.
    for (Request* request : admitted) request->done(refusal());
    return;
  }
  if (admitted.empty()) return;
  uint64_t used;
  {
    auto state = state_.lock();
    used = state->active ? state->active->end - state->active->base : 0;
  }
  std::vector<BlockRef> written;
  Status status = Ok{};
  if (active_blocks_ > 0 && used + planned.bytes > segment_limit(options)) status = roll();
  if (status.ok()) status = write(admitted, written);
  if (status.ok() && options.sync == Sync::kAlways) status = sync_file();
  if (!status) {
    fail(status.error());
    for (Request* request : admitted) request->done(refusal());
    return;
  }
  unsynced_ = options.sync != Sync::kAlways;
  publish(written);
  for (Request* request : admitted) request->done(Ok{});
  if (written.empty()) return;
  std::vector<StreamId> streams;
  streams.reserve(written.size());
  for (const BlockRef& b : written) streams.push_back(b.stream);
  std::sort(streams.begin(), streams.end());
  streams.erase(std::unique(streams.begin(), streams.end()), streams.end());
  const auto observers = *observers_.lock();
  for (const Observer& observer : *observers) observer(streams);
}

bool Impl::admit(const Options& options, Request& request, Planned& planned) {
  if (!healthy_) {
    request.done(refusal());
    return false;
  }
  Planned next = planned;
  next.bytes += request.bytes;
  next.blocks += request.blocks.size();
  {
    auto state = state_.lock();
    for (const NewBlock& block : request.blocks) {
      const State::Stream* stream = state->stream(block.stream);
      if (stream == nullptr) {
        request.done(our_error(Code::kInternal,
                               fmt::format("journal stream {} was never interned", block.stream)));
        return false;
      }
      // Its descriptor, in case it is new to the segment.
      next.bytes += format::kRecordHeaderSize + encoded_size(stream->key);
      next.key_bytes += encoded_size(stream->key);
    }
  }
  // Both the active segment's footer and, if it has to be rolled first, the next one's.
  const uint64_t footers =
      footer_size(described_.size() + next.blocks, described_bytes_ + next.key_bytes,
                  active_blocks_ + next.blocks) +
      footer_size(0, 0, 0) + format::kSegmentHeaderSize;
  if (auto s = make_room(options, next.bytes + footers); !s) {
    request.done(s.error());
    return false;
  }
  planned = next;
  return true;
}

Status Impl::write(std::vector<Request*>& batch, std::vector<BlockRef>& written) {
  struct Total {
    uint64_t samples = 0;
    std::string key;  // to be described first; empty if the segment knows it
  };
  std::unordered_map<StreamId, Total> totals;
  Position at = 0;
  {
    // Checksums are computed without the lock: only this thread changes what is read here.
    auto state = state_.lock();
    TG_CHECK(state->active != nullptr && file_ != nullptr);
    at = state->published_end;
    for (const Request* request : batch) {
      for (const NewBlock& block : request->blocks) {
        const auto [total, is_first] = totals.try_emplace(block.stream);
        if (!is_first) continue;
        const State::Stream& stream = *state->stream(block.stream);
        total->second.samples = stream.accepted;
        if (!described_.contains(block.stream)) total->second.key = encode(stream.key);
      }
    }
  }
  // Descriptors and headers live in strings whose addresses stay: the pieces point into them.
  std::deque<std::string> owned;
  std::vector<std::string_view> pieces;
  std::vector<StreamId> described;
  uint64_t described_bytes = 0;
  const int64_t now_ms = clock_.now_ms();
  const auto add = [&](const RecordHeader& header, std::string_view payload) {
    std::string& bytes = owned.emplace_back(format::kRecordHeaderSize, '\0');
    encode(header, at, bytes.data());
    pieces.push_back(bytes);
    if (!payload.empty()) pieces.push_back(payload);
    at += format::kRecordHeaderSize + payload.size();
  };
  for (Request* request : batch) {
    for (const NewBlock& block : request->blocks) {
      Total& total = totals.at(block.stream);
      if (!total.key.empty()) {
        const std::string& key = owned.emplace_back(std::move(total.key));
        total.key.clear();
        RecordHeader header;
        header.type = format::RecordType::kStream;
        header.stream = block.stream;
        header.payload_length = static_cast<uint32_t>(key.size());
        header.appended_ms = now_ms;
        header.payload_crc = payload_crc(key, at);
        add(header, key);
        described.push_back(block.stream);
        described_bytes += key.size();
      }
      RecordHeader header;
      header.type = format::RecordType::kBlock;
      header.stream = block.stream;
      header.payload_length = static_cast<uint32_t>(block.elements.size());
      header.raw_length = block.raw_length;
      header.samples = block.samples;
      header.exemplars = block.exemplars;
      header.series = block.series;
      header.samples_before = total.samples;
      header.min_timestamp = block.min_timestamp;
      header.max_timestamp = block.max_timestamp;
      header.appended_ms = now_ms;
      header.payload_crc = payload_crc(block.elements.view(), at);
      written.push_back(block_ref(header, at));
      add(header, block.elements.view());
      total.samples += block.samples;
    }
  }
  if (pieces.empty()) return Ok{};
  if (auto s = file_->append(pieces); !s) return s;
  described_.insert(described.begin(), described.end());
  described_bytes_ += described_bytes;
  return Ok{};
}

void Impl::publish(const std::vector<BlockRef>& written) {
  if (written.empty()) return;
  if (active_blocks_ == 0) active_since_ns_ = clock_.monotonic_ns();
  active_blocks_ += written.size();
  Position before;
  {
    auto state = state_.lock();
    for (const BlockRef& block : written) state->publish(block);
    before = state->published_end;
    state->published_end = state->active->end = written.back().end;
  }
  counters_.lock()->appended_bytes += written.back().end - before;
}

Status Impl::make_room(const Options& options, uint64_t bytes) {
  for (;;) {
    bool active_only;
    {
      auto state = state_.lock();
      if (state->size_bytes() + bytes <= options.max_size) return Ok{};
      active_only = state->segments.size() <= 1;
    }
    if (remove_settled()) continue;
    if (options.on_full == OnFull::kReject || (active_only && active_blocks_ == 0)) {
      const auto [name, pending] = state_.lock()->slowest_destination();
      std::string message = fmt::format("journal.max_size ({}) reached", human(options.max_size));
      if (!name.empty()) {
        message += fmt::format(": {} pending for destination \"{}\"", human(pending), name);
      }
      return our_error(Code::kLimited, std::move(message));
    }
    if (active_only) {
      if (auto s = roll(); !s) {
        fail(s.error());
        return refusal();
      }
    }
    {
      auto state = state_.lock();
      state->drop(*state->segments.front());
    }
    log::warn("journal.max_size reached: dropping the oldest segment",
              {{"max_size", human(options.max_size)}});
    if (auto s = write_checkpoint(); !s) return s;
    if (auto s = remove_oldest(); !s) return s;
  }
}

Status Impl::sync_file() {
  const int64_t start = clock_.monotonic_ns();
  auto status = file_->sync();
  last_sync_ns_ = clock_.monotonic_ns();
  const SyncTimer timer = *sync_timer_.lock();
  if (timer) timer(static_cast<double>(last_sync_ns_ - start) / 1e9);
  if (status.ok()) unsynced_ = false;
  return status;
}

// --- segments

Status Impl::roll() {
  if (auto s = seal(); !s) return s;
  return create_segment(false);
}

Status Impl::seal() {
  const Sync sync = options_.lock()->sync;
  SegmentPtr segment;
  std::string footer;
  {
    auto state = state_.lock();
    segment = state->active;
    TG_CHECK(segment != nullptr);
    if (active_blocks_ > 0) {
      std::vector<FooterStream> streams;
      for (StreamId id : segment->streams) {
        State::Stream& stream = *state->stream(id);
        streams.push_back({id, stream.key, &stream.extents.back()});
      }
      footer = encode_footer(streams, segment->base, segment->end, clock_.now_ms());
    } else {
      state->retire_active();
    }
  }
  if (footer.empty()) {
    file_ = nullptr;
    return Ok{};
  }
  const std::string_view pieces[] = {footer};
  if (auto s = file_->append(pieces); !s) return s;
  if (sync != Sync::kNever) {
    if (auto s = sync_file(); !s) return s;
  }
  if (reserved_) {
    // Gives back what was reserved beyond the end; the file is complete without it.
    if (auto s = file_->truncate(segment->end - segment->base + footer.size()); !s) return s;
  }
  file_ = nullptr;
  active_blocks_ = 0;
  auto state = state_.lock();
  segment->end += footer.size();
  segment->has_footer = true;
  state->published_end = segment->end;
  state->retire_active();
  return Ok{};
}

Status Impl::create_segment(bool reserve) {
  Position base = 0;
  std::string path;
  {
    auto state = state_.lock();
    TG_CHECK(state->active == nullptr);
    base = state->published_end;
    path = path_of(segment_name(base));
  }
  const auto build = [&]() -> Result<std::shared_ptr<fs::File>> {
    auto opened = fs_.open_append(path);
    if (!opened) return opened.error();
    std::shared_ptr<fs::File> file = std::move(opened).value();
    // Left over from an attempt that failed, it holds nothing that was acknowledged.
    if (auto s = file->truncate(0); !s) return s.error();
    if (reserve) {
      if (auto s = file->reserve(0, kReopenReserve); !s) return s.error();
    }
    const std::string header = encode(SegmentHeader{format::kVersion, base, clock_.now_ms()});
    const std::string_view pieces[] = {header};
    if (auto s = file->append(pieces); !s) return s.error();
    if (auto s = file->sync(); !s) return s.error();
    if (auto s = fs_.sync_directory(path_); !s) return s.error();
    return file;
  };
  auto file = build();
  if (!file) {
    // Best effort: recovery knows an empty segment when it sees one.
    if (auto s = fs_.remove(path); !s) {
      log::debug("cannot remove a half-made segment", {{"error", s.error().message}});
    }
    return file.error();
  }
  file_ = std::move(file).value();
  described_.clear();
  described_bytes_ = 0;
  active_blocks_ = 0;
  reserved_ = reserve;
  unsynced_ = false;
  auto segment = std::make_shared<Segment>(base, path);
  segment->end = base + format::kSegmentHeaderSize;
  segment->file = file_;
  {
    auto state = state_.lock();
    state->segments.push_back(segment);
    state->active = segment;
    state->published_end = segment->end;
  }
  remember_open(segment);
  return Ok{};
}

// --- failure and healing

Error Impl::refusal() const {
  return our_error(Code::kUnavailable, "the journal cannot be written: " + problem_.lock()->text);
}

void Impl::fail(const Error& error) {
  {
    auto problem = problem_.lock();
    if (problem->text != error.message) {
      log::error("the journal cannot be written; refusing writes until a new segment can be opened",
                 {{"error", error.message}});
    }
    problem->text = error.message;
  }
  healthy_ = false;
  next_reopen_ns_ = clock_.monotonic_ns() + ns(options_.lock()->reopen_interval);
  if (!file_) return;
  // After a failed write or fsync nobody knows what the file holds beyond the published end, and
  // a later fsync of it proves nothing. The segment is abandoned there; its successor starts at
  // that very position, by which recovery knows where to stop, even if this truncate fails.
  SegmentPtr segment;
  {
    auto state = state_.lock();
    segment = state->active;
  }
  if (auto s = file_->truncate(segment->end - segment->base); !s) {
    log::warn("cannot cut off a failed write; it will be ignored", {{"error", s.error().message}});
  }
  file_ = nullptr;
  active_blocks_ = 0;
  unsynced_ = false;
  // Even without blocks its file stays for now: its base is where its predecessor ends.
  state_.lock()->retire_active();
}

void Impl::try_reopen() {
  Status status = Ok{};
  do {
    // The first checkpoint comes before the first segment: see recovery.cc.
    const bool needs_checkpoint = !checkpoint_exists_ || state_.lock()->destinations_changed;
    status = needs_checkpoint ? write_checkpoint() : Status(Ok{});
    if (status.ok()) status = create_segment(true);
    // What every destination has may go before its time, when that makes room.
  } while (!status.ok() && is_disk_full(status.error()) && remove_settled());
  if (!status) {
    fail(status.error());
    return;
  }
  problem_.lock()->text.clear();
  healthy_ = true;
  log::info("the journal can be written again");
}

// --- checkpoints and removal

Status Impl::write_checkpoint() {
  Checkpoint staged;
  uint64_t version = 0;
  {
    auto state = state_.lock();
    staged = state->stage();
    version = state->version;
  }
  if (auto s = fs::replace_file(fs_, path_of(format::kCheckpointName), encode(staged)); !s) {
    counters_.lock()->checkpoint_failures++;
    return s;
  }
  state_.lock()->commit_staged();
  written_version_ = version;
  checkpoint_exists_ = true;
  return Ok{};
}

void Impl::remove_expired() {
  const int64_t retention_ms = options_.lock()->retention.count();
  for (;;) {
    {
      auto state = state_.lock();
      if (state->segments.empty() || state->segments.front() == state->active) return;
      const Segment& oldest = *state->segments.front();
      if (oldest.newest_ms + retention_ms > clock_.now_ms()) return;
      if (!state->settled(oldest, false)) return;
    }
    if (!remove_settled()) return;
  }
}

bool Impl::remove_settled() {
  bool durably = false;
  {
    auto state = state_.lock();
    if (state->segments.empty() || state->segments.front() == state->active) return false;
    const Segment& oldest = *state->segments.front();
    if (!state->settled(oldest, false)) return false;
    durably = state->settled(oldest, true);
  }
  // Cursors first: after a crash, an older cursor would miss the segment and call it lost.
  if (!durably) {
    auto s = write_checkpoint();
    if (!s && !is_disk_full(s.error())) {
      log::warn("cannot write the journal's cursors; keeping a delivered segment",
                {{"error", s.error().message}});
      return false;
    }
    // With the disk full the cursors may not fit until something is removed: what every
    // destination has is the thing to remove, and a wrong count the lesser evil.
  }
  if (auto s = remove_oldest(); !s) {
    log::warn("cannot remove a segment of the journal", {{"error", s.error().message}});
    return false;
  }
  return true;
}

Status Impl::remove_oldest() {
  std::string path;
  {
    auto state = state_.lock();
    TG_CHECK(state->segments.front() != state->active);
    path = state->segments.front()->path;
  }
  if (auto s = fs_.remove(path); !s) return s;
  state_.lock()->forget_oldest_segment();
  return Ok{};
}

}  // namespace tollgate::journal
