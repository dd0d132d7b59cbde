#include "deliver/destination.h"

#include <fmt/format.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "metrics/build_info.h"

namespace tollgate::deliver {
namespace {

std::string base64(std::string_view in) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < in.size(); i += 3) {
    uint32_t v = static_cast<unsigned char>(in[i]) << 16;
    if (i + 1 < in.size()) v |= static_cast<unsigned char>(in[i + 1]) << 8;
    if (i + 2 < in.size()) v |= static_cast<unsigned char>(in[i + 2]);
    out += kAlphabet[v >> 18];
    out += kAlphabet[(v >> 12) & 63];
    out += i + 1 < in.size() ? kAlphabet[(v >> 6) & 63] : '=';
    out += i + 2 < in.size() ? kAlphabet[v & 63] : '=';
  }
  return out;
}

}  // namespace

Destination::Destination(std::string name, metrics::Registry& registry, const Clock& clock)
    : name_(std::move(name)),
      registry_(registry),
      clock_(clock),
      duration_(registry.histogram("tollgate_destination_request_duration_seconds",
                                   "Time of one request to a destination, answered or not.",
                                   {{"destination", name_}})),
      bytes_(registry.counter("tollgate_destination_sent_bytes_total",
                              "Compressed body bytes that a destination has answered 2xx to.",
                              {{"destination", name_}})),
      held_gauge_(registry.gauge("tollgate_destination_held",
                                 "1 while a lane is held by 401, 403, 404, 407 or another sign of "
                                 "wrong configuration; nothing is dropped.",
                                 {{"destination", name_}})),
      highest_sent_(
          registry.gauge("tollgate_destination_highest_sent_timestamp_seconds",
                         "Highest sample timestamp that the destination has answered 2xx to.",
                         {{"destination", name_}})) {}

metrics::Counter& Destination::requests(int status) {
  auto by_code = by_code_.lock();
  metrics::Counter*& slot = (*by_code)[status];
  if (slot == nullptr) {
    slot = &registry_.counter(
        "tollgate_destination_requests_total",
        "Requests to a destination by answer; code=\"error\" where there was none.",
        {{"destination", name_}, {"code", status == 0 ? "error" : std::to_string(status)}});
  }
  return *slot;
}

void Destination::record(int status, double seconds, const std::string& problem) {
  requests(status).add();
  duration_.observe(seconds);
  auto health = health_.lock();
  health->last_status = status;
  if (problem.empty()) {
    health->last_success_ms = clock_.now_ms();
  } else {
    health->last_error = problem;
    health->last_error_ms = clock_.now_ms();
  }
}

void Destination::delivered(int64_t max_timestamp_ms, uint64_t bytes) {
  bytes_.add(bytes);
  auto health = health_.lock();
  if (max_timestamp_ms <= health->highest_sent_timestamp_ms) return;
  health->highest_sent_timestamp_ms = max_timestamp_ms;
  highest_sent_.set(static_cast<double>(max_timestamp_ms) / 1000);
}

void Destination::retrying(int delta) {
  retrying_lanes_ += delta;
  auto health = health_.lock();
  refresh_state(*health);
}

void Destination::held(int delta) {
  held_lanes_ += delta;
  auto health = health_.lock();
  refresh_state(*health);
}

void Destination::refresh_state(Health& health) {
  const bool is_held = held_lanes_.load() > 0;
  held_gauge_.set(is_held ? 1 : 0);
  health.state = is_held ? "held" : retrying_lanes_.load() > 0 ? "retrying" : "ok";
}

Endpoint::Endpoint(net::Loop& loop, config::RemoteWrite settings,
                   std::shared_ptr<net::ClientTlsContext> tls, uint32_t slots)
    : loop_(loop), settings_(std::move(settings)), free_slots_(slots) {
  const config::Url& url = settings_.url;
  const bool ipv6 = url.host.find(':') != std::string::npos;
  const bool default_port = url.port == (url.scheme == "https" ? 443 : 80);
  std::string host = ipv6 ? "[" + url.host + "]" : url.host;
  if (!default_port) host += fmt::format(":{}", url.port);
  fixed_head_ = fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nContent-Type: application/x-protobuf\r\n"
      "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n",
      url.target, host, "tollgate/" + metrics::build_info().version);
  for (const auto& [key, value] : settings_.headers) {
    fixed_head_ += fmt::format("{}: {}\r\n", key, value);
  }
  if (settings_.basic_auth) {
    fixed_head_ += fmt::format(
        "Authorization: Basic {}\r\n",
        base64(settings_.basic_auth->username + ':' + settings_.basic_auth->password.value));
  } else if (!settings_.bearer.empty()) {
    fixed_head_ += fmt::format("Authorization: {} {}\r\n", settings_.authorization_type,
                               settings_.bearer.value);
  }
  net::ClientOptions options;
  options.host = url.host;
  options.port = url.port;
  options.timeout = settings_.remote_timeout;
  options.tls = std::move(tls);
  client_ = net::HttpClient::make(loop, std::move(options));
}

std::string Endpoint::head(const std::string& tenant, uint64_t content_length,
                           uint32_t attempt) const {
  std::string out;
  out.reserve(fixed_head_.size() + 128);
  out = fixed_head_;
  if (!settings_.tenant_header.empty()) {
    out += settings_.tenant_header;
    out += ": ";
    out += tenant;
    out += "\r\n";
  }
  if (attempt > 0) out += fmt::format("Retry-Attempt: {}\r\n", attempt);
  out += fmt::format("Content-Length: {}\r\n\r\n", content_length);
  return out;
}

net::Task<void> Endpoint::acquire() {
  if (free_slots_ > 0) {
    free_slots_--;
    co_return;
  }
  auto turn = std::make_shared<Timer>(loop_.context());
  turn->expires_at(std::chrono::steady_clock::time_point::max());
  waiting_.push_back(turn);
  boost::system::error_code ignored;  // cancelled by release(), which hands its slot over
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<net::Executor>{}, ignored);
  co_await turn->async_wait(token);
}

void Endpoint::release() {
  if (waiting_.empty()) {
    free_slots_++;
    return;
  }
  waiting_.front()->cancel();
  waiting_.pop_front();
}

}  // namespace tollgate::deliver
