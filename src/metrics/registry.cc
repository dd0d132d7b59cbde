#include "metrics/registry.h"

#include <prometheus/check_names.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "base/check.h"
#include "base/guarded.h"
#include "base/utf8.h"

namespace tollgate::metrics {
namespace {

// The calling thread's cell + 1; 0 = none chosen yet. Threads take cells in turn, so that up to
// as many threads as there are cells never share a cache line.
constinit thread_local size_t my_cell = 0;
std::atomic<size_t> threads_seen{0};

[[gnu::noinline]] size_t choose_cell(size_t cells) {
  my_cell = threads_seen.fetch_add(1, std::memory_order_relaxed) % cells + 1;
  return my_cell;
}

prometheus::MetricType serializer_type(Type type) {
  return type == Type::kCounter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
}

void set_value(prometheus::ClientMetric& metric, prometheus::MetricType type, double value) {
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

prometheus::ClientMetric::Histogram snapshot(const Histogram& histogram) {
  prometheus::ClientMetric::Histogram out;
  const std::vector<uint64_t> counts = histogram.counts();
  for (size_t i = 0; i < counts.size(); i++) {
    out.sample_count += counts[i];
    // The serializer writes the bucket for +Inf from sample_count.
    if (i < histogram.bounds().size()) {
      out.bucket.push_back({out.sample_count, histogram.bounds()[i]});
    }
  }
  out.sample_sum = histogram.sum();
  return out;
}

// The text format (0.0.4) wants `\` and line feeds escaped in HELP; the serializer writes it as is.
std::string escape_help(std::string_view help) {
  std::string out;
  for (const char c : help) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

Labels sorted(Labels labels) {
  // One value that is not UTF-8 would make Prometheus refuse the whole scrape.
  for (auto& [name, value] : labels) value = to_utf8(value);
  std::sort(labels.begin(), labels.end());
  for (size_t i = 0; i < labels.size(); i++) {
    TG_CHECK(prometheus::CheckLabelName(labels[i].first));
    TG_CHECK(i == 0 || labels[i].first != labels[i - 1].first);
  }
  return labels;
}

std::vector<prometheus::ClientMetric::Label> serializer_labels(const Labels& labels) {
  std::vector<prometheus::ClientMetric::Label> out;
  out.reserve(labels.size());
  for (const auto& [name, value] : labels) out.push_back({name, value});
  return out;
}

}  // namespace

// Hot: one thread-local read and one uncontended atomic add (about 5 ns).
void Counter::add(uint64_t n) {
  const size_t cell = my_cell != 0 ? my_cell : choose_cell(kCells);
  cells_[cell - 1].value.fetch_add(n, std::memory_order_relaxed);
}

uint64_t Counter::value() const {
  uint64_t sum = 0;
  for (const Cell& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
  return sum;
}

void Gauge::add(double d) { value_.fetch_add(d, std::memory_order_relaxed); }

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(new std::atomic<uint64_t>[bounds_.size() + 1]()) {
  TG_CHECK(std::is_sorted(bounds_.begin(), bounds_.end(), std::less_equal<>()));
}

void Histogram::observe(double v) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), v);
  counts_[static_cast<size_t>(bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

std::vector<uint64_t> Histogram::counts() const {
  std::vector<uint64_t> out(bounds_.size() + 1);
  for (size_t i = 0; i < out.size(); i++) out[i] = counts_[i].load(std::memory_order_relaxed);
  return out;
}

double Histogram::sum() const { return sum_.load(std::memory_order_relaxed); }

std::vector<double> duration_bounds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
          0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
}

struct Registry::State {
  // One name: metrics that count, or one function that computes them at each scrape.
  struct Family {
    prometheus::MetricType type;
    std::string help;
    std::map<Labels, std::unique_ptr<Counter>> counters;
    std::map<Labels, std::unique_ptr<Gauge>> gauges;
    std::map<Labels, std::unique_ptr<Histogram>> histograms;
    std::function<void(std::vector<Value>&)> fill;
  };
  struct Families {
    std::map<std::string, Family, std::less<>> by_name;  // families are never removed
    std::vector<std::function<void()>> prepares;
  };

  Guarded<Families> families;
  // Scrapes go one after the other: what `prepare` took for one is not replaced by the next.
  // Never taken while `families` is locked.
  std::mutex scraping;
};

namespace {

template <typename Families>
auto& declare(Families& families, std::string_view name, std::string_view help,
              prometheus::MetricType type) {
  auto found = families.by_name.find(name);
  if (found == families.by_name.end()) {
    TG_CHECK(prometheus::CheckMetricName(std::string(name)));
    found = families.by_name.try_emplace(std::string(name)).first;
    found->second.type = type;
    found->second.help = escape_help(help);
  }
  TG_CHECK(found->second.type == type);  // declared before as another type
  return found->second;
}

template <typename T, typename... Args>
T& child(std::map<Labels, std::unique_ptr<T>>& children, const Labels& labels, Args&&... args) {
  std::unique_ptr<T>& slot = children[sorted(labels)];
  if (!slot) slot = std::make_unique<T>(std::forward<Args>(args)...);
  return *slot;
}

}  // namespace

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  auto families = state_->families.lock();
  auto& family = declare(*families, name, help, prometheus::MetricType::Counter);
  TG_CHECK(!family.fill);
  return child(family.counters, labels);
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  auto families = state_->families.lock();
  auto& family = declare(*families, name, help, prometheus::MetricType::Gauge);
  TG_CHECK(!family.fill);
  return child(family.gauges, labels);
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, const Labels& labels,
                               const std::vector<double>& bounds) {
  auto families = state_->families.lock();
  auto& family = declare(*families, name, help, prometheus::MetricType::Histogram);
  Histogram& histogram = child(family.histograms, labels, bounds);
  TG_CHECK(histogram.bounds() == bounds);
  return histogram;
}

void Registry::collect(std::string_view name, std::string_view help, Type type,
                       std::function<void(std::vector<Value>&)> fill) {
  auto families = state_->families.lock();
  auto& family = declare(*families, name, help, serializer_type(type));
  TG_CHECK(!family.fill && family.counters.empty() && family.gauges.empty());
  family.fill = std::move(fill);
}

void Registry::on_scrape(std::function<void()> prepare) {
  state_->families.lock()->prepares.push_back(std::move(prepare));
}

std::string Registry::text() const {
  struct Fill {
    size_t family;
    std::function<void(std::vector<Value>&)> call;
  };
  std::lock_guard one_at_a_time(state_->scraping);
  std::vector<std::function<void()>> prepares = state_->families.lock()->prepares;
  for (const auto& prepare : prepares) prepare();

  std::vector<prometheus::MetricFamily> out;
  std::vector<Fill> fills;
  {
    auto families = state_->families.lock();
    for (const auto& [name, family] : families->by_name) {
      auto& made = out.emplace_back();
      made.name = name;
      made.help = family.help;
      made.type = family.type;
      for (const auto& [labels, counter] : family.counters) {
        auto& metric = made.metric.emplace_back();
        metric.label = serializer_labels(labels);
        metric.counter.value = static_cast<double>(counter->value());
      }
      for (const auto& [labels, gauge] : family.gauges) {
        auto& metric = made.metric.emplace_back();
        metric.label = serializer_labels(labels);
        metric.gauge.value = gauge->value();
      }
      for (const auto& [labels, histogram] : family.histograms) {
        auto& metric = made.metric.emplace_back();
        metric.label = serializer_labels(labels);
        metric.histogram = snapshot(*histogram);
      }
      if (family.fill) fills.push_back({out.size() - 1, family.fill});
    }
  }
  // Without the lock: a function may ask the registry for metrics.
  for (const Fill& fill : fills) {
    std::vector<Value> values;
    fill.call(values);
    prometheus::MetricFamily& family = out[fill.family];
    for (Value& value : values) {
      auto& metric = family.metric.emplace_back();
      metric.label = serializer_labels(sorted(std::move(value.labels)));
      set_value(metric, family.type, value.value);
    }
  }
  // A family without metrics is left out, as client_golang does.
  std::erase_if(out, [](const prometheus::MetricFamily& family) { return family.metric.empty(); });
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace tollgate::metrics
