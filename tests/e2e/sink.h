#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "prometheus/remote.pb.h"
#include "sockets.h"

namespace tollgate::e2e {

using Labels = std::vector<std::pair<std::string, std::string>>;
std::string render(const Labels& labels);

// How a sink treats the requests that reach it (a share of them; the rest is stored and answered).
struct Fault {
  enum class Kind {
    kNone,        // store, answer 200, 202 or 204
    kStatus,      // answer `status` without storing
    kHang,        // read the request and never answer
    kReset,       // RST after the first bytes of the request
    kLoseAnswer,  // store, then close without an answer
    kSlow,        // store, answer after `delay`
  };
  Kind kind = Kind::kNone;
  int status = 503;
  std::string retry_after = {};
  double share = 1.0;
  milliseconds delay{0};
};

// What a sink knows of one series: "<sender>/<series>" from the labels `sender` and `series`.
struct Received {
  std::vector<uint64_t> values;  // sequence numbers in the order of arrival, repeats included
  uint64_t highest = 0;
  std::set<Labels> label_sets;
  std::set<std::string> tenants;
};

// A remote-write destination that remembers everything. Decodes with Google's snappy and
// libprotobuf. Owner: the test. Threads: one per connection; all methods from any thread. What no
// correct gateway would ever send is kept in anomalies().
class Sink {
 public:
  explicit Sink(std::string name, uint64_t seed = 1);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  const std::string& name() const { return name_; }
  uint16_t port() const { return port_; }
  std::string url() const;
  static constexpr const char* kTenantHeader = "X-Scope-OrgID";

  void set(const Fault& fault);
  // Asked first: an answer other than 0 refuses the request with that status, not stored.
  using Judge = std::function<int(const HttpMessage&, const prometheus::WriteRequest&)>;
  void judge(Judge judge);
  // Nobody listens any more and all connections are reset, until come_back().
  void vanish();
  void come_back();
  // Keeps the decoded requests for requests().
  void keep_requests() { keep_ = true; }

  std::map<std::string, Received> received() const;
  // The highest sequence number that arrived of a series; 0 = none.
  uint64_t highest(const std::string& series) const;
  // Float samples and histograms stored, repeats included; of one tenant if given.
  uint64_t samples() const;
  uint64_t samples_of(const std::string& tenant) const;
  uint64_t requests_seen() const { return requests_seen_; }
  uint64_t answered(int status) const;
  size_t largest_body() const { return largest_body_; }
  std::vector<prometheus::WriteRequest> requests() const;
  std::vector<std::string> anomalies() const;

 private:
  struct Connection {
    std::thread thread;
    std::atomic<int> fd{-1};
    std::atomic<bool> done{false};
  };
  void accept_loop();
  void serve(Socket socket, Connection& connection);
  // False: close the connection.
  bool answer(Socket& socket, const HttpMessage& request, const Fault& fault);
  void store(const HttpMessage& request, const prometheus::WriteRequest& message);
  void store_series(const std::string& tenant, const prometheus::TimeSeries& series);
  Fault roll();
  void anomaly(const std::string& text);
  // Waits until the fault changes or the sink stops.
  void wait_for_change(milliseconds limit);

  const std::string name_;
  const uint16_t port_;
  std::atomic<bool> keep_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> requests_seen_{0};
  std::atomic<size_t> largest_body_{0};

  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  uint64_t generation_ = 0;  // of the fault
  Fault fault_;
  Judge judge_;
  std::mt19937_64 random_;
  Socket listener_;
  std::list<Connection> connections_;
  std::map<std::string, Received> received_;
  std::map<std::string, uint64_t> samples_by_tenant_;
  std::map<int, uint64_t> answered_;
  std::vector<prometheus::WriteRequest> requests_;
  std::vector<std::string> anomalies_;

  std::thread acceptor_;
};

}  // namespace tollgate::e2e
