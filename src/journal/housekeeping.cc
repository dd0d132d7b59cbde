#include <algorithm>

#include "base/log.h"
#include "journal/impl.h"
#include "journal/limits.h"

// The housekeeper does what the journal owes the disk but no sender waits for: cursors, the footers
// of complete segments, the removal of segments, the file of the next segment.
namespace tollgate::journal {
namespace {

// A spare takes its space in advance only if the disk has this many times as much left: near its
// end, cursors and the active segment come first.
constexpr uint64_t kReserveFreeFactor = 4;

}  // namespace

void Impl::keep_house() {
  for (;;) {
    Chores chores;
    {
      auto asked = chores_.lock();
      wake_housekeeper_.wait_for(asked.raw_lock(), kPoll, [&] { return !asked->empty(); });
      std::swap(chores, *asked);
    }
    do_chores(chores);
    if (chores.stopping) break;
  }
  discard_spare();
}

void Impl::do_chores(Chores& chores) {
  for (const Sealed& sealed : chores.sealed) finish_seal(sealed, *house_.lock());
  if (chores.prepare && !chores.stopping) prepare_spare();
  if (chores.checkpoints.empty() && !chores.stopping) {
    on_schedule();
    return;
  }
  Status written = Ok{};
  {
    auto house = house_.lock();
    written = write_checkpoint(*house);
    if (!chores.stopping) remove_expired(*house);
  }
  if (chores.stopping && !written) {
    log::error("cannot write the journal's cursors; they stay as of the last checkpoint",
               {{"error", written.error().message}});
  }
  // Last, so that whoever asked sees all that it brought about.
  for (auto& promise : chores.checkpoints) promise.set_value(written);
}

void Impl::on_schedule() {
  const int64_t now = clock_.monotonic_ns();
  const auto interval = std::chrono::nanoseconds(options_.lock()->checkpoint_interval).count();
  if (now - last_checkpoint_ns_ >= interval) {
    last_checkpoint_ns_ = now;
    auto house = house_.lock();
    if (state_.lock()->version != house->written_version) {
      if (auto s = write_checkpoint(*house); !s) {
        log::warn("cannot write the journal's cursors; will try again",
                  {{"error", s.error().message}});
      }
    }
  }
  if (now - last_expiry_ns_ >= interval) {
    last_expiry_ns_ = now;
    auto house = house_.lock();
    remove_expired(*house);
  }
}

// The house keeps the segment from being removed meanwhile; its rows do not change any more.
void Impl::finish_seal(const Sealed& sealed, House&) {
  const SegmentPtr& segment = sealed.segment;
  std::vector<FooterStream> streams;
  {
    auto state = state_.lock();
    if (state->segment_of(segment->base) != segment) {  // dropped to make room
      unsealed_--;
      return;
    }
    streams = state->footer_of(*segment);
  }
  const auto finish = [&]() -> Status {
    const std::string footer =
        encode_footer(streams, segment->base, sealed.position, clock_.now_ms());
    TG_CHECK(sealed.position + footer.size() == segment->end);
    const std::string_view pieces[] = {footer};
    if (auto s = sealed.file->append(pieces); !s) return s;
    // Gives back what was reserved beyond the end.
    if (auto s = sealed.file->truncate(segment->end - segment->base); !s) return s;
    return options_.lock()->sync == Sync::kNever ? Status(Ok{}) : sealed.file->sync();
  };
  auto finished = finish();
  unsealed_--;
  state_.lock()->retire(*segment, finished.ok() ? &streams : nullptr);
  if (finished.ok()) return;
  // No block depends on it: its rows are found by walking, and the next start writes it again.
  log::warn("cannot finish a sealed segment of the journal; its index is rebuilt when needed",
            {{"segment", segment->path}, {"error", finished.error().message}});
  if (auto s = sealed.file->truncate(sealed.position - segment->base); !s) {
    log::warn("cannot cut off what there is of it", {{"error", s.error().message}});
  }
}

void Impl::prepare_spare() {
  const Options options = *options_.lock();
  const uint64_t size = segment_limit(options);
  {
    // Room for a whole segment, so that no commit has to make it.
    auto house = house_.lock();
    const auto full = [&] { return state_.lock()->size_bytes() + size > options.max_size; };
    while (full() && remove_settled(*house)) {
    }
  }
  const std::string path = path_of(format::kSpareName);
  const auto prepare = [&]() -> Status {
    auto file = fs_.open_append(path);
    if (!file) return file.error();
    if (auto s = (*file)->truncate(0); !s) return s;
    auto room = fs_.free_bytes(path_);
    if (room.ok() && *room / kReserveFreeFactor >= size) {
      if (auto s = (*file)->reserve(0, size); !s) return s;
    }
    if (auto s = (*file)->sync(); !s) return s;
    return fs_.sync_directory(path_);
  };
  auto prepared = prepare();
  if (!prepared) {
    // Then the journal's thread will make its own, and fail itself if it has to.
    log::debug("cannot prepare the next segment", {{"error", prepared.error().message}});
    if (auto s = fs_.remove(path); !s) {
      log::debug("cannot remove the spare segment", {{"error", s.error().message}});
    }
  }
  auto spare = spare_.lock();
  spare->wanted = false;
  spare->ready = prepared.ok();
}

Status Impl::write_checkpoint(House& house) {
  uint64_t version = 0;
  {
    auto state = state_.lock();
    state->stage(house.image);
    version = state->version;
  }
  if (auto s = fs::replace_file(fs_, path_of(format::kCheckpointName), encode(house.image)); !s) {
    counters_.lock()->checkpoint_failures++;
    return s;
  }
  state_.lock()->commit_staged();
  house.written_version = version;
  house.checkpoint_exists = true;
  return Ok{};
}

void Impl::remove_expired(House& house) {
  const int64_t retention_ms = options_.lock()->retention.count();
  for (;;) {
    {
      auto state = state_.lock();
      if (state->segments.empty() || state->segments.front() == state->active) return;
      const Segment& oldest = *state->segments.front();
      if (oldest.newest_ms + retention_ms > clock_.now_ms()) return;
      if (!state->settled(oldest, false)) return;
    }
    if (!remove_settled(house)) return;
  }
}

bool Impl::remove_settled(House& house) {
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
    auto s = write_checkpoint(house);
    if (!s && !is_disk_full(s.error())) {
      log::warn("cannot write the journal's cursors; keeping a delivered segment",
                {{"error", s.error().message}});
      return false;
    }
    // With the disk full the cursors may not fit until something is removed: what every
    // destination has is the thing to remove, and a wrong count the lesser evil.
  }
  if (auto s = remove_oldest(house); !s) {
    log::warn("cannot remove a segment of the journal", {{"error", s.error().message}});
    return false;
  }
  return true;
}

Status Impl::remove_oldest(House&) {
  SegmentPtr oldest;
  {
    auto state = state_.lock();
    TG_CHECK(state->segments.front() != state->active);
    oldest = state->segments.front();
  }
  if (auto s = fs_.remove(oldest->path); !s) return s;
  auto state = state_.lock();
  state->forget_oldest_segment();
  tail_.lock()->drop_before(oldest->end);
  return Ok{};
}

}  // namespace tollgate::journal
