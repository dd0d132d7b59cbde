#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "journal/impl.h"
#include "journal/limits.h"

namespace tollgate::journal {
namespace {

constexpr uint64_t kBatchBytes = 8 << 20;     // of one gather-write
constexpr uint64_t kReopenReserve = 1 << 20;  // a new segment after a failure must have this
constexpr size_t kCopiedElements = 1024;      // up to so many bytes a copy is cheaper than an iovec
constexpr size_t kKeptAssembly = 1 << 20;     // of memory between commits
constexpr size_t kManySegments = 512;         // beyond it, age alone rolls only large ones
constexpr int64_t kNsPerMs = 1'000'000;

int64_t ns(std::chrono::milliseconds t) { return t.count() * kNsPerMs; }

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
      auto chores = chores_.lock();
      for (auto& promise : work.checkpoints) chores->checkpoints.push_back(std::move(promise));
      wake_housekeeper_.notify_one();
    }
    if (work.stop) break;
  }
  if (file_) {
    if (auto s = seal(); !s) fail(s.error());
  }
  std::vector<std::promise<Status>> late;
  {
    auto queue = queue_.lock();
    queue->stopped = true;
    late.swap(queue->checkpoints);
  }
  // The housekeeper's last checkpoint answers these, too.
  auto chores = chores_.lock();
  for (auto& promise : late) chores->checkpoints.push_back(std::move(promise));
  chores->stopping = true;
  wake_housekeeper_.notify_one();
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
}

// --- appending

