#include "sink.h"

#include <snappy.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "CLI/CLI.hpp"
#include "commands.h"
#include "json_text.h"

namespace tollgate::bench {
namespace {

constexpr size_t kMaxDecoded = 256 << 20;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double parse_share(const std::string& key, double value) {
  if (!(value >= 0 && value <= 1)) {
    throw std::runtime_error(key + " is a fraction of the requests, from 0 to 1");
  }
  return value;
}

}  // namespace

std::vector<std::pair<int, double>> parse_status_mix(const std::string& text) {
  std::vector<std::pair<int, double>> out;
  double total = 0;
  size_t at = 0;
  while (at < text.size()) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string one = text.substr(at, comma - at);
    at = comma + 1;
    char* end = nullptr;
    const long status = std::strtol(one.c_str(), &end, 10);
    double share = 1;
    if (*end == ':') share = std::strtod(end + 1, &end);
    if (status < 200 || status > 599 || *end != '\0') {
      throw std::runtime_error("\"" + one + "\" in the status mix is not status:fraction");
    }
    out.emplace_back(static_cast<int>(status), parse_share("status mix", share));
    total += share;
  }
  if (total > 1 + 1e-9) throw std::runtime_error("the fractions of the status mix exceed 1");
  return out;
}

Faults::Outage parse_outage(const std::string& text) {
  const size_t plus = text.find('+');
  if (plus == std::string::npos) {
    throw std::runtime_error("\"" + text + "\" is not an outage such as 10s+300s (start+length)");
  }
  return {parse_duration(text.substr(0, plus)), parse_duration(text.substr(plus + 1))};
}

Faults Faults::parse(std::string_view json) {
  boost::json::error_code error;
  const auto value = boost::json::parse(json, error);
  if (error || !value.is_object()) throw std::runtime_error("the faults are not a JSON object");
  Faults out;
  for (const auto& [json_key, v] : value.as_object()) {
    std::string key(json_key);
    std::replace(key.begin(), key.end(), '-', '_');
    const auto text = [&]() -> std::string {
      if (!v.is_string()) throw std::runtime_error(key + " has to be a string");
      return std::string(v.as_string());
    };
    const auto number = [&]() -> double {
      if (!v.is_number()) throw std::runtime_error(key + " has to be a number");
      return v.to_number<double>();
    };
    if (key == "status_mix") {
      out.status_mix = parse_status_mix(text());
    } else if (key == "reset") {
      out.reset = parse_share(key, number());
    } else if (key == "hang") {
      out.hang = parse_share(key, number());
    } else if (key == "lose_answer") {
      out.lose_answer = parse_share(key, number());
    } else if (key == "lie") {
      out.lie = parse_share(key, number());
    } else if (key == "latency") {
      out.latency = std::chrono::milliseconds(static_cast<int64_t>(number()));
    } else if (key == "retry_after") {
      out.retry_after = text();
    } else if (key == "outage") {
      out.outage = parse_outage(text());
    } else {
      throw std::runtime_error("there is no fault \"" + key + "\"");
    }
  }
  return out;
}

Sink::Sink(const SinkOptions& options)
    : tally_(options.rules), tenant_header_(options.rules.tenant_header), random_(options.seed) {
  server_.reset(new Server(options.server, *this));  // make_unique cannot see the private base
  set(options.faults);
}

Sink::~Sink() { server_.reset(); }

void Sink::set(const Faults& faults) {
  {
    std::lock_guard lock(mutex_);
    faults_ = faults;
  }
  faulty_ = !faults.status_mix.empty() || faults.reset > 0 || faults.hang > 0 ||
            faults.lose_answer > 0 || faults.lie > 0 || faults.latency.count() > 0;
  if (faults.outage) {
    server_->schedule_outage(faults.outage->start, faults.outage->length);
  } else {
    server_->end_outage();
  }
}

