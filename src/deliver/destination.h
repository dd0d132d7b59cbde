#pragma once

#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/guarded.h"
#include "config/config.h"
#include "metrics/registry.h"
#include "net/http_client.h"

namespace tollgate::deliver {

using Timer = boost::asio::basic_waitable_timer<
    std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, net::Executor>;

// How a destination is doing, for people. Consistent as of one request.
struct Health {
  std::string state = "ok";  // ok | retrying | held
  int last_status = 0;       // of the last answer; 0 = none
  std::string last_error;    // sentence of the last failure, with the destination's own words
  int64_t last_error_ms = 0;
  int64_t last_success_ms = 0;
  int64_t highest_sent_timestamp_ms = 0;  // of a sample
};

// What all loops share of one destination: its name, its health and its metrics. The settings may
// change on reload; the name is the identity that cursors are kept under.
class Destination {
 public:
  Destination(std::string name, metrics::Registry& registry, const Clock& clock);

  const std::string& name() const { return name_; }
  Health health() const { return *health_.lock(); }

  // `status` 0 = no answer. `problem` is empty on success.
  void record(int status, double seconds, const std::string& problem);
  void delivered(int64_t max_timestamp_ms, uint64_t bytes);
  // Lanes enter and leave trouble; the destination's state is that of its worst lane.
  void retrying(int delta);
  void held(int delta);

 private:
  metrics::Counter& requests(int status);
  void refresh_state(Health& health);

  const std::string name_;
  metrics::Registry& registry_;
  const Clock& clock_;
  metrics::Histogram& duration_;
  metrics::Counter& bytes_;
  metrics::Gauge& held_gauge_;
  metrics::Gauge& highest_sent_;
  Guarded<Health> health_;
  Guarded<std::map<int, metrics::Counter*>> by_code_;
  std::atomic<int> retrying_lanes_{0};
  std::atomic<int> held_lanes_{0};
};

// One loop's way to a destination under one version of its settings: the connection pool, the
// request heads, and the limit on requests in flight. Immutable settings; replaced as a whole on
// reload, while requests in flight hold on to the old one.
class Endpoint {
 public:
  // On the loop's thread. `tls` is null for http URLs.
  Endpoint(net::Loop& loop, config::RemoteWrite settings,
           std::shared_ptr<net::ClientTlsContext> tls, uint32_t slots);

  const config::RemoteWrite& settings() const { return settings_; }
  net::HttpClient& client() { return *client_; }
  // The request head up to and including the tenant's header; what varies per request follows.
  std::string head(const std::string& tenant, uint64_t content_length, uint32_t attempt) const;

  // Waits for one of the slots (requests in flight to this destination on this loop), in order.
  net::Task<void> acquire();
  void release();

 private:
  net::Loop& loop_;
  const config::RemoteWrite settings_;
  std::string fixed_head_;
  std::unique_ptr<net::HttpClient> client_;
  uint32_t free_slots_;
  std::deque<std::shared_ptr<Timer>> waiting_;
};

}  // namespace tollgate::deliver
