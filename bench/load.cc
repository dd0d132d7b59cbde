#include "load.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <queue>
#include <random>
#include <stdexcept>
#include <thread>

#include "http.h"
#include "json_text.h"
#include "labels.h"
#include "replay.h"
#include "stream.h"

namespace tollgate::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kMinBackoff{30};
constexpr milliseconds kMaxBackoff{5000};
constexpr int64_t kScrapeInterval = 15'000;  // ms: targets are scraped at their own time within it
constexpr int64_t kStepWithoutRate = 10;     // ms: keeps timestamps behind the clock at any speed
constexpr milliseconds kLastLap{1000};
constexpr size_t kVariantMemory = 256 << 20;

Clock::duration from_seconds(double s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
}
double to_seconds(Clock::duration d) { return std::chrono::duration<double>(d).count(); }

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string replace_all(std::string text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

std::string base64(const std::string& in) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < in.size(); i += 3) {
    uint32_t v = 0;
    for (size_t j = 0; j < 3; j++) {
      v = v << 8 | (i + j < in.size() ? static_cast<uint8_t>(in[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; j++) {
      out += i + j <= in.size() ? kDigits[v >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

std::string read_token(const std::string& path) {
  std::ifstream in(path);
  std::string token;
  if (!std::getline(in, token) || token.empty()) {
    throw std::runtime_error("cannot read a token from " + path);
  }
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back()))) token.pop_back();
  return token;
}

int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

struct Load::Target {
  Url url;
  Address address;
  std::unique_ptr<TlsContext> tls;
};

// A body with how it is to be sent, and what became of it.
struct Load::Template {
  Body body;
  std::string tenant;
  std::vector<std::string> heads;  // by target; the value of Content-Length is to follow
  uint64_t passes = 0;             // begun
  std::vector<ExceptionalPass> exceptions;
  Clock::time_point last_churn{};
  double churn_due = 0;  // series

  explicit Template(Body b) : body(std::move(b)) {}
};

struct Load::Sender {
  struct Connection {
    Sender* sender = nullptr;
    std::unique_ptr<Stream> stream;
    Clock::time_point opened{};
    bool used = false;  // has carried an answer
  };

  size_t index = 0;
  std::vector<Template> templates;
  size_t samples_of_pass = 0;
  std::vector<Connection> connections;  // by target

  // The request being sent.
  enum class State { kWaiting, kBackingOff, kWriting, kReading, kDone };
  State state = State::kWaiting;
  size_t next_template = 0;
  Template* current = nullptr;
  uint64_t pass = 0;
  std::string_view packed;
  size_t target = 0;
  std::string head;
  size_t written = 0;
  std::string answer;
  Clock::time_point due{};
  int attempt = 0;
  bool outcome_unknown = false;
  Clock::duration backoff = kMinBackoff;
  Clock::time_point timer{};  // what the loop's heap has for this sender
};

// The senders of one thread.
class Load::Loop {
 public:
  Loop(Load& load, std::vector<Sender*> senders, double rate, size_t samples_of_all)
      : load_(load),
        options_(load.options_),
        senders_(std::move(senders)),
        random_(options_.seed + 17 * (senders_.empty() ? 0 : senders_[0]->index)),
        rate_(rate),
        samples_of_all_(samples_of_all) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) throw std::runtime_error("cannot make an epoll instance");
  }
  ~Loop() { ::close(epoll_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void run(Clock::time_point start, Clock::time_point end) {
    start_ = start;
    end_ = end;
    left_ = senders_.size();
    for (Sender* s : senders_) {
      for (Template& t : s->templates) t.last_churn = start;
      // Senders are spread over one interval, as shards are.
      s->due = start + (rate_ > 0 ? interval(*s, s->templates[0]) * static_cast<int>(s->index) /
                                        static_cast<int>(options_.senders)
                                  : Clock::duration(0));
      wake_at(*s, s->due);
    }
    epoll_event events[128];
    while (left_ > 0) {
      auto now = Clock::now();
      if (load_.stopped_ && now < end_) end_ = now;
      if (now >= end_ + options_.drain) break;
      while (!timers_.empty() && timers_.top().first <= now) {
        Sender* s = timers_.top().second;
        const bool valid = timers_.top().first == s->timer;
        timers_.pop();
        if (valid) on_timer(*s);
      }
      if (left_ == 0) break;
      const auto next = timers_.empty() ? end_ + options_.drain
                                        : std::min(timers_.top().first, end_ + options_.drain);
      // A tenth of a second at most, to notice stop().
      const auto wait = std::clamp<int64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(next - Clock::now()).count(), 0,
          100'000'000);
      const timespec patience{0, static_cast<long>(wait)};
      const int n = ::epoll_pwait2(epoll_, events, 128, &patience, nullptr);
      for (int i = 0; i < n; i++) {
        on_event(*static_cast<Sender::Connection*>(events[i].data.ptr));
      }
    }
    for (Sender* s : senders_) {
      give_up(*s);
      for (Sender::Connection& c : s->connections) c.stream.reset();
    }
  }

  LoadReport report;
  Clock::time_point last_answer{};

 private:
  Clock::duration interval(const Sender& s, const Template& t) const {
    const double share =
        static_cast<double>(s.samples_of_pass) / static_cast<double>(samples_of_all_);
    return from_seconds(static_cast<double>(t.body.samples()) / (rate_ * share));
  }

  void wake_at(Sender& s, Clock::time_point when) {
    s.timer = when;
    timers_.emplace(when, &s);
  }

  void on_timer(Sender& s) {
    switch (s.state) {
      case Sender::State::kWaiting:
        next_request(s);
        break;
      case Sender::State::kBackingOff:
        attempt(s);
        break;
      case Sender::State::kWriting:
      case Sender::State::kReading:
        // No answer in time.
        broken(s);
        break;
      case Sender::State::kDone:
        break;
    }
  }

  // Begins the request that is due, if there is still one.
  void next_request(Sender& s) {
    const auto now = Clock::now();
    if ((rate_ > 0 ? s.due : now) >= end_ || (load_.stopped_ && now >= end_)) {
      s.state = Sender::State::kDone;
      left_--;
      return;
    }
    if (rate_ <= 0) s.due = now;
    s.current = &s.templates[s.next_template];
    s.next_template = (s.next_template + 1) % s.templates.size();
    Template& t = *s.current;
    s.pass = t.passes++;
    if (options_.churn > 0) churn(t, s.pass, now);
    s.packed = t.body.packed(s.pass);
    report.samples.offered += t.body.samples();
    // How late the requests at the end are, is how far the run has fallen behind.
    if (rate_ > 0 && now >= end_ - kLastLap) {
      report.behind_seconds = std::max(report.behind_seconds, to_seconds(now - s.due));
    }
    s.target = 0;
    s.attempt = 0;
    s.outcome_unknown = false;
    s.backoff = kMinBackoff;
    attempt(s);
  }

  void attempt(Sender& s) {
    Sender::Connection& c = s.connections[s.target];
    const auto now = Clock::now();
    if (c.stream != nullptr && options_.reconnect_every.count() > 0 &&
        now - c.opened >= options_.reconnect_every) {
      c.stream.reset();
    }
    if (c.stream == nullptr) {
      const Target& target = *load_.targets_[s.target];
      c.stream = Stream::connect(target.address, target.tls.get(), target.url.host);
      c.opened = now;
      report.connections++;
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
      event.data.ptr = &c;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, c.stream->fd(), &event);
    }
    s.head = s.current->heads[s.target];
    s.head.append(std::to_string(s.packed.size()));
    if (s.attempt > 0) s.head.append("\r\nRetry-Attempt: ").append(std::to_string(s.attempt));
    s.head.append("\r\n\r\n");
    s.written = 0;
    s.answer.clear();
    s.state = Sender::State::kWriting;
    wake_at(s, now + options_.timeout);
    progress(s);
  }

  void on_event(Sender::Connection& c) {
    Sender& s = *c.sender;
    if (c.stream == nullptr) return;
    const bool busy = s.state == Sender::State::kWriting || s.state == Sender::State::kReading;
    if (busy && &c == &s.connections[s.target]) {
      progress(s);
      return;
    }
    // Between requests: the peer may close, and nothing else.
    char byte;
    const ssize_t n = c.stream->read(&byte, 1);
    if (n != Stream::kAgain) c.stream.reset();
  }

  void progress(Sender& s) {
    Stream& stream = *s.connections[s.target].stream;
    const size_t size = s.head.size() + s.packed.size();
    while (s.state == Sender::State::kWriting) {
      iovec parts[2];
      int count = 0;
      if (s.written < s.head.size()) {
        parts[count++] = {s.head.data() + s.written, s.head.size() - s.written};
      }
      const size_t body_at = s.written > s.head.size() ? s.written - s.head.size() : 0;
      parts[count++] = {const_cast<char*>(s.packed.data()) + body_at, s.packed.size() - body_at};
      const ssize_t n = stream.write(parts, count);
      if (n == Stream::kAgain) break;  // an answer may be there already: a refusal
      if (n < 0) {
        broken(s);
        return;
      }
      s.written += static_cast<size_t>(n);
      if (s.written == size) s.state = Sender::State::kReading;
    }
    // What has just been written is not answered yet: the event will come.
    char chunk[16 * 1024];
    for (;;) {
      const ssize_t n = stream.read(chunk, sizeof chunk);
      if (n == Stream::kAgain) return;
      if (n > 0) s.answer.append(chunk, static_cast<size_t>(n));
      Answer answer;
      const Parsed parsed =
          n < 0 || s.answer.empty() ? Parsed::kBad : parse_answer(s.answer, n == 0, answer);
      if (parsed == Parsed::kBad) {
        broken(s);
        return;
      }
      if (parsed == Parsed::kMore) continue;
      const bool whole = s.written == size;
      if (answer.close || n == 0 || !whole) s.connections[s.target].stream.reset();
      answered(s, answer);
      return;
    }
  }

  void back_off(Sender& s, std::optional<Clock::duration> wanted) {
    s.state = Sender::State::kBackingOff;
    s.attempt++;
    report.requests.retried++;
    const auto pause = wanted.value_or(s.backoff);
    s.backoff = std::min<Clock::duration>(wanted.value_or(s.backoff) * 2, kMaxBackoff);
    wake_at(s, Clock::now() + pause);
  }

  // The connection is of no use any more.
  void broken(Sender& s) {
    const bool whole = s.written == s.head.size() + s.packed.size();
    auto& stream = s.connections[s.target].stream;
    report.last_error = stream->why().empty() ? "no answer" : stream->why();
    stream.reset();
    if (whole && !s.outcome_unknown) {
      s.outcome_unknown = true;
      report.requests.unknown++;
    }
    back_off(s, std::nullopt);
  }

  void answered(Sender& s, const Answer& answer) {
    if (answer.status / 100 == 2) {
      if (++s.target < s.connections.size()) {
        s.attempt = 0;
        s.backoff = kMinBackoff;
        attempt(s);
      } else {
        s.target = 0;
        finish(s, true);
      }
      return;
    }
    if (answer.status / 100 == 5 || answer.status == 429) {
      std::optional<Clock::duration> wanted;
      const std::string after(header(answer.head, "Retry-After"));
      if (!after.empty()) {
        char* end = nullptr;
        const double seconds = std::strtod(after.c_str(), &end);
        if (*end == '\0' && seconds >= 0) wanted = from_seconds(std::min(seconds, 300.0));
      }
      back_off(s, wanted);
      return;
    }
    if (report.first_refusal.empty()) {
      report.first_refusal = std::to_string(answer.status) + " " + answer.body.substr(0, 300);
    }
    s.target = 0;
    finish(s, false);
  }

  void finish(Sender& s, bool acknowledged) {
    Template& t = *s.current;
    const auto now = Clock::now();
    last_answer = now;
    if (acknowledged) {
      report.requests.acknowledged++;
      report.samples.acknowledged += t.body.samples();
      report.exemplars += t.body.exemplars();
      report.compressed_bytes += s.packed.size();
      report.raw_bytes += t.body.raw_size(s.pass);
      report.latencies.push_back(static_cast<float>(to_seconds(now - s.due) * 1e3));
    } else {
      report.requests.refused++;
      report.samples.refused += t.body.samples();
      t.exceptions.push_back({s.pass, true});
    }
    s.current = nullptr;
    s.state = Sender::State::kWaiting;
    if (rate_ > 0) s.due += interval(s, t);
    wake_at(s, rate_ > 0 ? s.due : now);  // a time that has passed means at once
  }

  // The time is up.
  void give_up(Sender& s) {
    if (s.state == Sender::State::kDone) return;
    if (s.current != nullptr) {
      s.current->exceptions.push_back({s.pass, true});
      report.requests.unfinished++;
      s.due += rate_ > 0 ? interval(s, *s.current) : Clock::duration(0);
      s.current = nullptr;
    }
    // What was due and not even begun was offered as well.
    while (rate_ > 0 && s.due < end_) {
      const Template& t = s.templates[s.next_template];
      s.next_template = (s.next_template + 1) % s.templates.size();
      report.samples.offered += t.body.samples();
      report.requests.unfinished++;
      report.behind_seconds = std::max(report.behind_seconds, to_seconds(Clock::now() - s.due));
      s.due += interval(s, t);
    }
    s.state = Sender::State::kDone;
  }

  // Replaces as many series of a body as are due, a pod at a time.
  void churn(Template& t, uint64_t pass, Clock::time_point now) {
    t.churn_due += options_.churn / 60 * to_seconds(now - t.last_churn) *
                   static_cast<double>(t.body.samples());
    t.last_churn = now;
    const auto& entries = t.body.entries();
    while (t.churn_due >= 1) {
      LabelViews labels;
      const auto pod_of = [&](const Entry& e) {
        read_labels(e.labels, labels);
        std::string_view instance;
        for (const auto& [name, value] : labels) {
          if (name == "pod") return std::string(value);
          if (name == "instance") instance = value;
        }
        return std::string(instance);
      };
      const std::string pod = pod_of(entries[random_() % entries.size()]);
      const uint64_t number = (random_() << 20 | renamed_++) & ((1ull << 44) - 1);
      for (size_t i = 0; i < entries.size(); i++) {
        if (pod_of(entries[i]) != pod) continue;
        t.body.rename(i, rename_series(entries[i].labels, number), pass);
        if (entries[i].kind != Entry::Kind::kExemplar) t.churn_due -= 1;
      }
    }
  }

  using Timer = std::pair<Clock::time_point, Sender*>;

  Load& load_;
  const LoadOptions& options_;
  std::vector<Sender*> senders_;
  std::mt19937_64 random_;
  const double rate_;  // samples a second of all senders of all threads
  const size_t samples_of_all_;
  int epoll_ = -1;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  Clock::time_point start_{};
  Clock::time_point end_{};
  size_t left_ = 0;
  uint64_t renamed_ = 0;
};

Load::Load(const LoadOptions& options) : options_(options) {
  if (options.to.empty()) throw std::runtime_error("--to is missing");
  if (options.senders == 0 || options.clusters == 0 || options.replicas == 0 ||
      options.series == 0 || options.samples_per_request == 0) {
    throw std::runtime_error("senders, clusters, replicas, series and samples have to be positive");
  }
  for (const std::string& to : options.to) {
    auto target = std::make_unique<Target>();
    target->url = parse_url(to, "/api/v1/write");
    target->address = resolve(target->url.host, target->url.port);
    if (target->url.tls) target->tls = TlsContext::client(options.ca_file);
    targets_.push_back(std::move(target));
  }
  for (size_t c = 0; c < options.clusters; c++) {
    const std::string name = cluster_name(c);
    std::string value;
    if (!options.bearer.empty()) {
      value = "Bearer " + replace_all(options.bearer, "{cluster}", name);
    } else if (!options.bearer_file.empty()) {
      value = "Bearer " + read_token(replace_all(options.bearer_file, "{cluster}", name));
    } else if (!options.basic.empty()) {
      value = "Basic " + base64(replace_all(options.basic, "{cluster}", name));
    }
    authorizations_.push_back(std::move(value));
  }
  for (size_t i = 0; i < options.senders; i++) {
    auto sender = std::make_unique<Sender>();
    sender->index = i;
    sender->connections.resize(targets_.size());
    for (auto& c : sender->connections) c.sender = sender.get();
    senders_.push_back(std::move(sender));
  }
  options.replay.empty() ? make_model() : make_replay();
  if (options.tenants > bodies_) {
    throw std::runtime_error("a request belongs to one tenant, and there are only " +
                             std::to_string(bodies_) + " different requests for " +
                             std::to_string(options.tenants) +
                             " tenants: raise --series or lower --samples-per-request");
  }
  for (auto& sender : senders_) {
    for (Template& t : sender->templates) {
      sender->samples_of_pass += t.body.samples();
      t.body.prepare();
    }
  }
}

Load::~Load() = default;

std::string Load::head_of(const Target& target, size_t cluster, const std::string& tenant) const {
  std::string head = "POST " + target.url.path + " HTTP/1.1\r\nHost: " + target.url.authority() +
                     "\r\nUser-Agent: tollgate-bench/1\r\nContent-Type: application/x-protobuf\r\n"
                     "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n";
  if (!authorizations_[cluster].empty()) {
    head += "Authorization: " + authorizations_[cluster] + "\r\n";
  }
  if (!tenant.empty()) head += options_.tenant_header + ": " + tenant + "\r\n";
  for (const std::string& line : options_.headers) {
    head += replace_all(line, "{cluster}", cluster_name(cluster)) + "\r\n";
  }
  return head + "Content-Length: ";
}

void Load::add_template(Sender& sender, Body body, size_t cluster) {
  Template& t = sender.templates.emplace_back(std::move(body));
  if (options_.tenants > 0) {
    char name[32];
    std::snprintf(name, sizeof name, "t%04zu", bodies_ % options_.tenants);
    t.tenant = name;
  }
  bodies_++;
  for (const auto& target : targets_) t.heads.push_back(head_of(*target, cluster, t.tenant));
}

// Cuts the series of one shard into requests.
void Load::add_bodies(Sender& sender, std::vector<Entry> entries, size_t cluster, int64_t t0) {
  std::vector<Entry> part;
  std::map<uint32_t, uint32_t> groups;
  std::vector<int64_t> starts;
  size_t samples = 0;
  const auto flush = [&] {
    if (part.empty()) return;
    add_template(sender, Body(std::move(part), std::move(starts), step_ms_, variants_), cluster);
    part.clear();
    starts.clear();
    groups.clear();
    samples = 0;
  };
  for (Entry& e : entries) {
    const bool sample = e.kind != Entry::Kind::kExemplar;
    if (sample && samples == options_.samples_per_request) flush();
    samples += sample;
    const uint32_t target = e.group;
    const auto [group, is_new] = groups.try_emplace(target, static_cast<uint32_t>(starts.size()));
    // Each target is scraped at its own time.
    if (is_new) {
      const uint64_t phase = (target + 1) * 0x9e3779b97f4a7c15 + cluster * 77777;
      starts.push_back(t0 - static_cast<int64_t>((phase >> 20) % kScrapeInterval));
    }
    e.group = group->second;
    part.push_back(std::move(e));
  }
  flush();
}

void Load::make_model() {
  const size_t pairs = options_.clusters * options_.replicas;
  const auto total = static_cast<double>(pairs * options_.series);
  step_ms_ = options_.step_ms;
  if (step_ms_ <= 0) {
    step_ms_ = options_.rate > 0 ? std::max<int64_t>(1, std::llround(1000 * total / options_.rate))
                                 : kStepWithoutRate;
  }
  // No more variants than memory allows, nor than passes will be made.
  const size_t affordable = kVariantMemory / static_cast<size_t>(50 * total);
  const auto passes = static_cast<size_t>(options_.rate * options_.seconds / total);
  variants_ =
      std::clamp<size_t>(options_.rate > 0 ? std::min(affordable, passes) : affordable, 2, 8);
  const int64_t t0 = now_ms();
  for (size_t pair = 0; pair < pairs; pair++) {
    // The senders of this replica: its shards. With fewer senders than replicas, one has several.
    std::vector<Sender*> shards;
    for (size_t s = 0; s < senders_.size(); s++) {
      if (s % pairs == pair || (s == pair % senders_.size() && senders_.size() < pairs)) {
        shards.push_back(senders_[s].get());
      }
    }
    ModelOptions m;
    m.profile = options_.profile;
    m.cluster = cluster_name(pair / options_.replicas);
    m.replica = static_cast<int>(pair % options_.replicas);
    m.histograms = options_.histograms;
    m.exemplars = options_.exemplars;
    m.variants = variants_;
    m.seed = options_.seed;
    // Whole requests, as a queue that never ends would make them.
    const size_t per_shard = std::max<size_t>(1, options_.series / shards.size());
    const size_t n = options_.samples_per_request;
    m.series = shards.size() * (per_shard < n ? per_shard : (per_shard + n / 2) / n * n);
    series_ += m.series;
    std::vector<std::vector<Entry>> parts(shards.size());
    size_t number = 0;
    for (Entry& e : make_series(m)) {
      // An exemplar goes where its series went, which was the one before.
      if (e.kind != Entry::Kind::kExemplar) number++;
      parts[(number - 1) % shards.size()].push_back(std::move(e));
    }
    for (size_t i = 0; i < shards.size(); i++) {
      add_bodies(*shards[i], std::move(parts[i]), pair / options_.replicas, t0);
    }
  }
}

void Load::make_replay() {
  if (options_.churn > 0 || options_.histograms > 0 || options_.exemplars > 0) {
    throw std::runtime_error("a recording is sent as it is: no churn, histograms or exemplars");
  }
  const Recording recording = Recording::load(options_.replay);
  step_ms_ = options_.step_ms;
  if (step_ms_ <= 0) {
    const auto total = static_cast<double>(recording.series() * senders_.size());
    step_ms_ = options_.rate > 0 ? std::max<int64_t>(1, std::llround(1000 * total / options_.rate))
                                 : kStepWithoutRate;
  }
  const int64_t t0 = now_ms();
  for (size_t i = 0; i < senders_.size(); i++) {
    for (Body& body : recording.bodies(i, t0, step_ms_)) {
      add_template(*senders_[i], std::move(body), i % options_.clusters);
    }
  }
  series_ = recording.series() * senders_.size();
}

LoadReport Load::run() {
  size_t samples_of_all = 0;
  std::vector<std::vector<Sender*>> shares(
      std::min<size_t>(static_cast<size_t>(std::max(1, options_.threads)), senders_.size()));
  for (size_t i = 0; i < senders_.size(); i++) {
    samples_of_all += senders_[i]->samples_of_pass;
    shares[i % shares.size()].push_back(senders_[i].get());
  }
  if (samples_of_all == 0) throw std::runtime_error("there are no samples to send");
  std::vector<std::unique_ptr<Loop>> loops;
  for (auto& share : shares) {
    loops.push_back(std::make_unique<Loop>(*this, share, options_.rate, samples_of_all));
  }
  const double cpu_before = cpu_seconds();
  const auto start = Clock::now();
  const auto end = start + from_seconds(options_.seconds);
  std::vector<std::thread> threads;
  for (auto& loop : loops) {
    threads.emplace_back([&loop, start, end] { loop->run(start, end); });
  }
  for (std::thread& t : threads) t.join();

  LoadReport out;
  out.open_loop = options_.rate > 0;
  out.senders = senders_.size();
  out.series = series_;
  out.cpu_seconds = cpu_seconds() - cpu_before;
  auto last = start;
  for (const auto& loop : loops) {
    const LoadReport& r = loop->report;
    out.requests.acknowledged += r.requests.acknowledged;
    out.requests.refused += r.requests.refused;
    out.requests.retried += r.requests.retried;
    out.requests.unknown += r.requests.unknown;
    out.requests.unfinished += r.requests.unfinished;
    out.samples.offered += r.samples.offered;
    out.samples.acknowledged += r.samples.acknowledged;
    out.samples.refused += r.samples.refused;
    out.compressed_bytes += r.compressed_bytes;
    out.raw_bytes += r.raw_bytes;
    out.exemplars += r.exemplars;
    out.connections += r.connections;
    out.behind_seconds = std::max(out.behind_seconds, r.behind_seconds);
    out.latencies.insert(out.latencies.end(), r.latencies.begin(), r.latencies.end());
    if (out.first_refusal.empty()) out.first_refusal = r.first_refusal;
    if (out.last_error.empty()) out.last_error = r.last_error;
    last = std::max(last, loop->last_answer);
  }
  std::sort(out.latencies.begin(), out.latencies.end());
  out.seconds = to_seconds(last - start);
  return out;
}

Expectation Load::expectation() const {
  Expectation out;
  for (const auto& sender : senders_) {
    for (const Template& t : sender->templates) {
      t.body.expect(t.passes, t.exceptions, t.tenant, out);
    }
  }
  return out;
}

double LoadReport::quantile(double q) const {
  if (latencies.empty()) return 0;
  const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(latencies.size())));
  return latencies[std::clamp<size_t>(rank, 1, latencies.size()) - 1];
}

