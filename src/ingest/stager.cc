#include "ingest/stager.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>

#include "base/crc32c.h"

namespace tollgate::ingest {
namespace {

constexpr size_t kMaxReplicaBytes = 256;
constexpr size_t kSpareBuffers = 16;
constexpr size_t kSpareBytes = 256 * 1024;

}  // namespace

Stager::Stager(net::Loop& loop, journal::Journal& journal, Shards& shards, InflightBytes& inflight,
               const Announce& announce)
    : loop_(loop), journal_(journal), shards_(shards), inflight_(inflight), announce_(announce) {}

Stager::~Stager() { *alive_ = false; }

void Stager::begin(std::string_view source, std::string_view tenant) {
  TG_CHECK(touched_.empty());
  source_ = source;
  tenant_ = tenant;
  selected_ = nullptr;
}

// Hot: once a series, nearly always for the stream of the one before.
Status Stager::select(std::string_view ha_cluster, std::string_view ha_replica) {
  if (__builtin_expect(
          selected_ != nullptr && ha_replica == selected_replica_ &&
              ha_cluster == selected_cluster_ &&
              selected_->lanes.size() == selected_->shards->load(std::memory_order_relaxed),
          1)) {
    return Ok{};
  }
  return select_other(ha_cluster, ha_replica);
}

Status Stager::select_other(std::string_view ha_cluster, std::string_view ha_replica) {
  // '\0' cannot occur in tenants or configured names; a replica value with one only makes a
  // stream of its own.
  key_scratch_.assign(source_);
  key_scratch_ += '\0';
  key_scratch_ += tenant_;
  key_scratch_ += '\0';
  const size_t replica_at = key_scratch_.size();
  if (!ha_replica.empty()) {
    key_scratch_ += ha_cluster;
    key_scratch_ += '/';
    key_scratch_ += ha_replica;
    if (key_scratch_.size() - replica_at > kMaxReplicaBytes) shorten_replica(replica_at);
  }
  selected_ = nullptr;
  auto found = streams_.find(key_scratch_);
  if (found == streams_.end() || found->second->lanes.size() != found->second->shards->load()) {
    journal::StreamKey base;
    base.tenant = tenant_;
    base.source = source_;
    base.replica = key_scratch_.substr(replica_at);
    auto stream = make_stream(base, shards_.count(key_scratch_));
    if (!stream) {
      if (found == streams_.end()) shards_.forget(key_scratch_);
      return stream.error();
    }
    if (found == streams_.end()) {
      found = streams_.emplace(key_scratch_, nullptr).first;
    } else {
      retired_.push_back(std::move(found->second));
    }
    found->second = std::move(stream).value();
  }
  selected_ = found->second.get();
  // Hostile values are not kept: they differ from this, and take the long way.
  selected_cluster_ = ha_cluster.substr(0, kMaxReplicaBytes + 1);
  selected_replica_ = ha_replica.substr(0, kMaxReplicaBytes + 1);
  return Ok{};
}

// A replica's name is part of the stream's key, which is kept: a hostile one must not be long.
void Stager::shorten_replica(size_t at) {
  const std::string_view whole = std::string_view(key_scratch_).substr(at);
  const std::string digest =
      fmt::format("…{:08x}{:016x}", crc32c(whole), std::hash<std::string_view>()(whole));
  key_scratch_.resize(at + kMaxReplicaBytes - digest.size());
  key_scratch_ += digest;
}

Result<std::unique_ptr<Stager::Stream>> Stager::make_stream(const journal::StreamKey& base,
                                                            Shards::Count shards) {
  auto stream = std::make_unique<Stream>();
  journal::StreamKey key = base;
  key.shards = shards->load();
  // A shard count that comes back means the same lanes as before.
  key.generation = key.shards;
  stream->shards = std::move(shards);
  stream->lanes.resize(key.shards);
  for (key.shard = 0; key.shard < key.shards; key.shard++) {
    auto id = journal_.intern(key);
    if (!id) return id.error();
    stream->lanes[key.shard].stream = *id;
    announce_(*id, key);
  }
  return stream;
}

void Stager::touch(Lane& lane) {
  if (lane.touched) return;
  lane.touched = true;
  lane.request_bytes = 0;
  lane.mark.raw = lane.raw.size();
  lane.mark.packed = lane.packed.size();
  lane.mark.stretches = lane.stretches.size();
  lane.mark.last_end = lane.stretches.empty() ? 0 : lane.stretches.back().end;
  lane.mark.cuts = lane.cuts.size();
  lane.mark.open = lane.open;
  touched_.push_back(&lane);
}

// Where to append series of so many bytes and samples; the caller then ends the last stretch there.
// Cuts before what would not fit the open block. Hot: once a series or run.
Buffer& Stager::open_for(Lane& lane, size_t bytes, uint32_t samples, bool packed) {
  touch(lane);
  Buffer& buffer = packed ? lane.packed : lane.raw;
  if (buffer.capacity() == 0 && !spare_.empty()) {
    buffer = std::move(spare_.back());
    spare_.pop_back();
  }
  if (lane.open.bytes > 0 && (lane.open.bytes + bytes > options_.max_block_bytes ||
                              lane.open.samples + samples > options_.max_block_samples)) {
    lane.cuts.push_back({lane.stretches.size(), lane.open});
    lane.open = Counts{};
  }
  if (lane.open.bytes == 0 || lane.stretches.back().packed != packed) {
    lane.stretches.push_back({packed, buffer.size(), buffer.size()});
  }
  lane.open.bytes += bytes;
  lane.request_bytes += bytes;
  return buffer;
}

void Stager::add_series(const wire::Walker& walker) {
  const wire::SeriesHead& head = walker.series();
  const size_t shards = selected_->lanes.size();
  Lane& lane = selected_->lanes[shards == 1 ? 0 : walker.labels_hash() % shards];
  Buffer& raw = open_for(lane, head.encoded_size, head.samples + head.histograms, false);
  walker.emit(raw);
  lane.stretches.back().end = raw.size();
  Counts& c = lane.open;
  c.samples += head.samples + head.histograms;
  c.exemplars += head.exemplars;
  c.series++;
  c.min_timestamp = std::min(c.min_timestamp, head.min_timestamp);
  c.max_timestamp = std::max(c.max_timestamp, head.max_timestamp);
}

void Stager::add_other(const wire::Walker& walker) {
  Lane& lane = selected_->lanes[0];
  Buffer& raw = open_for(lane, walker.series().encoded_size, 0, false);
  walker.emit(raw);
  lane.stretches.back().end = raw.size();
}

void Stager::add_run(const wire::RememberedRun& remembered, const wire::Run& run) {
  TG_CHECK(one_shard());
  Lane& lane = selected_->lanes[0];
  Buffer& packed = open_for(lane, remembered.raw_length(), remembered.samples(), true);
  Counts& c = lane.open;
  remembered.put(run, packed, c.min_timestamp, c.max_timestamp);
  lane.stretches.back().end = packed.size();
  c.samples += remembered.samples();
  c.series += remembered.samples();
}

std::string_view Stager::last_added(size_t n) const {
  TG_CHECK(one_shard());
  const std::string_view raw = selected_->lanes[0].raw.view();
  return raw.substr(raw.size() - n);
}

void Stager::rollback() {
  for (Lane* lane : touched_) {
    lane->touched = false;
    lane->raw.truncate(lane->mark.raw);
    lane->packed.truncate(lane->mark.packed);
    lane->stretches.resize(lane->mark.stretches);
    if (!lane->stretches.empty()) lane->stretches.back().end = lane->mark.last_end;
    lane->cuts.resize(lane->mark.cuts);
    lane->open = lane->mark.open;
    if (lane->raw.empty()) recycle(std::move(lane->raw));
    if (lane->packed.empty()) recycle(std::move(lane->packed));
  }
  touched_.clear();
}

net::Task<Status> Stager::commit() {
  uint64_t bytes = 0;
  for (Lane* lane : touched_) {
    lane->touched = false;
    bytes += lane->request_bytes;
    if (lane->stretches.empty() || lane->dirty) continue;
    lane->dirty = true;
    dirty_.push_back(lane);
  }
  touched_.clear();
  if (bytes == 0) co_return Ok{};

  if (next_ == nullptr) {
    next_ = std::make_shared<Batch>(loop_);
    next_->done.expires_at(std::chrono::steady_clock::time_point::max());
  }
  next_->bytes += bytes;
  inflight_ += bytes;
  std::shared_ptr<Batch> batch = next_;
  schedule_flush();

  boost::system::error_code ignored;  // the wait ends by being cancelled
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<net::Executor>{}, ignored);
  while (!batch->finished) co_await batch->done.async_wait(token);
  co_return batch->status;
}

