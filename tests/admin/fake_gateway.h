#pragma once

#include <map>
#include <string>
#include <vector>

#include "admin/admin.h"
#include "base/guarded.h"

namespace tollgate::admin {

// Books as the journal keeps them, without a journal: streams, and destinations with a cursor in
// each. Threads: any.
class FakeJournal {
 public:
  // Returns the stream's id.
  journal::StreamId stream(const std::string& tenant, const std::string& source,
                           uint32_t shard = 0);
  // From now on; what was accepted before is its baseline.
  void declare(const std::string& destination);
  // Its pending samples are given up.
  void remove(const std::string& destination);
  void accept(journal::StreamId stream, uint64_t samples);
  void deliver(const std::string& destination, journal::StreamId stream, uint64_t samples);
  void drop(const std::string& destination, journal::StreamId stream, uint64_t samples,
            model::DropReason reason);
  // Moves as many as are pending, at most `samples`.
  void deliver_up_to(const std::string& destination, journal::StreamId stream, uint64_t samples);
  void set_stats(const journal::Stats& stats);
  void set_oldest_pending(int64_t ms) { state_.lock()->oldest_pending_ms = ms; }

  std::vector<journal::LedgerRow> ledger() const;
  std::vector<journal::StreamTotals> streams() const;
  std::vector<journal::Removed> removed() const { return state_.lock()->removed; }
  journal::Stats stats() const { return state_.lock()->stats; }

 private:
  struct State {
    std::vector<journal::StreamTotals> streams;
    std::map<std::string, std::vector<journal::Cursor>> destinations;
    std::vector<journal::Removed> removed;
    journal::Stats stats;
    int64_t oldest_pending_ms = 1'700'000'000'500;
  };
  static uint64_t pending(const State& state, const std::string& destination,
                          journal::StreamId stream);
  Guarded<State> state_;
};

// Hooks on `journal`; the rest says nothing special. One destination status for each name.
AdminHooks hooks_on(FakeJournal& journal, const std::vector<std::string>& destinations);

}  // namespace tollgate::admin
