#include "fake_gateway.h"

#include <algorithm>

#include "base/check.h"

namespace tollgate::admin {

journal::StreamId FakeJournal::stream(const std::string& tenant, const std::string& source,
                                      uint32_t shard) {
  auto state = state_.lock();
  journal::StreamTotals made;
  made.stream = static_cast<journal::StreamId>(state->streams.size());
  made.key.tenant = tenant;
  made.key.source = source;
  made.key.shard = shard;
  state->streams.push_back(made);
  for (auto& [name, cursors] : state->destinations) cursors.emplace_back();
  return made.stream;
}

void FakeJournal::declare(const std::string& destination) {
  auto state = state_.lock();
  auto& cursors = state->destinations[destination];
  for (const auto& stream : state->streams) {
    cursors.emplace_back();
    cursors.back().baseline = stream.accepted;
  }
}

void FakeJournal::remove(const std::string& destination) {
  auto state = state_.lock();
  for (const auto& stream : state->streams) {
    const uint64_t samples = pending(*state, destination, stream.stream);
    if (samples > 0) state->removed.push_back({destination, stream.key.tenant, samples});
  }
  state->destinations.erase(destination);
}

void FakeJournal::accept(journal::StreamId stream, uint64_t samples) {
  state_.lock()->streams[stream].accepted += samples;
}

void FakeJournal::deliver(const std::string& destination, journal::StreamId stream,
                          uint64_t samples) {
  auto state = state_.lock();
  TG_CHECK(samples <= pending(*state, destination, stream));
  state->destinations[destination][stream].delivered += samples;
}

void FakeJournal::drop(const std::string& destination, journal::StreamId stream, uint64_t samples,
                       model::DropReason reason) {
  auto state = state_.lock();
  TG_CHECK(samples <= pending(*state, destination, stream));
  state->destinations[destination][stream].dropped[static_cast<size_t>(reason)] += samples;
}

void FakeJournal::deliver_up_to(const std::string& destination, journal::StreamId stream,
                                uint64_t samples) {
  auto state = state_.lock();
  state->destinations[destination][stream].delivered +=
      std::min(samples, pending(*state, destination, stream));
}

void FakeJournal::set_stats(const journal::Stats& stats) { state_.lock()->stats = stats; }

uint64_t FakeJournal::pending(const State& state, const std::string& destination,
                              journal::StreamId stream) {
  const journal::Cursor& cursor = state.destinations.at(destination)[stream];
  uint64_t settled = cursor.baseline + cursor.delivered;
  for (const uint64_t dropped : cursor.dropped) settled += dropped;
  return state.streams[stream].accepted - settled;
}

std::vector<journal::LedgerRow> FakeJournal::ledger() const {
  std::vector<journal::LedgerRow> out;
  auto state = state_.lock();
  for (const auto& [name, cursors] : state->destinations) {
    for (const auto& stream : state->streams) {
      journal::LedgerRow row;
      row.destination = name;
      row.stream = stream.stream;
      row.key = stream.key;
      row.cursor = cursors[stream.stream];
      row.accepted = stream.accepted - row.cursor.baseline;
      row.pending_samples = pending(*state, name, stream.stream);
      row.pending_bytes = 10 * row.pending_samples;
      row.oldest_pending_ms = row.pending_samples == 0 ? 0 : state->oldest_pending_ms;
      out.push_back(row);
    }
  }
  return out;
}

std::vector<journal::StreamTotals> FakeJournal::streams() const { return state_.lock()->streams; }

AdminHooks hooks_on(FakeJournal& journal, const std::vector<std::string>& destinations) {
  AdminHooks hooks;
  hooks.not_ready = [] { return std::nullopt; };
  hooks.reload = [] { return Status(Ok{}); };
  hooks.config_yaml = [] { return std::string("ingest: {}\n"); };
  hooks.flags = [] { return std::vector<std::pair<std::string, std::string>>{}; };
  hooks.ledger = [&journal] { return journal.ledger(); };
  hooks.streams = [&journal] { return journal.streams(); };
  hooks.removed = [&journal] { return journal.removed(); };
  hooks.stats = [&journal] { return journal.stats(); };
  hooks.sources = [] { return std::vector<SourceStatus>{}; };
  hooks.destinations = [destinations] {
    std::vector<DestinationStatus> out;
    for (const std::string& name : destinations) {
      out.emplace_back();
      out.back().name = name;
      out.back().state = "ok";
    }
    return out;
  };
  return hooks;
}

}  // namespace tollgate::admin