void Impl::commit(std::vector<Request>& batch) {
  const Options options = *options_.lock();
  if (healthy_ && state_.lock()->destinations_changed) {
    auto house = house_.lock();
    // The housekeeper may have been at it.
    if (state_.lock()->destinations_changed) {
      if (auto s = write_checkpoint(*house); !s) fail(s.error());
    }
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
  Status status = Ok{};
  if (active_blocks_ > 0 && used + planned.bytes > segment_limit(options)) status = roll();
  if (status.ok()) status = write(admitted);
  // (A new name is made durable even if `sync` was another when the segment was rolled.)
  if (status.ok() && (options.sync == Sync::kAlways || name_unsynced_)) status = sync_commit();
  if (!status) {
    fail(status.error());
    for (Request* request : admitted) request->done(refusal());
    return;
  }
  unsynced_ = options.sync != Sync::kAlways;
  publish(admitted);
  for (Request* request : admitted) request->done(Ok{});
  want_spare(options);
  if (assembly_.written.empty()) return;
  std::sort(assembly_.changed.begin(), assembly_.changed.end());
  const auto observers = *observers_.lock();
  for (const Observer& observer : *observers) observer(assembly_.changed);
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
  const uint64_t footers = footer_size(described_ + next.blocks, described_bytes_ + next.key_bytes,
                                       active_blocks_ + next.blocks) +
                           footer_size(0, 0, 0) + format::kSegmentHeaderSize;
  if (auto s = make_room(options, next.bytes + footers); !s) {
    request.done(s.error());
    return false;
  }
  planned = next;
  return true;
}

// Hot: once a block, and most of it is the checksum. Budget 0.3 us: BM_JournalTenants.
Status Impl::write(std::vector<Request*>& batch) {
  Assembly& out = assembly_;
  out.clear();
  commits_++;
  Position at = 0;
  size_t room = 0;  // of descriptors, headers and small elements
  {
    auto state = state_.lock();
    TG_CHECK(state->active != nullptr && file_ != nullptr);
    at = state->published_end;
    for (const Request* request : batch) {
      for (const NewBlock& block : request->blocks) {
        State::Stream* stream = state->stream(block.stream);
        out.streams.push_back(stream);
        room += format::kRecordHeaderSize;
        if (block.elements.size() <= kCopiedElements) room += block.elements.size();
        State::Stream::Writing& writing = stream->writing;
        if (writing.commit == commits_) continue;
        writing.commit = commits_;
        writing.samples = stream->accepted;
        out.changed.push_back(block.stream);
        if (writing.described == segment_number_) continue;
        room += format::kRecordHeaderSize + encoded_size(stream->key);
      }
    }
  }
  // The pieces are written with one call: runs of `bytes`, and large elements where they lie.
  char* to = out.bytes.grow(room);
  const char* run = to;
  const auto add = [&](const RecordHeader& header, std::string_view payload) {
    encode(header, at, to);
    to += format::kRecordHeaderSize;
    at += format::kRecordHeaderSize + payload.size();
    if (payload.size() <= kCopiedElements) {
      std::memcpy(to, payload.data(), payload.size());
      to += payload.size();
      return;
    }
    out.pieces.emplace_back(run, to - run);
    out.pieces.push_back(payload);
    run = to;
  };
  std::deque<std::string> keys;  // those too long to be copied: their addresses stay
  const int64_t now_ms = clock_.now_ms();
  auto stream = out.streams.begin();
  for (const Request* request : batch) {
    for (const NewBlock& block : request->blocks) {
      const State::Stream& known = **stream;
      State::Stream::Writing& writing = (*stream++)->writing;
      if (writing.described != segment_number_) {
        writing.described = segment_number_;
        const std::string& key = keys.emplace_back(encode(known.key));
        RecordHeader header;
        header.type = format::RecordType::kStream;
        header.stream = block.stream;
        header.payload_length = static_cast<uint32_t>(key.size());
        header.appended_ms = now_ms;
        header.payload_crc = payload_crc(key, at);
        add(header, key);
        described_++;
        described_bytes_ += key.size();
      }
      RecordHeader header;
      header.type = format::RecordType::kBlock;
      header.stream = block.stream;
      header.payload_length = static_cast<uint32_t>(block.elements.size());
      header.raw_length = block.raw_length;
      header.samples = block.samples;
      header.exemplars = block.exemplars;
      header.series = block.series;
      header.samples_before = writing.samples;
      header.min_timestamp = block.min_timestamp;
      header.max_timestamp = block.max_timestamp;
      header.appended_ms = now_ms;
      header.payload_crc = payload_crc(block.elements.view(), at);
      out.written.push_back(block_ref(header, at));
      add(header, block.elements.view());
      writing.samples += block.samples;
    }
  }
  if (to > run) out.pieces.emplace_back(run, to - run);
  if (out.pieces.empty()) return Ok{};
  return file_->append(out.pieces);
}

void Impl::Assembly::clear() {
  bytes.clear();
  bytes.release_above(kKeptAssembly);
  pieces.clear();
  written.clear();
  streams.clear();
  changed.clear();
}

void Impl::publish(std::vector<Request*>& batch) {
  const std::vector<BlockRef>& written = assembly_.written;
  if (written.empty()) return;
  if (!state_.lock()->destinations.empty()) {
    auto block = written.begin();
    auto tail = tail_.lock();
    for (Request* request : batch) {
      for (NewBlock& b : request->blocks) tail->push((block++)->position, std::move(b.elements));
    }
  }
  if (active_blocks_ == 0) active_since_ns_ = clock_.monotonic_ns();
  active_blocks_ += written.size();
  Position before;
  {
    auto state = state_.lock();
    for (const BlockRef& block : written) state->publish(block);
    before = state->published_end;
    state->extend_active(written.back().end);
  }
  counters_.lock()->appended_bytes += written.back().end - before;
}

Status Impl::make_room(const Options& options, uint64_t bytes) {
  const auto fits = [&] { return state_.lock()->size_bytes() + bytes <= options.max_size; };
  if (fits()) return Ok{};
  auto house = house_.lock();
  for (;;) {
    if (fits()) return Ok{};
    const bool active_only = state_.lock()->segments.size() <= 1;
    if (remove_settled(*house)) continue;
    if (options.on_full == OnFull::kReject || (active_only && active_blocks_ == 0)) {
      const auto [name, pending] = state_.lock()->slowest_destination();
      std::string message = fmt::format("journal.max_size ({}) reached", human(options.max_size));
      if (!name.empty()) {
        message += fmt::format(": {} pending for destination \"{}\"", human(pending), name);
      }
      return our_error(Code::kLimited, std::move(message));
    }
    if (active_only) {
      if (auto s = roll(&*house); !s) {
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
    if (auto s = write_checkpoint(*house); !s) return s;
    if (auto s = remove_oldest(*house); !s) return s;
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

// What a commit needs to be durable: its bytes, and the name of the file if that is new. In this
// order the second is nearly free on ext4, where the first has committed both.
Status Impl::sync_commit() {
  if (auto s = sync_file(); !s) return s;
  if (!name_unsynced_) return Ok{};
  if (auto s = fs_.sync_directory(path_); !s) return s;
  name_unsynced_ = false;
  return Ok{};
}

// --- segments

Status Impl::roll(House* house) {
  if (auto s = seal(house); !s) return s;
  return create_segment(Creation::kNext);
}

// Ends the active segment. Its footer is the housekeeper's; here only its size is settled, so that
// the next segment can begin behind it.
Status Impl::seal(House* house) {
  const Sync sync = options_.lock()->sync;
  // The footer comes later, but nobody will sync the blocks for themselves any more.
  // (A reload may have changed `sync` since they were written.)
  if (active_blocks_ > 0 && sync != Sync::kNever && unsynced_) {
    if (auto s = sync_file(); !s) return s;
  }
  Sealed sealed;
  {
    auto state = state_.lock();
    TG_CHECK(state->active != nullptr);
    sealed = {state->active, std::move(file_), state->active->end};
    file_ = nullptr;
    if (active_blocks_ == 0) {
      state->retire_active();
      return Ok{};
    }
    state->extend_active(sealed.position + state->active_footer_size());
    state->active = nullptr;
  }
  active_blocks_ = 0;
  if (unsealed_++ >= kMaxUnsealed) {
    // It is far behind.
    if (house != nullptr) {
      finish_seal(sealed, *house);
    } else {
      finish_seal(sealed, *house_.lock());
    }
    return Ok{};
  }
  chores_.lock()->sealed.push_back(std::move(sealed));
  wake_housekeeper_.notify_one();
  return Ok{};
}

Status Impl::create_segment(Creation why) {
  Position base = 0;
  std::string path;
  {
    auto state = state_.lock();
    TG_CHECK(state->active == nullptr);
    base = state->published_end;
    path = path_of(segment_name(base));
  }
  auto file = build_segment(why, base, path);
  if (!file) {
    // Best effort: recovery knows an empty segment when it sees one.
    if (auto s = fs_.remove(path); !s) {
      log::debug("cannot remove a half-made segment", {{"error", s.error().message}});
    }
    return file.error();
  }
  file_ = std::move(file).value();
  segment_number_++;
  described_ = 0;
  described_bytes_ = 0;
  active_blocks_ = 0;
  unsynced_ = false;
  auto segment = std::make_shared<Segment>(base, path);
  segment->end = base + format::kSegmentHeaderSize;
  segment->file = file_;
  {
    auto state = state_.lock();
    state->activate(segment);
  }
  remember_open(segment);
  return Ok{};
}

// The file of a segment with its header. If the housekeeper has one ready it is only renamed;
// under `always` name and header then become durable with the first commit, which nobody is told
// of before. Otherwise they are durable on return.
Result<std::shared_ptr<fs::File>> Impl::build_segment(Creation why, Position base,
                                                      const std::string& path) {
  const Options options = *options_.lock();
  bool prepared = false;
  if (why == Creation::kNext) prepared = std::exchange(spare_.lock()->ready, false);
  if (prepared) {
    if (auto s = fs_.rename(path_of(format::kSpareName), path); !s) return s.error();
  }
  auto opened = fs_.open_append(path);
  if (!opened) return opened.error();
  std::shared_ptr<fs::File> file = std::move(opened).value();
  if (!prepared) {
    // Left over from an attempt that failed, it holds nothing that was acknowledged.
    if (auto s = file->truncate(0); !s) return s.error();
  }
  if (why == Creation::kHealing) {
    if (auto s = file->reserve(0, kReopenReserve); !s) return s.error();
  }
  const std::string header = encode(SegmentHeader{format::kVersion, base, clock_.now_ms()});
  const std::string_view pieces[] = {header};
  if (auto s = file->append(pieces); !s) return s.error();
  name_unsynced_ = prepared && options.sync == Sync::kAlways;
  if (name_unsynced_) return file;
  if (auto s = file->sync(); !s) return s.error();
  if (auto s = fs_.sync_directory(path_); !s) return s.error();
  return file;
}

// Asks for the next segment's file when half of this one is used.
void Impl::want_spare(const Options& options) {
  {
    auto state = state_.lock();
    if (!state->active || state->active->end - state->active->base < segment_limit(options) / 2) {
      return;
    }
  }
  {
    auto spare = spare_.lock();
    if (spare->ready || spare->wanted) return;
    spare->wanted = true;
  }
  chores_.lock()->prepare = true;
  wake_housekeeper_.notify_one();
}

// Gives back what the spare file holds of the disk.
void Impl::discard_spare() {
  if (!std::exchange(spare_.lock()->ready, false)) return;
  if (auto s = fs_.remove(path_of(format::kSpareName)); !s) {
    log::debug("cannot remove the spare segment", {{"error", s.error().message}});
  }
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
  discard_spare();
  next_reopen_ns_ = clock_.monotonic_ns() + ns(options_.lock()->reopen_interval);
  if (!file_) return;
  SegmentPtr segment;
  {
    auto state = state_.lock();
    segment = state->active;
  }
  const bool unborn = name_unsynced_;
  if (!unborn) {
    // After a failed write or fsync nobody knows what the file holds beyond the published end, and
    // a later fsync of it proves nothing. The segment is abandoned there; its successor starts at
    // that very position, by which recovery knows where to stop, even if this truncate fails.
    if (auto s = file_->truncate(segment->end - segment->base); !s) {
      log::warn("cannot cut off a failed write; it will be ignored",
                {{"error", s.error().message}});
    }
  } else if (auto s = fs_.remove(segment->path); !s) {
    // Neither name nor header were durable yet: the next attempt takes its place and its name.
    log::warn("cannot remove a segment that failed; it will be written anew",
              {{"error", s.error().message}});
  }
  file_ = nullptr;
  active_blocks_ = 0;
  unsynced_ = name_unsynced_ = false;
  auto state = state_.lock();
  // Even without blocks its file stays otherwise: its base is where its predecessor ends.
  unborn ? state->disown_active() : state->retire_active();
}

void Impl::try_reopen() {
  Status status = Ok{};
  {
    auto house = house_.lock();
    do {
      // The first checkpoint comes before the first segment: see recovery.cc.
      const bool needs_checkpoint =
          !house->checkpoint_exists || state_.lock()->destinations_changed;
      status = needs_checkpoint ? write_checkpoint(*house) : Status(Ok{});
      if (status.ok()) status = create_segment(Creation::kHealing);
      // What every destination has may go before its time, when that makes room.
    } while (!status.ok() && is_disk_full(status.error()) && remove_settled(*house));
  }
  if (!status) {
    fail(status.error());
    return;
  }
  problem_.lock()->text.clear();
  healthy_ = true;
  log::info("the journal can be written again");
}

}  // namespace tollgate::journal
