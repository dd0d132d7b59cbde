#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "prometheus/remote.pb.h"
#include "sink.h"
#include "sockets.h"

namespace tollgate::e2e {

// What a source of the gateway does to a sender's series, as the oracle must find it at the sinks.
struct Treatment {
  Labels enforced;  // the series leaves with these, whatever it came with
  Labels external;  // only where it has no such label
};

struct SenderOptions {
  std::string name;  // the label `sender` of its series; unique among the senders of a test
  uint16_t port = 0;
  std::string path = "/api/v1/write";
  std::string authorization;                 // the header's value; empty = none
  Headers headers;                           // e.g. the tenant's
  std::string tenant = "default";            // that the gateway must find
  Labels labels;                             // on every series, e.g. a spoofed cluster
  std::vector<Treatment> treatments = {{}};  // any of these is right (a reload changes them)
  int series = 5;
  int samples_per_series = 1;  // in one request
  bool unsorted = false;       // labels leave in random order
  bool exemplars = false;      // one on each float sample
  bool histograms = false;  // every fifth series is a native histogram, integer and float by turns
  size_t padding = 0;       // bytes of an incompressible label value on every series
  uint64_t last = 0;        // stops after this value; 0 = until stop()
  milliseconds pace{3};     // between requests
  milliseconds timeout{10'000};
  uint64_t seed = 1;
};

// Behaves like one shard of a Prometheus: series whose values are the sequence numbers 1, 2, 3, …;
// one request in flight; the same bytes again on 5xx, transport errors and timeouts until the
// gateway answers 2xx, which acknowledges them. Any other answer ends it with a failure().
// Owner: the test. Threads: one of its own; all methods from any thread.
class Sender {
 public:
  explicit Sender(SenderOptions options);
  ~Sender() { stop(milliseconds(0)); }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  const SenderOptions& options() const { return options_; }
  void start();
  // Ends after the request in flight has been acknowledged, or at the latest after `patience`.
  void stop(milliseconds patience = milliseconds(60'000));
  bool finished() const { return done_; }

  // Every series has values 1 … acknowledged(); up to attempted() have been sent.
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t attempted() const { return attempted_; }
  uint64_t retries(int status) const;  // answers of this status; 0 = no answer
  std::string failure() const;

  std::vector<std::string> series() const;  // "<sender>/<n>", the sinks' names
  // The label sets with which a series may leave the gateway.
  std::vector<Labels> expected_labels(int series) const;

  // The decoded request that carries the values from … from + count - 1.
  prometheus::WriteRequest make(uint64_t from, int count);

 private:
  void run();
  // 2xx, another status, or 0 without an answer.
  int post(const std::string& request);
  Labels own_labels(int series) const;

  const SenderOptions options_;
  const int64_t first_timestamp_;
  std::mt19937_64 random_;
  Socket socket_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> done_{false};
  std::atomic<int64_t> give_up_at_{INT64_MAX};  // Clock ticks
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> attempted_{0};
  mutable std::mutex mutex_;
  std::map<int, uint64_t> answers_;
  std::string failure_;
  std::thread thread_;
};

// The body and headers of a remote write 1.0 request.
std::string compress(const prometheus::WriteRequest& message);
Headers write_headers();

// A series with the labels given and one sample.
void add_series(prometheus::WriteRequest& request, const Labels& labels, double value,
                int64_t timestamp);
int64_t now_ms();

}  // namespace tollgate::e2e