bool Sink::draw(Response& response) {
  if (!faulty_) return true;
  std::lock_guard lock(mutex_);
  response.delay = faults_.latency;
  double at = std::uniform_real_distribution<double>(0, 1)(random_);
  const auto falls_to = [&](double share) {
    const bool here = at < share;
    at -= share;
    return here;
  };
  if (falls_to(faults_.lie)) return false;
  if (falls_to(faults_.lose_answer)) {
    response.kind = Response::Kind::kLoseAnswer;
    return true;
  }
  if (falls_to(faults_.reset)) {
    response.kind = Response::Kind::kReset;
    return false;
  }
  if (falls_to(faults_.hang)) {
    response.kind = Response::Kind::kHang;
    return false;
  }
  for (const auto& [status, share] : faults_.status_mix) {
    if (!falls_to(share)) continue;
    response.status = status;
    response.body = "refused on purpose\n";
    if (!faults_.retry_after.empty()) {
      response.headers = "Retry-After: " + faults_.retry_after + "\r\n";
    }
    return false;
  }
  return true;
}

void Sink::count_answer(const Response& response) {
  std::lock_guard lock(mutex_);
  requests_++;
  switch (response.kind) {
    case Response::Kind::kAnswer:
      answers_[std::to_string(response.status)]++;
      break;
    case Response::Kind::kHang:
      answers_["hang"]++;
      break;
    case Response::Kind::kReset:
      answers_["reset"]++;
      break;
    case Response::Kind::kLoseAnswer:
      answers_["lost"]++;
      break;
  }
  last_ms_ = now_ms();
  if (first_ms_ == 0) first_ms_ = last_ms_;
}

void Sink::handle_write(const Request& request, Response& response) {
  const std::string_view encoding = header(request.head, "Content-Encoding");
  if (!encoding.empty() && encoding != "snappy") {
    response.status = 415;
    response.body = "only snappy is decoded here\n";
    return;
  }
  if (!draw(response)) return;
  thread_local std::unique_ptr<char[]> decoded;
  thread_local size_t capacity = 0;
  size_t size = 0;
  const std::string_view body = request.body;
  bool sound =
      snappy::GetUncompressedLength(body.data(), body.size(), &size) && size <= kMaxDecoded;
  if (sound && size > capacity) {
    capacity = size + size / 2;
    decoded.reset(new char[capacity]);
  }
  sound = sound && snappy::RawUncompress(body.data(), body.size(), decoded.get());
  if (!sound) {
    tally_.count_malformed();
  } else {
    const std::string_view tenant =
        tenant_header_.empty() ? std::string_view() : header(request.head, tenant_header_);
    sound = tally_.take({decoded.get(), size}, tenant, body.size());
  }
  if (!sound) {
    response.status = 400;
    response.body = "not a remote write request\n";
  }
}

bool Sink::handle_control(const Request& request, Response& response) {
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  response.status = 200;
  if (request.method == "GET") {
    if (path == "/stats") {
      response.content_type = "application/json";
      response.body = stats() + "\n";
    } else if (path == "/state") {
      response.content_type = "application/octet-stream";
      response.body = tally_.encode_state();
    } else if (path == "/name") {
      const std::string query(
          request.target.substr(std::min(path.size() + 1, request.target.size())));
      response.body = tally_.name_of(std::strtoull(query.c_str(), nullptr, 10));
    } else {
      response.status = 404;
      response.body = "GET /stats or /state, POST /fault or /reset\n";
    }
    return true;
  }
  if (path == "/fault") {
    try {
      set(Faults::parse(request.body));
      response.status = 204;
    } catch (const std::runtime_error& e) {
      response.status = 400;
      response.body = std::string(e.what()) + "\n";
    }
    return true;
  }
  if (path == "/reset") {
    tally_.forget();
    std::lock_guard lock(mutex_);
    requests_ = 0;
    answers_.clear();
    first_ms_ = last_ms_ = 0;
    response.status = 204;
    return true;
  }
  return false;
}

void Sink::handle(const Request& request, Response& response) {
  if (handle_control(request, response)) return;
  response.status = 204;
  handle_write(request, response);
  count_answer(response);
}

