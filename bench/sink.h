#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server.h"
#include "tally.h"

namespace tollgate::bench {

// How a sink fails on purpose. Shares are fractions of the requests; together at most 1.
struct Faults {
  std::vector<std::pair<int, double>> status_mix;  // answer so, without taking the samples
  double reset = 0;                                // TCP reset instead of an answer, not taken
  double hang = 0;                                 // never answer, not taken
  double lose_answer = 0;                          // taken, then closed without an answer
  double lie = 0;                                  // answer 204, not taken: to prove the verdict
  std::chrono::milliseconds latency{0};            // before every answer
  std::string retry_after;                         // sent with the statuses of the mix
  struct Outage {
    std::chrono::milliseconds start{0};  // from now
    std::chrono::milliseconds length{0};
  };
  std::optional<Outage> outage;  // the port refuses, connections are closed

  // {"status_mix": "503:0.1,429:0.05", "latency": 5, "reset": 0.01, "outage": "0s+30s", …}; a key
  // that is not there means none of that. Throws std::runtime_error, naming the key.
  static Faults parse(std::string_view json);
};

// "503:0.1,429:0.05"
std::vector<std::pair<int, double>> parse_status_mix(const std::string& text);
// "10s+300s": start + length
Faults::Outage parse_outage(const std::string& text);

struct SinkOptions {
  ServerOptions server;
  Rules rules;
  Faults faults;
  uint64_t seed = 1;
};

// A remote-write destination that verifies what it gets and fails on request. On the same port:
// GET /stats (JSON), GET /state and /name?identity (for the verdict), POST /fault (Faults::parse;
// replaces all faults), POST /reset (forget everything counted). Owner: main or a test. All methods
// from any thread.
class Sink : private Handler {
 public:
  explicit Sink(const SinkOptions& options);
  ~Sink() override;

  uint16_t port() const { return server_->port(); }
  uint16_t control_port() const { return server_->control_port(); }
  void set(const Faults& faults);
  Counts counts() const { return tally_.counts(); }
  const Tally& tally() const { return tally_; }
  std::string stats() const;
  void wait() { server_->wait(); }

 private:
  void handle(const Request& request, Response& response) override;
  void handle_write(const Request& request, Response& response);
  bool handle_control(const Request& request, Response& response);
  // Draws what happens to a request; false if its samples are not to be taken.
  bool draw(Response& response);
  void count_answer(const Response& response);

  Tally tally_;
  const std::string tenant_header_;
  std::atomic<bool> faulty_{false};
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Faults faults_;
  std::mt19937_64 random_;
  uint64_t requests_ = 0;
  std::map<std::string, uint64_t> answers_;
  int64_t first_ms_ = 0;
  int64_t last_ms_ = 0;

  std::unique_ptr<Server> server_;  // last: its threads use all of the above
};

}  // namespace tollgate::bench
