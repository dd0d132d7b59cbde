#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The gateway's own metrics and their text exposition. Names are given in full
// ("tollgate_ingest_requests_total"). Threads: any, for everything. Objects returned by the
// registry live as long as it does; look them up once and keep the reference on hot paths.
namespace tollgate::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// A counter spread over cache lines, so that cores do not fight for one. `add` is a relaxed
// atomic add on the calling thread's cell.
class Counter {
 public:
  void add(uint64_t n = 1);
  uint64_t value() const;

 private:
  static constexpr size_t kCells = 8;
  struct alignas(64) Cell {
    std::atomic<uint64_t> value{0};
  };
  Cell cells_[kCells];
};

class Gauge {
 public:
  void set(double v) { value_.store(v, std::memory_order_relaxed); }
  void add(double d);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// A histogram with fixed upper bounds; `observe` takes no lock.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double v);
  const std::vector<double>& bounds() const { return bounds_; }
  // Non-cumulative counts, one per bound and one for +Inf.
  std::vector<uint64_t> counts() const;
  double sum() const;

 private:
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// 100 µs … 60 s, for durations in seconds.
std::vector<double> duration_bounds();

enum class Type { kCounter, kGauge };
struct Value {
  Labels labels;
  double value;
};

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The metric of that name and those labels; created at the first call.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const Labels& labels = {},
                       const std::vector<double>& bounds = duration_bounds());
  // A family whose values are computed at each scrape by `fill`.
  void collect(std::string_view name, std::string_view help, Type type,
               std::function<void(std::vector<Value>&)> fill);
  // Calls `prepare` once at the start of each scrape, before any family is filled.
  void on_scrape(std::function<void()> prepare);

  // Prometheus text exposition format 0.0.4; families sorted by name.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Adds process_* (cpu, resident and virtual memory, open and maximum fds, start time) and
// tollgate_build_info{version,revision,compiler} to the registry.
void add_process_metrics(Registry& registry);

}  // namespace tollgate::metrics