std::string Sink::stats() const {
  const Counts c = tally_.counts();
  boost::json::array examples;
  for (const std::string& sentence : tally_.examples()) examples.emplace_back(sentence);
  std::lock_guard lock(mutex_);
  boost::json::object answers;
  for (const auto& [what, count] : answers_) answers[what] = count;
  return json_text(boost::json::object{
      {"requests", requests_},
      {"samples", c.samples},
      {"histograms", c.histograms},
      {"exemplars", c.exemplars},
      {"metadata", c.metadata},
      {"series", c.series},
      {"bytes", c.bytes},
      {"bytes_per_sample",
       c.samples == 0 ? 0.0 : static_cast<double>(c.bytes) / static_cast<double>(c.samples)},
      {"first_ms", first_ms_},
      {"last_ms", last_ms_},
      {"duplicates", c.duplicates},
      {"reordered", c.reordered},
      {"wrong_labels", c.wrong_labels},
      {"unsorted", c.unsorted},
      {"mixed", c.mixed},
      {"malformed", c.malformed},
      {"answers", std::move(answers)},
      {"examples", std::move(examples)},
      {"cpu_seconds", cpu_seconds()}});
}

namespace {

struct SinkFlags {
  SinkOptions options;
  std::vector<std::string> require;
  std::string status_mix;
  std::string outage;
  int latency = 0;
  int control = -1;
};

int sink(SinkFlags& flags) {
  for (const std::string& text : flags.require) flags.options.rules.require(text);
  Faults& faults = flags.options.faults;
  faults.status_mix = parse_status_mix(flags.status_mix);
  faults.latency = std::chrono::milliseconds(flags.latency);
  if (!flags.outage.empty()) faults.outage = parse_outage(flags.outage);
  if (flags.control >= 0) {
    flags.options.server.control_port = static_cast<uint16_t>(flags.control);
  }
  Sink sink(flags.options);
  std::printf("{\"port\": %u, \"control\": %u}\n", sink.port(), sink.control_port());
  std::fflush(stdout);
  sink.wait();
  return 0;
}

}  // namespace

void add_sink_command(CLI::App& app, std::function<int()>& run) {
  auto* command = app.add_subcommand(
      "sink", "A destination that verifies every sample and can fail on purpose; prints its port.");
  auto flags = std::make_shared<SinkFlags>();
  SinkOptions& o = flags->options;
  const auto share = CLI::Range(0.0, 1.0);
  command->add_option("--listen", o.server.port, "Port on 127.0.0.1; 0 = any.");
  command->add_flag("--any-address", o.server.any_address, "Listens on all addresses.");
  command->add_option("--control", flags->control,
                      "A second port for control that outages leave alone; 0 = any.");
  command->add_option("--threads", o.server.threads, "Threads that read and verify.")
      ->check(CLI::Range(1, 64));
  command->add_option("--require", flags->require,
                      "name=value: a label that every series must have, several values of a name "
                      "are alternatives; name=value@other=value: only where the other label is "
                      "that (repeatable).");
  command->add_flag("--allow-unsorted", o.rules.allow_unsorted,
                    "Unsorted labels are counted, but not wrong.");
  command->add_option("--same", o.rules.same,
                      "A label that may not differ within one request (repeatable).");
  command->add_option("--tenant-header", o.rules.tenant_header,
                      "Compares this header with the tenant that the load sent.");
  command->add_option("--status-mix", flags->status_mix,
                      "503:0.1,429:0.05: fractions of requests answered so, not stored.");
  command->add_option("--latency", flags->latency, "Milliseconds before every answer.");
  command->add_option("--retry-after", o.faults.retry_after, "With the statuses of the mix.");
  command->add_option("--reset", o.faults.reset, "Fraction of TCP resets, not stored.")
      ->check(share);
  command->add_option("--hang", o.faults.hang, "Fraction never answered, not stored.")
      ->check(share);
  command->add_option("--lose-answer", o.faults.lose_answer, "Fraction stored, but not answered.")
      ->check(share);
  command
      ->add_option("--lie", o.faults.lie,
                   "Fraction answered 204, but not stored: proves that a verdict can fail.")
      ->check(share);
  command->add_option("--outage", flags->outage,
                      "start+length, such as 10s+300s: the port refuses.");
  command->add_option("--tls-cert", o.server.tls_certificate, "PEM chain: serves HTTPS.");
  command->add_option("--tls-key", o.server.tls_key, "PEM key of --tls-cert.");
  command->add_option("--seed", o.seed, "Of the faults.");
  command->callback([flags, &run] { run = [flags] { return sink(*flags); }; });
}

}  // namespace tollgate::bench