std::string LoadReport::json() const {
  const auto per = [](uint64_t a, uint64_t b) {
    return b == 0 ? 0.0 : static_cast<double>(a) / static_cast<double>(b);
  };
  const auto rounded = [](double v, double unit) { return std::round(v / unit) * unit; };
  boost::json::object out{
      {"mode", open_loop ? "open" : "max"},
      {"protocol", "rw1"},
      {"seconds", rounded(seconds, 1e-3)},
      {"senders", senders},
      {"series", series},
      {"requests",
       {{"acknowledged", requests.acknowledged},
        {"refused", requests.refused},
        {"retried", requests.retried},
        {"unknown", requests.unknown},
        {"unfinished", requests.unfinished}}},
      {"samples",
       {{"offered", samples.offered},
        {"acknowledged", samples.acknowledged},
        {"refused", samples.refused}}},
      {"exemplars", exemplars},
      {"bytes", {{"compressed", compressed_bytes}, {"raw", raw_bytes}}},
      {"bytes_per_sample",
       {{"compressed", rounded(per(compressed_bytes, samples.acknowledged), 1e-2)},
        {"raw", rounded(per(raw_bytes, samples.acknowledged), 1e-2)}}},
      {"latency_ms",
       {{"p50", rounded(quantile(0.5), 1e-3)},
        {"p90", rounded(quantile(0.9), 1e-3)},
        {"p99", rounded(quantile(0.99), 1e-3)},
        {"p999", rounded(quantile(0.999), 1e-3)},
        {"max", rounded(quantile(1), 1e-3)}}},
      {"behind_seconds", rounded(behind_seconds, 1e-3)},
      {"rate_samples_per_second",
       rounded(seconds > 0 ? static_cast<double>(samples.acknowledged) / seconds : 0, 1)},
      {"connections", connections},
      {"cpu_seconds", rounded(cpu_seconds, 1e-3)}};
  if (!first_refusal.empty()) out["first_refusal"] = first_refusal;
  if (!last_error.empty()) out["last_error"] = last_error;
  return json_text(out);
}

}  // namespace tollgate::bench
