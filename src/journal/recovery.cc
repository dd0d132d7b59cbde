#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "journal/impl.h"
#include "journal/limits.h"

namespace tollgate::journal {

Status Impl::recover() {
  if (auto s = fs_.create_directories(path_); !s) return s;
  auto lock = fs_.lock(path_of(format::kLockName));
  if (!lock) {
    return our_error(Code::kUnavailable,
                     fmt::format("cannot use the journal directory {}: {} (is another tollgate "
                                 "running on it?)",
                                 path_, lock.error().message));
  }
  lock_ = std::move(lock).value();
  auto names = fs_.list(path_);
  if (!names) return names.error();
  bool lost = false;
  if (auto s = load_checkpoint(*names, lost); !s) return s;
  if (std::find(names->begin(), names->end(), format::kSpareName) != names->end()) {
    if (auto s = fs_.remove(path_of(format::kSpareName)); !s) return s;
  }

  std::vector<Position> bases;
  for (const std::string& name : *names) {
    if (const auto base = parse_segment_name(name)) bases.push_back(*base);
  }
  std::sort(bases.begin(), bases.end());
  for (size_t i = 0; i < bases.size(); i++) {
    std::optional<Position> successor;
    if (i + 1 < bases.size()) successor = bases[i + 1];
    const bool recent = bases.size() - i <= kMaxUnsealed + 1;
    if (auto s = load_segment(bases[i], successor, recent); !s) return s;
  }

  bool any_blocks = false;
  {
    auto state = state_.lock();
    for (StreamId id = 0; id < state->end_stream(); id++) {
      const State::Stream* stream = state->stream(id);
      any_blocks |= stream != nullptr && !stream->extents.empty();
    }
    state->finish_recovery([&](const Extent& extent, StreamId id) -> std::shared_ptr<const Rows> {
      if (auto rows = state->cache.find(extent.segment->base, id)) return rows;
      auto file = fs_.open_read(extent.segment->path);
      if (!file) return nullptr;
      auto rows = load_rows(**file, extent, id, extent.segment->has_footer, extent.segment->base,
                            extent.segment->end);
      return rows ? std::move(rows).value() : nullptr;
    });
    // A journal writes its first checkpoint before its first segment; blocks without one mean
    // that the cursors are lost.
    if (lost && any_blocks) state->destinations_lost = true;
  }
  if (lost && any_blocks) {
    counters_.lock()->corrupt_records++;
    log::error(
        "the journal's cursors are lost: every destination gets all that the journal holds again",
        {{"path", path_of(format::kCheckpointName)}});
  }
  auto house = house_.lock();
  Status status = lost ? write_checkpoint(*house) : Status(Ok{});
  if (status.ok()) status = create_segment(Creation::kFirst);
  if (!status) {
    // With a full disk the gateway must start all the same: delivering is what frees the disk.
    if (!status.error().message.starts_with("no space left")) return status;
    fail(status.error());
  }
  return Ok{};
}

Status Impl::load_checkpoint(const std::vector<std::string>& names, bool& lost) {
  if (std::find(names.begin(), names.end(), format::kCheckpointName) == names.end()) {
    lost = true;
    return Ok{};
  }
  auto bytes = fs::read_file(fs_, path_of(format::kCheckpointName));
  if (!bytes) return bytes.error();
  const auto checkpoint = decode_checkpoint(*bytes);
  lost = !checkpoint;
  if (!checkpoint) return Ok{};
  auto house = house_.lock();
  auto state = state_.lock();
  state->restore(*checkpoint);
  house->written_version = state->version;
  house->checkpoint_exists = true;
  return Ok{};
}

Status Impl::load_segment(Position base, std::optional<Position> successor, bool recent) {
  const std::string path = path_of(segment_name(base));
  const bool last = !successor;
  auto opened = fs_.open_append(path);
  if (!opened) return opened.error();
  fs::File& file = **opened;
  auto size = file.size();
  if (!size) return size.error();
  Position limit = base + *size;
  if (!last && limit > *successor) {
    // Bytes behind the successor's base belong to a write that failed. They go now, because the
    // successor may go before this segment does, and then nobody would know.
    limit = *successor;
    if (auto s = file.truncate(limit - base); !s) return s;
    if (auto s = file.sync(); !s) return s;
  }

  std::string header_bytes(format::kSegmentHeaderSize, '\0');
  auto n = file.read_at(0, header_bytes.data(), header_bytes.size());
  if (!n) return n.error();
  const auto header = decode_segment_header({header_bytes.data(), *n});
  if (header && header->version != format::kVersion) {
    return our_error(Code::kUnavailable,
                     fmt::format("{} has format version {}, this tollgate knows {}", path,
                                 header->version, format::kVersion));
  }

  auto segment = std::make_shared<Segment>(base, path);
  auto footer = read_footer(file, base, limit);
  if (!footer) return footer.error();
  if (*footer) {
    // After kill -9 we may see what the disk does not have yet.
    if (recent) {
      if (auto s = file.sync(); !s) return s;
    }
    segment->has_footer = true;
    segment->end = limit;
    return accept_segment(segment, **footer);
  }
  auto scanned = scan_segment(file, base, limit, last ? Payloads::kVerify : Payloads::kTrust,
                              [&](StreamId id) -> std::optional<StreamKey> {
                                auto state = state_.lock();
                                const State::Stream* stream = state->stream(id);
                                if (stream == nullptr) return std::nullopt;
                                return stream->key;
                              });
  if (!scanned) return scanned.error();
  SegmentIndex& index = *scanned;
  const bool empty = index.streams.empty();
  const bool unsealed = !last && footer_is_missing(index, *successor);
  {
    auto counters = counters_.lock();
    counters->corrupt_records += index.scan.damaged_records + index.unknown_stream_blocks;
    counters->corrupt_bytes += index.scan.damaged_bytes + index.unknown_stream_bytes;
    if (last) {
      counters->torn_bytes += header || !empty ? index.scan.tail_bytes : *size;
    } else if (unsealed) {
      counters->torn_bytes += index.scan.tail_bytes;
    } else if (index.scan.tail_bytes > 0) {
      counters->corrupt_records++;
      counters->corrupt_bytes += index.scan.tail_bytes;
    }
    if (!header && !(last && empty)) {
      counters->corrupt_records++;
      counters->corrupt_bytes += format::kSegmentHeaderSize;
    }
    if (!last && !unsealed && *successor > limit) {
      counters->corrupt_bytes += *successor - limit;
    }
  }
  if (last && empty) {
    // Created and never used, or torn while it was created.
    auto state = state_.lock();
    state->published_end = std::max(state->published_end, base);
    return fs_.remove(path);
  }
  segment->end = last || unsealed ? index.scan.end : limit;
  if (last || unsealed) seal_recovered(segment, file, index);
  return accept_segment(segment, index);
}

void Impl::seal_recovered(const SegmentPtr& segment, fs::File& file, SegmentIndex& index) {
  // If any of this fails, nothing is lost: the next segment starts at `end`, and this one will be
  // walked again at the next start.
  const auto seal = [&]() -> Status {
    if (auto s = file.truncate(segment->end - segment->base); !s) return s;
    const std::string footer = encode_footer(index, segment->base, segment->end, clock_.now_ms());
    const std::string_view pieces[] = {footer};
    if (auto s = file.append(pieces); !s) return s;
    if (auto s = file.sync(); !s) return s;
    segment->end += footer.size();
    segment->has_footer = true;
    return Ok{};
  };
  auto sealed = seal();
  if (sealed.ok()) return;
  log::warn("cannot write the index of a recovered segment", {{"error", sealed.error().message}});
  // A part of the footer must not stay: the next segment may start behind `end`, where the last
  // checkpoint ended, and this would be damage then.
  if (auto s = file.truncate(segment->end - segment->base); !s) {
    log::warn("cannot cut it off either", {{"error", s.error().message}});
  }
}

Status Impl::accept_segment(const SegmentPtr& segment, SegmentIndex& index) {
  auto state = state_.lock();
  for (auto it = index.streams.begin(); it != index.streams.end();) {
    if (state->restore(it->first, it->second.key)) {
      ++it;
      continue;
    }
    // The id stands for somebody else: giving the blocks to either would mix two tenants.
    log::error("a journal segment contradicts the known streams; its blocks of one are skipped",
               {{"segment", segment->path}, {"stream", it->first}});
    auto counters = counters_.lock();
    counters->corrupt_records += it->second.extent.blocks;
    counters->corrupt_bytes += it->second.extent.bytes;
    it = index.streams.erase(it);
  }
  state->add_segment(segment, index);
  return Ok{};
}

}  // namespace tollgate::journal
