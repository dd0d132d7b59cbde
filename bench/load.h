#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "expectation.h"
#include "series_model.h"

namespace tollgate::bench {

struct LoadOptions {
  std::vector<std::string> to;  // each body goes to each of these, one after another
  size_t senders = 8;
  int threads = 1;
  double rate = 0;  // samples a second, offered whatever happens; 0 = as fast as acknowledged
  double seconds = 10;
  // How long after the end to wait for the answers to what was offered.
  std::chrono::milliseconds drain = std::chrono::seconds(30);
  std::chrono::milliseconds timeout = std::chrono::seconds(30);  // of one attempt

  Profile profile = Profile::kMixed;
  size_t series = 5000;  // of each replica
  size_t samples_per_request = 500;
  size_t clusters = 3;
  size_t replicas = 2;
  double churn = 0;  // fraction of the series replaced in a minute
  double histograms = 0;
  double exemplars = 0;
  std::string replay;  // a directory, instead of the profile
  uint64_t seed = 1;
  int64_t step_ms = 0;  // between two samples of a series; 0 = as the rate has it

  // In the texts below, {cluster} is replaced by the name of the sender's cluster.
  size_t tenants = 0;
  std::string tenant_header = "THANOS-TENANT";
  std::string bearer;
  std::string bearer_file;
  std::string basic;                 // user:password
  std::vector<std::string> headers;  // "Name: value"
  std::string ca_file;
  std::chrono::milliseconds reconnect_every{0};
};

struct LoadReport {
  bool open_loop = true;
  double seconds = 0;
  size_t senders = 0;
  size_t series = 0;
  struct {
    uint64_t acknowledged = 0;
    uint64_t refused = 0;     // a 4xx other than 429: dropped, as Prometheus does
    uint64_t retried = 0;     // attempts beyond the first
    uint64_t unknown = 0;     // requests sent again although the first may have been taken
    uint64_t unfinished = 0;  // neither acknowledged nor refused when the time was up
  } requests;
  struct {
    uint64_t offered = 0;
    uint64_t acknowledged = 0;
    uint64_t refused = 0;
  } samples;
  uint64_t compressed_bytes = 0;  // of acknowledged requests, once each
  uint64_t raw_bytes = 0;
  uint64_t exemplars = 0;
  uint64_t connections = 0;      // opened
  double behind_seconds = 0;     // how late the last requests were started
  double cpu_seconds = 0;        // of this process while it sent
  std::vector<float> latencies;  // ms, sorted; from the intended time in an open loop
  std::string first_refusal;     // status and the beginning of its body
  std::string last_error;        // of a connection

  double quantile(double q) const;
  bool complete() const { return samples.acknowledged == samples.offered; }
  std::string json() const;  // one line
};

// Sends as Prometheus does: a sender is a shard with one connection and one request in flight,
// which repeats the same body on 5xx, 429 and transport errors (back-off 30 ms to 5 s, Retry-After
// honoured) and drops it on other 4xx. A series belongs to one sender, so its order holds.
//
// In an open loop, requests have intended times that do not depend on answers, and latency counts
// from there: what waits behind a slow answer is late. Owner: main or a test; run() once.
class Load {
 public:
  // Prepares all bodies. Throws std::runtime_error with what cannot be done.
  explicit Load(const LoadOptions& options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  LoadReport run();
  // Ends the sending early, as if the time were up. From any thread and from signal handlers.
  void stop() { stopped_ = true; }
  // After run(); has views into this.
  Expectation expectation() const;

 private:
  struct Target;
  struct Template;
  struct Sender;
  class Loop;

  void make_model();
  void make_replay();
  void add_bodies(Sender& sender, std::vector<Entry> entries, size_t cluster, int64_t t0);
  void add_template(Sender& sender, Body body, size_t cluster);
  std::string head_of(const Target& target, size_t cluster, const std::string& tenant) const;

  const LoadOptions options_;
  std::vector<std::unique_ptr<Target>> targets_;
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<std::string> authorizations_;  // by cluster
  int64_t step_ms_ = 1;
  size_t variants_ = 8;
  size_t series_ = 0;
  size_t bodies_ = 0;
  std::atomic<bool> stopped_{false};
};

}  // namespace tollgate::bench
