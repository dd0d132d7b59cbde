#include "deliver/deliver.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <set>
#include <thread>

#include "base/log.h"

namespace tollgate::deliver {
namespace {

std::string group_of(const journal::StreamKey& key) {
  return key.source + '\0' + key.tenant + '\0' + key.replica;
}

}  // namespace

Deliver::Deliver(net::Loops& loops, journal::Journal& journal, metrics::Registry& registry,
                 const Clock& clock)
    : loops_(loops),
      journal_(journal),
      registry_(registry),
      clock_(clock),
      context_{journal, clock, [this](journal::StreamId stream) { return siblings(stream); },
               [this](const journal::StreamKey& key, uint32_t wanted) {
                 if (saturated_) saturated_(key, wanted);
               }} {
  for (size_t i = 0; i < loops.size(); i++) states_.push_back(std::make_unique<LoopState>());
  for (const auto& totals : journal.streams()) announce(totals.stream, totals.key);
}

Deliver::~Deliver() = default;

void Deliver::on_saturated(std::function<void(const journal::StreamKey&, uint32_t)> callback,
                           std::chrono::milliseconds window) {
  saturated_ = std::move(callback);
  context_.saturation_window = window;
}

Status Deliver::configure(const config::Config& config) {
  // Everything that can fail comes first.
  std::map<std::string, std::shared_ptr<net::ClientTlsContext>> contexts;
  std::vector<std::string> names;
  for (const auto& settings : config.remote_write) {
    names.push_back(settings.name);
    if (settings.url.scheme != "https") continue;
    net::ClientTlsOptions tls;
    tls.ca_file = settings.tls.ca_file;
    tls.cert_file = settings.tls.cert_file;
    tls.key_file = settings.tls.key_file;
    tls.server_name = settings.tls.server_name;
    tls.insecure_skip_verify = settings.tls.insecure_skip_verify;
    auto context = net::ClientTlsContext::make(tls);
    if (!context) {
      Error error = context.error();
      error.message = "remote_write " + settings.name + ": " + error.message;
      return error;
    }
    contexts[settings.name] = *context;
  }

  journal_.set_destinations(names);
  std::map<std::string, std::shared_ptr<Destination>> destinations;
  {
    auto known = known_.lock();
    for (auto it = known->begin(); it != known->end();) {
      const bool kept = std::find(names.begin(), names.end(), it->first) != names.end();
      it = kept ? std::next(it) : known->erase(it);
    }
    for (const auto& settings : config.remote_write) {
      Known& entry = (*known)[settings.name];
      if (entry.destination == nullptr) {
        entry.destination = std::make_shared<Destination>(settings.name, registry_, clock_);
      }
      entry.settings = settings;
      destinations[settings.name] = entry.destination;
    }
  }

  std::vector<journal::StreamId> streams;
  {
    auto known_streams = streams_.lock();
    for (const auto& [stream, place] : known_streams->places) streams.push_back(stream);
  }

  for (size_t i = 0; i < loops_.size(); i++) {
    boost::asio::post(
        loops_.at(i).context(), [this, i, contexts, destinations, settings = config.remote_write] {
          LoopState& state = *states_[i];
          for (auto it = state.seats.begin(); it != state.seats.end();) {
            if (destinations.contains(it->first)) {
              ++it;
              continue;
            }
            it->second->removed = true;
            it->second->cancel();
            for (auto& [stream, lane] : state.lanes[it->first]) lane->hurry();
            state.lanes.erase(it->first);
            it = state.seats.erase(it);
          }
          for (const auto& s : settings) {
            auto& seat = state.seats[s.name];
            if (seat == nullptr) {
              seat = std::make_shared<Seat>();
              seat->destination = destinations.at(s.name);
            }
            // Unchanged settings keep their connections; TLS files may have changed under their
            // names.
            const auto tls = contexts.find(s.name);
            if (seat->endpoint == nullptr || tls != contexts.end() ||
                !(seat->endpoint->settings() == s)) {
              const auto slots = std::max<uint32_t>(1, (s.max_shards + static_cast<uint32_t>(i)) /
                                                           static_cast<uint32_t>(loops_.size()));
              seat->replace(std::make_shared<Endpoint>(
                  loops_.at(i), s, tls == contexts.end() ? nullptr : tls->second, slots));
            }
            for (auto& [stream, lane] : state.lanes[s.name]) lane->hurry();
          }
        });
  }
  wake(streams);
  return Ok{};
}

void Deliver::announce(journal::StreamId stream, const journal::StreamKey& key) {
  auto streams = streams_.lock();
  const auto [place, is_new] = streams->places.try_emplace(stream);
  if (!is_new) return;
  Group& group = streams->groups[group_of(key)];
  place->second = {key.generation, &group};
  group[key.generation].push_back(stream);
}

std::vector<journal::StreamId> Deliver::siblings(journal::StreamId stream) const {
  auto streams = streams_.lock();
  std::vector<journal::StreamId> out;
  const auto own = streams->places.find(stream);
  if (own == streams->places.end() || own->second.group->size() == 1) return out;
  for (const auto& [generation, others] : *own->second.group) {
    if (generation != own->second.generation) out.insert(out.end(), others.begin(), others.end());
  }
  return out;
}

void Deliver::wake(const std::vector<journal::StreamId>& streams) {
  if (context_.stopping) return;
  std::vector<std::vector<journal::StreamId>> by_loop(loops_.size());
  for (const journal::StreamId stream : streams) by_loop[loop_of(stream)].push_back(stream);
  for (size_t i = 0; i < by_loop.size(); i++) {
    if (by_loop[i].empty()) continue;
    boost::asio::post(loops_.at(i).context(), [this, i, mine = std::move(by_loop[i])] {
      for (const auto& [name, seat] : states_[i]->seats) {
        for (const journal::StreamId stream : mine) wake_one(i, name, stream);
      }
    });
  }
}

void Deliver::wake_one(size_t loop, const std::string& destination, journal::StreamId stream) {
  LoopState& state = *states_[loop];
  const auto seat = state.seats.find(destination);
  if (seat == state.seats.end() || context_.stopping) return;
  auto& lane = state.lanes[destination][stream];
  if (lane == nullptr) {
    lane = std::make_shared<Lane>(loops_.at(loop), context_, seat->second, stream);
  }
  lane->wake();
}

bool Deliver::drain(std::chrono::milliseconds deadline) {
  using Clock = std::chrono::steady_clock;
  context_.draining = true;
  const auto end = Clock::now() + deadline;
  // The news of the last blocks may still be on its way to the lanes: wake them all, and go on when
  // each loop has done so. Otherwise a lane that has not begun would look like one that is done.
  std::vector<journal::StreamId> all;
  {
    auto streams = streams_.lock();
    for (const auto& [stream, place] : streams->places) all.push_back(stream);
  }
  wake(all);
  std::vector<std::future<void>> woken;
  for (size_t i = 0; i < loops_.size(); i++) {
    auto done = std::make_shared<std::promise<void>>();
    woken.push_back(done->get_future());
    boost::asio::post(loops_.at(i).context(), [this, i, done] {
      for (auto& [name, lanes] : states_[i]->lanes) {
        for (auto& [stream, lane] : lanes) lane->hurry();
      }
      done->set_value();
    });
  }
  for (const auto& loop : woken) loop.wait_until(end);
  auto pending = [this] {
    uint64_t samples = 0;
    for (const auto& row : journal_.ledger()) samples += row.pending_samples;
    return samples;
  };
  while (Clock::now() < end) {
    // Lanes in trouble are not waited for: their data is safe in the journal.
    if (context_.running.load() <= context_.troubled.load()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (auto s = journal_.checkpoint(); !s) {
    log::error("cannot write the checkpoint", {{"error", s.error().message}});
  }
  return pending() == 0;
}

void Deliver::stop() {
  context_.stopping = true;
  for (size_t i = 0; i < loops_.size(); i++) {
    boost::asio::post(loops_.at(i).context(), [this, i] {
      for (auto& [name, seat] : states_[i]->seats) seat->cancel();
      for (auto& [name, lanes] : states_[i]->lanes) {
        for (auto& [stream, lane] : lanes) lane->hurry();
      }
    });
  }
  constexpr auto kPatience = std::chrono::seconds(5);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (context_.running.load() > 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::vector<DestinationView> Deliver::destinations() const {
  std::vector<DestinationView> out;
  auto known = known_.lock();  // named: a temporary would give the lock back before the loop begins
  for (const auto& [name, entry] : *known) {
    out.push_back(
        {name, entry.settings.url.text, entry.settings.dialect, entry.destination->health()});
  }
  return out;
}

}  // namespace tollgate::deliver
