#include "sink.h"

#include <poll.h>
#include <snappy.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

namespace tollgate::e2e {
namespace {

std::string answer_text(int status, const std::string& retry_after, const std::string& body) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " Answer\r\n";
  if (!retry_after.empty()) out += "Retry-After: " + retry_after + "\r\n";
  if (status != 204) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n";
  return status == 204 ? out : out + body;
}

bool readable(const Socket& socket) {
  pollfd p{socket.fd(), POLLIN, 0};
  return ::poll(&p, 1, 600'000) > 0;
}

}  // namespace

std::string render(const Labels& labels) {
  std::string out = "{";
  for (const auto& [name, value] : labels) {
    out += (out.size() > 1 ? ", " : "") + name + "=\"" + value + "\"";
  }
  return out + "}";
}

Sink::Sink(std::string name, uint64_t seed)
    : name_(std::move(name)), port_(free_port()), random_(seed), listener_(listen_on(port_)) {
  acceptor_ = std::thread([this] { accept_loop(); });
}

Sink::~Sink() {
  stopping_ = true;
  vanish();
  acceptor_.join();
  for (Connection& connection : connections_) connection.thread.join();
}

std::string Sink::url() const {
  return "http://127.0.0.1:" + std::to_string(port_) + "/api/v1/write";
}

void Sink::set(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  fault_ = fault;
  ++generation_;
  changed_.notify_all();
}

void Sink::judge(Judge judge) {
  const std::lock_guard lock(mutex_);
  judge_ = std::move(judge);
}

void Sink::vanish() {
  const std::lock_guard lock(mutex_);
  listener_.close();
  for (Connection& connection : connections_) {
    // Wakes the connection's thread, which owns and closes the descriptor.
    if (connection.fd >= 0) ::shutdown(connection.fd, SHUT_RDWR);
  }
  ++generation_;
  changed_.notify_all();
}

void Sink::come_back() {
  const bool listening = eventually(in(milliseconds(10'000)), [&] {
    const std::lock_guard lock(mutex_);
    if (!listener_) listener_ = listen_on(port_);
    return static_cast<bool>(listener_);
  });
  if (!listening) anomaly("cannot listen on port " + std::to_string(port_) + " again");
}

void Sink::accept_loop() {
  while (!stopping_) {
    int fd = -1;
    {
      const std::lock_guard lock(mutex_);
      if (listener_) fd = ::accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        connections_.remove_if([](Connection& c) {
          if (!c.done) return false;
          c.thread.join();
          return true;
        });
        Connection& connection = connections_.emplace_back();
        connection.fd = fd;
        connection.thread = std::thread([this, fd, &connection] { serve(Socket(fd), connection); });
      }
    }
    if (fd < 0) std::this_thread::sleep_for(milliseconds(2));
  }
}

void Sink::serve(Socket socket, Connection& connection) {
  HttpReader reader(socket);
  for (;;) {
    if (!readable(socket)) break;
    const Fault fault = roll();
    if (fault.kind == Fault::Kind::kReset) {
      char some[64];
      if (::recv(socket.fd(), some, sizeof some, 0) <= 0) break;
      const std::lock_guard lock(mutex_);  // vanish() must not see a descriptor that is reused
      connection.fd = -1;
      socket.reset();
      break;
    }
    const auto request = reader.read(in(milliseconds(60'000)));
    if (!request) break;
    if (!answer(socket, *request, fault)) break;
  }
  {
    const std::lock_guard lock(mutex_);
    connection.fd = -1;
    socket.close();
  }
  connection.done = true;
}

Fault Sink::roll() {
  const std::lock_guard lock(mutex_);
  if (std::uniform_real_distribution<>(0, 1)(random_) >= fault_.share) return Fault{};
  return fault_;
}

void Sink::wait_for_change(milliseconds limit) {
  std::unique_lock lock(mutex_);
  const uint64_t before = generation_;
  changed_.wait_for(lock, limit, [&] { return generation_ != before || stopping_; });
}

bool Sink::answer(Socket& socket, const HttpMessage& request, const Fault& fault) {
  ++requests_seen_;
  const auto reply = [&](int status, const std::string& retry_after, const std::string& body) {
    {
      const std::lock_guard lock(mutex_);
      ++answered_[status];
    }
    return send_all(socket, answer_text(status, retry_after, body), in(milliseconds(10'000)));
  };
  if (fault.kind == Fault::Kind::kStatus) {
    return reply(fault.status, fault.retry_after, "the sink was told to refuse\n");
  }
  if (fault.kind == Fault::Kind::kHang) {
    wait_for_change(milliseconds(120'000));
    return false;
  }
  if (request.method() != "POST" || request.header("content-encoding") != "snappy" ||
      request.header("content-type").rfind("application/x-protobuf", 0) != 0 ||
      request.header("x-prometheus-remote-write-version") != "0.1.0") {
    anomaly("not a remote-write request: " + request.start + ", content-type '" +
            request.header("content-type") + "', content-encoding '" +
            request.header("content-encoding") + "', version '" +
            request.header("x-prometheus-remote-write-version") + "'");
  }
  std::string raw;
  prometheus::WriteRequest message;
  if (!snappy::Uncompress(request.body.data(), request.body.size(), &raw) ||
      !message.ParseFromString(raw)) {
    anomaly("a body of " + std::to_string(request.body.size()) + " bytes that cannot be decoded");
    return reply(400, "", "cannot decode\n");
  }
  Judge judge;
  {
    const std::lock_guard lock(mutex_);
    judge = judge_;
  }
  if (const int status = judge ? judge(request, message) : 0; status != 0) {
    return reply(status, "", "the sink does not like this one\n");
  }
  store(request, message);
  if (fault.kind == Fault::Kind::kLoseAnswer) return false;
  if (fault.kind == Fault::Kind::kSlow) wait_for_change(fault.delay);
  static constexpr int kGood[] = {200, 204, 202};
  return reply(kGood[requests_seen_ % 3], "", "");
}

void Sink::store(const HttpMessage& request, const prometheus::WriteRequest& message) {
  size_t seen = largest_body_;
  while (seen < request.body.size() &&
         !largest_body_.compare_exchange_weak(seen, request.body.size())) {
  }
  std::string tenant_header = kTenantHeader;
  std::transform(tenant_header.begin(), tenant_header.end(), tenant_header.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  const std::string tenant = request.header(tenant_header);
  std::set<std::pair<std::string, std::string>> pairs;
  for (const auto& series : message.timeseries()) {
    std::pair<std::string, std::string> pair;
    for (const auto& label : series.labels()) {
      if (label.name() == "cluster") pair.first = label.value();
      if (label.name() == "prometheus_replica") pair.second = label.value();
    }
    pairs.insert(pair);
  }
  if (pairs.size() > 1) {
    anomaly("one request mixes " + std::to_string(pairs.size()) +
            " (cluster, replica) pairs: " + pairs.begin()->first + "/" + pairs.begin()->second +
            ", " + pairs.rbegin()->first + "/" + pairs.rbegin()->second);
  }
  const std::lock_guard lock(mutex_);
  for (const auto& series : message.timeseries()) store_series(tenant, series);
  if (keep_) requests_.push_back(message);
}

void Sink::store_series(const std::string& tenant, const prometheus::TimeSeries& series) {
  Labels labels;
  std::string sender, name, exemplars;
  for (const auto& label : series.labels()) {
    if (!labels.empty() && label.name() <= labels.back().first) {
      anomalies_.push_back("labels not sorted or not unique at " + label.name());
    }
    if (label.value().empty()) anomalies_.push_back("label " + label.name() + " is empty");
    labels.emplace_back(label.name(), label.value());
    if (label.name() == "sender") sender = label.value();
    if (label.name() == "series") name = label.value();
    if (label.name() == "exemplars") exemplars = label.value();
  }
  Received& received = received_[sender + "/" + name];
  if (received.label_sets.size() < 10) received.label_sets.insert(labels);
  received.tenants.insert(tenant);
  const auto take = [&](double value) {
    received.values.push_back(static_cast<uint64_t>(value));
    received.highest = std::max(received.highest, received.values.back());
  };
  for (const auto& sample : series.samples()) take(sample.value());
  for (const auto& histogram : series.histograms()) take(histogram.sum());
  samples_by_tenant_[tenant] +=
      static_cast<uint64_t>(series.samples_size() + series.histograms_size());
  if (exemplars == "all" && series.samples_size() > 0 &&
      (series.exemplars_size() != series.samples_size() ||
       series.exemplars(0).value() != series.samples(0).value())) {
    anomalies_.push_back("an exemplar of " + sender + "/" + name + " is missing or another's");
  }
}

void Sink::anomaly(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (anomalies_.size() < 100) anomalies_.push_back(text);
}

std::map<std::string, Received> Sink::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

uint64_t Sink::highest(const std::string& series) const {
  const std::lock_guard lock(mutex_);
  const auto found = received_.find(series);
  return found == received_.end() ? 0 : found->second.highest;
}

uint64_t Sink::samples() const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [tenant, samples] : samples_by_tenant_) sum += samples;
  return sum;
}

uint64_t Sink::samples_of(const std::string& tenant) const {
  const std::lock_guard lock(mutex_);
  const auto found = samples_by_tenant_.find(tenant);
  return found == samples_by_tenant_.end() ? 0 : found->second;
}

uint64_t Sink::answered(int status) const {
  const std::lock_guard lock(mutex_);
  const auto found = answered_.find(status);
  return found == answered_.end() ? 0 : found->second;
}

std::vector<prometheus::WriteRequest> Sink::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> Sink::anomalies() const {
  const std::lock_guard lock(mutex_);
  return anomalies_;
}

}  // namespace tollgate::e2e
