#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/config.h"
#include "deliver/destination.h"
#include "deliver/lane.h"
#include "journal/journal.h"
#include "metrics/registry.h"
#include "net/loop.h"

namespace tollgate::deliver {

// One destination for people: its settings and how it is doing.
struct DestinationView {
  std::string name;
  std::string url;
  config::Dialect dialect;
  Health health;
};

// Brings the journal's blocks to every destination: one lane per (destination, stream), spread
// over the loops. Owner: app; destroyed after stop() and before the loops. Threads: any.
class Deliver {
 public:
  Deliver(net::Loops& loops, journal::Journal& journal, metrics::Registry& registry,
          const Clock& clock);
  ~Deliver();
  Deliver(const Deliver&) = delete;
  Deliver& operator=(const Deliver&) = delete;

  // Starts, changes and ends destinations to match the configuration. A destination is known by
  // its name: under a new URL it goes on where it was. Errors (TLS files) change nothing.
  Status configure(const config::Config& config);

  // A stream exists from now on; called before its first block is appended.
  void announce(journal::StreamId stream, const journal::StreamKey& key);
  // New blocks of these streams: what the journal's observer is given.
  void wake(const std::vector<journal::StreamId>& streams);
  // Who is told when a lane needs more shards.
  void on_saturated(std::function<void(const journal::StreamKey&, uint32_t wanted)> callback,
                    std::chrono::milliseconds window = std::chrono::milliseconds(10'000));

  // Sends what is pending, without waiting to fill requests, until nothing is left but what
  // failing destinations hold, or the deadline. Returns true if all is delivered.
  bool drain(std::chrono::milliseconds deadline);
  // Ends all lanes and requests; what is pending stays in the journal.
  void stop();

  std::vector<DestinationView> destinations() const;

 private:
  struct LoopState {
    std::map<std::string, std::shared_ptr<Seat>> seats;
    std::map<std::string, std::unordered_map<journal::StreamId, std::shared_ptr<Lane>>> lanes;
  };
  // The streams of one (source, tenant, replica), by their number of shards. Lanes that never had a
  // block may be missing, so that how many there are says nothing.
  using Group = std::map<uint32_t, std::vector<journal::StreamId>>;
  struct Streams {
    struct Place {
      uint32_t generation;
      Group* group;  // in `groups`, whose elements stay where they are
    };
    std::unordered_map<journal::StreamId, Place> places;
    std::unordered_map<std::string, Group> groups;
  };
  struct Known {
    std::shared_ptr<Destination> destination;
    config::RemoteWrite settings;
  };

  std::vector<journal::StreamId> siblings(journal::StreamId stream) const;
  void wake_one(size_t loop, const std::string& destination, journal::StreamId stream);
  size_t loop_of(journal::StreamId stream) const { return stream % loops_.size(); }

  net::Loops& loops_;
  journal::Journal& journal_;
  metrics::Registry& registry_;
  const Clock& clock_;
  LaneContext context_;
  std::vector<std::unique_ptr<LoopState>> states_;  // each touched on its loop only
  Guarded<Streams> streams_;
  Guarded<std::map<std::string, Known>> known_;
  std::function<void(const journal::StreamKey&, uint32_t)> saturated_;
};

}  // namespace tollgate::deliver