void Stager::schedule_flush() {
  if (flush_scheduled_ || current_ != nullptr) return;
  flush_scheduled_ = true;
  // Posted, so that requests which are ready in this turn of the loop join the batch.
  boost::asio::post(loop_.context(), [this, alive = alive_] {
    if (!*alive) return;
    flush_scheduled_ = false;
    flush();
  });
}

void Stager::flush() {
  if (current_ != nullptr || next_ == nullptr) return;
  std::vector<journal::NewBlock> blocks;
  for (Lane* lane : dirty_) {
    lane->dirty = false;
    seal(*lane, blocks);
  }
  dirty_.clear();
  retired_.clear();
  current_ = std::move(next_);
  next_ = nullptr;
  auto batch = current_;
  journal_.append(std::move(blocks),
                  [this, alive = alive_, batch, &context = loop_.context()](const Status& status) {
                    boost::asio::post(context, [this, alive, batch, status] {
                      if (*alive) finished(batch, status);
                    });
                  });
}

// Hot: once a block. Budget: snappy's encoder plus one copy of the compressed bytes.
void Stager::seal(Lane& lane, std::vector<journal::NewBlock>& out) {
  if (lane.open.bytes > 0) lane.cuts.push_back({lane.stretches.size(), lane.open});
  size_t next = 0;
  for (const Cut& cut : lane.cuts) {
    block_.clear();
    for (; next < cut.stretches; next++) {
      const Stretch& stretch = lane.stretches[next];
      const size_t size = stretch.end - stretch.begin;
      if (stretch.packed) {
        block_.append(lane.packed.view().substr(stretch.begin, size));
      } else {
        packer_.pack(lane.raw.view().substr(stretch.begin, size), block_);
      }
    }
    journal::NewBlock block;
    block.stream = lane.stream;
    block.elements.append(block_.view());
    block.raw_length = static_cast<uint32_t>(cut.counts.bytes);
    block.samples = cut.counts.samples;
    block.exemplars = cut.counts.exemplars;
    block.series = cut.counts.series;
    block.min_timestamp = cut.counts.min_timestamp;
    block.max_timestamp = cut.counts.max_timestamp;
    out.push_back(std::move(block));
  }
  lane.cuts.clear();
  lane.stretches.clear();
  lane.open = Counts{};
  recycle(std::move(lane.raw));
  recycle(std::move(lane.packed));
}

void Stager::recycle(Buffer raw) {
  raw.clear();
  raw.release_above(kSpareBytes);
  if (raw.capacity() > 0 && spare_.size() < kSpareBuffers) spare_.push_back(std::move(raw));
}

void Stager::finished(const std::shared_ptr<Batch>& batch, Status status) {
  inflight_ -= batch->bytes;
  batch->status = std::move(status);
  batch->finished = true;
  batch->done.cancel();
  current_ = nullptr;
  flush();
}

}  // namespace tollgate::ingest
