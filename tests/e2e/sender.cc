#include "sender.h"

#include <snappy.h>

#include <algorithm>

namespace tollgate::e2e {
namespace {

void put(Labels& labels, const std::string& name, const std::string& value, bool replace) {
  for (auto& label : labels) {
    if (label.first != name) continue;
    if (replace || label.second.empty()) label.second = value;
    return;
  }
  labels.emplace_back(name, value);
}

void fill_histogram(prometheus::Histogram& histogram, uint64_t value, bool integer,
                    int64_t timestamp) {
  histogram.set_sum(static_cast<double>(value));
  histogram.set_schema(3);
  histogram.set_zero_threshold(1e-128);
  histogram.set_timestamp(timestamp);
  auto* span = histogram.add_positive_spans();
  span->set_offset(-2);
  span->set_length(2);
  if (integer) {
    histogram.set_count_int(2 * value + 4);
    histogram.set_zero_count_int(1);
    histogram.add_positive_deltas(static_cast<int64_t>(value) + 1);
    histogram.add_positive_deltas(1);
  } else {
    histogram.set_count_float(2.0 * static_cast<double>(value) + 1.5);
    histogram.set_zero_count_float(0.5);
    histogram.add_positive_counts(static_cast<double>(value));
    histogram.add_positive_counts(static_cast<double>(value) + 1);
  }
}

}  // namespace

int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string compress(const prometheus::WriteRequest& message) {
  std::string out;
  const std::string raw = message.SerializeAsString();
  snappy::Compress(raw.data(), raw.size(), &out);
  return out;
}

Headers write_headers() {
  return {{"Content-Type", "application/x-protobuf"},
          {"Content-Encoding", "snappy"},
          {"User-Agent", "Prometheus/2.42.0"},
          {"X-Prometheus-Remote-Write-Version", "0.1.0"}};
}

void add_series(prometheus::WriteRequest& request, const Labels& labels, double value,
                int64_t timestamp) {
  auto* series = request.add_timeseries();
  for (const auto& [name, text] : labels) {
    auto* label = series->add_labels();
    label->set_name(name);
    label->set_value(text);
  }
  auto* sample = series->add_samples();
  sample->set_value(value);
  sample->set_timestamp(timestamp);
}

Sender::Sender(SenderOptions options)
    : options_(std::move(options)), first_timestamp_(now_ms()), random_(options_.seed) {}

void Sender::start() {
  thread_ = std::thread([this] {
    run();
    done_ = true;
  });
}

void Sender::stop(milliseconds patience) {
  if (!stopping_) {
    give_up_at_ = in(patience).time_since_epoch().count();
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

Labels Sender::own_labels(int series) const {
  Labels labels = {
      {"__name__", "e2e_sequence"}, {"sender", options_.name}, {"series", std::to_string(series)}};
  if (options_.exemplars) labels.emplace_back("exemplars", "all");
  if (options_.padding > 0) {
    std::mt19937_64 random(options_.seed * 1'000'003 + static_cast<uint64_t>(series));
    std::string padding;
    while (padding.size() < options_.padding) {
      padding += static_cast<char>('!' + random() % 90);
      if (padding.back() == '"' || padding.back() == '\\') padding.pop_back();
    }
    labels.emplace_back("padding", padding);
  }
  labels.insert(labels.end(), options_.labels.begin(), options_.labels.end());
  return labels;
}

std::vector<std::string> Sender::series() const {
  std::vector<std::string> out;
  for (int i = 0; i < options_.series; ++i) out.push_back(options_.name + "/" + std::to_string(i));
  return out;
}

std::vector<Labels> Sender::expected_labels(int series) const {
  std::vector<Labels> out;
  for (const Treatment& treatment : options_.treatments) {
    Labels labels = own_labels(series);
    for (const auto& [name, value] : treatment.enforced) put(labels, name, value, true);
    for (const auto& [name, value] : treatment.external) put(labels, name, value, false);
    std::erase_if(labels, [](const auto& label) { return label.second.empty(); });
    std::sort(labels.begin(), labels.end());
    out.push_back(labels);
  }
  return out;
}

prometheus::WriteRequest Sender::make(uint64_t from, int count) {
  prometheus::WriteRequest message;
  for (int s = 0; s < options_.series; ++s) {
    Labels labels = own_labels(s);
    std::sort(labels.begin(), labels.end());
    if (options_.unsorted) std::shuffle(labels.begin(), labels.end(), random_);
    auto* series = message.add_timeseries();
    for (const auto& [name, value] : labels) {
      auto* label = series->add_labels();
      label->set_name(name);
      label->set_value(value);
    }
    for (int i = 0; i < count; ++i) {
      const uint64_t value = from + static_cast<uint64_t>(i);
      const int64_t timestamp = first_timestamp_ + static_cast<int64_t>(value);
      if (options_.histograms && s % 5 == 4) {
        fill_histogram(*series->add_histograms(), value, s % 2 == 0, timestamp);
        continue;
      }
      auto* sample = series->add_samples();
      sample->set_value(static_cast<double>(value));
      sample->set_timestamp(timestamp);
      if (!options_.exemplars) continue;
      auto* exemplar = series->add_exemplars();
      auto* label = exemplar->add_labels();
      label->set_name("trace_id");
      label->set_value(std::to_string(random_()));
      exemplar->set_value(static_cast<double>(value));
      exemplar->set_timestamp(timestamp);
    }
  }
  return message;
}

int Sender::post(const std::string& request) {
  const Deadline deadline = in(options_.timeout);
  if (!socket_) socket_ = connect_to(options_.port, deadline);
  if (!socket_) return 0;
  HttpReader reader(socket_);
  if (!send_all(socket_, request, deadline)) {
    socket_.close();
    return 0;
  }
  const auto answer = reader.read(deadline);
  const int status = answer ? answer->status() : 0;
  if (!answer || answer->header("connection") == "close") socket_.close();
  if (status != 0 && status / 100 != 2 && status / 100 != 5) {
    const std::lock_guard lock(mutex_);
    failure_ = options_.name + " was answered " + std::to_string(status) + ": " + answer->body;
  }
  return status;
}

void Sender::run() {
  Headers headers = write_headers();
  if (!options_.authorization.empty())
    headers.emplace_back("Authorization", options_.authorization);
  headers.insert(headers.end(), options_.headers.begin(), options_.headers.end());
  while (!stopping_ && (options_.last == 0 || acknowledged_ < options_.last)) {
    const auto count = static_cast<uint64_t>(options_.samples_per_series);
    attempted_ = acknowledged_ + count;
    const std::string request =
        render_request("POST", options_.path, headers,
                       compress(make(acknowledged_ + 1, options_.samples_per_series)));
    // Prometheus starts at 30 ms and doubles up to 5 s; capped lower here to keep the pressure up.
    milliseconds back_off(10);
    for (;;) {
      const int status = post(request);
      if (status / 100 == 2) break;
      {
        const std::lock_guard lock(mutex_);
        ++answers_[status];
        if (!failure_.empty()) return;
      }
      if (Clock::now().time_since_epoch().count() >= give_up_at_) return;
      std::this_thread::sleep_for(back_off);
      back_off = std::min(back_off * 2, milliseconds(200));
    }
    acknowledged_ += count;
    if (options_.pace.count() > 0) std::this_thread::sleep_for(options_.pace);
  }
}

uint64_t Sender::retries(int status) const {
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(status);
  return found == answers_.end() ? 0 : found->second;
}

std::string Sender::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace tollgate::e2e
