#include "server.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <queue>
#include <stdexcept>

namespace tollgate::bench {
namespace {

constexpr size_t kChunk = 256 * 1024;

void watch(int epoll, int fd, uint32_t events, void* what) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = what;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    throw std::runtime_error("epoll_ctl: " + std::string(std::strerror(errno)));
  }
}

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 429:
      return "Too Many Requests";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

}  // namespace

struct Server::Connection {
  std::unique_ptr<Stream> stream;
  size_t worker = 0;
  bool control = false;
  std::unique_ptr<char[]> buffer;
  size_t capacity = 0;
  size_t begin = 0;  // of what is not yet handled
  size_t end = 0;
  std::string out;       // the head of an answer
  std::string out_body;  // may be large: never copied
  size_t out_at = 0;     // over both
  bool close_after = false;
  bool hanging = false;
  bool ended = false;  // the peer has closed its side
  // While an answer waits for its delay, no further request is read.
  std::optional<Clock::time_point> due;
  Response delayed;
  bool delayed_close = false;
};

struct Server::Worker {
  int epoll = -1;
  int wake = -1;
  using Timer = std::pair<Clock::time_point, Connection*>;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers;
  std::unordered_set<Connection*> own;

  Worker() {
    epoll = ::epoll_create1(EPOLL_CLOEXEC);
    wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll < 0 || wake < 0) throw std::runtime_error("cannot make an epoll instance");
    watch(epoll, wake, EPOLLIN, this);
  }
  ~Worker() {
    ::close(epoll);
    ::close(wake);
  }
  void notify() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake, &one, sizeof one);
  }
};

Server::Server(const ServerOptions& options, Handler& handler)
    : handler_(handler), data_(options.port, options.any_address) {
  if (!options.tls_certificate.empty()) {
    tls_ = TlsContext::server(options.tls_certificate, options.tls_key);
  }
  if (options.control_port) control_ = std::make_unique<Port>(*options.control_port, false);
  for (int i = 0; i < std::max(1, options.threads); i++) {
    workers_.push_back(std::make_unique<Worker>());
  }
  const int epoll = workers_[0]->epoll;
  listener_ = data_.listen();
  watch(epoll, listener_, EPOLLIN, &listener_);
  if (control_) {
    control_listener_ = control_->listen();
    watch(epoll, control_listener_, EPOLLIN, &control_listener_);
  }
  for (size_t i = 0; i < workers_.size(); i++) threads_.emplace_back([this, i] { run(i); });
}

Server::~Server() {
  stopping_ = true;
  for (const auto& worker : workers_) worker->notify();
  wait();
  for (Connection* c : connections_) delete c;
  if (listener_ >= 0) ::close(listener_);
  if (control_listener_ >= 0) ::close(control_listener_);
}

void Server::wait() {
  for (std::thread& t : threads_) {
    if (t.joinable()) t.join();
  }
}

uint16_t Server::port() const { return data_.number(); }
uint16_t Server::control_port() const { return control_ ? control_->number() : data_.number(); }

void Server::schedule_outage(std::chrono::milliseconds start, std::chrono::milliseconds length) {
  {
    std::lock_guard lock(mutex_);
    outage_start_ = Clock::now() + start;
    outage_end_ = *outage_start_ + length;
  }
  workers_[0]->notify();
}

void Server::end_outage() {
  {
    std::lock_guard lock(mutex_);
    outage_start_.reset();
    outage_end_.reset();
  }
  workers_[0]->notify();
}

std::optional<Server::Clock::time_point> Server::mind_outage() {
  std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (outage_end_ && now >= *outage_end_) {
    outage_start_.reset();
    outage_end_.reset();
  }
  const bool out = outage_start_ && now >= *outage_start_;
  if (out && listener_ >= 0) {
    ::close(listener_);
    listener_ = -1;
    for (Connection* c : connections_) {
      // The thread of the connection sees the end and closes it.
      if (!c->control) ::shutdown(c->stream->fd(), SHUT_RDWR);
    }
  } else if (!out && listener_ < 0) {
    listener_ = data_.listen();
    watch(workers_[0]->epoll, listener_, EPOLLIN, &listener_);
  }
  return out ? outage_end_ : outage_start_;
}

void Server::accept_on(int listener, bool control) {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    auto* c = new Connection;
    c->stream = Stream::accepted(fd, tls_.get());
    c->control = control;
    c->worker = next_worker_++ % workers_.size();
    {
      std::lock_guard lock(mutex_);
      connections_.insert(c);
    }
    // From here on the connection belongs to that worker's thread.
    watch(workers_[c->worker]->epoll, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, c);
  }
}

void Server::drop(Worker& worker, Connection& connection) {
  worker.own.erase(&connection);
  std::lock_guard lock(mutex_);
  connections_.erase(&connection);
  delete &connection;
}

void Server::run(size_t index) {
  Worker& worker = *workers_[index];
  std::optional<Clock::time_point> outage;
  if (index == 0) outage = mind_outage();
  epoll_event events[64];
  while (!stopping_) {
    auto next = outage;
    if (!worker.timers.empty() && (!next || worker.timers.top().first < *next)) {
      next = worker.timers.top().first;
    }
    int timeout = -1;
    if (next) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - Clock::now()).count();
      timeout = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
    }
    const int n = ::epoll_wait(worker.epoll, events, 64, timeout);
    for (int i = 0; i < n; i++) {
      void* what = events[i].data.ptr;
      if (what == &worker) {
        uint64_t ignored;
        [[maybe_unused]] const ssize_t r = ::read(worker.wake, &ignored, sizeof ignored);
        if (index == 0) outage = mind_outage();
      } else if (what == &listener_) {
        if (listener_ >= 0) accept_on(listener_, false);
      } else if (what == &control_listener_) {
        accept_on(control_listener_, true);
      } else {
        auto& c = *static_cast<Connection*>(what);
        worker.own.insert(&c);
        if (!progress(worker, c)) drop(worker, c);
      }
    }
    const auto now = Clock::now();
    if (index == 0 && outage && now >= *outage) outage = mind_outage();
    while (!worker.timers.empty() && worker.timers.top().first <= now) {
      Connection* c = worker.timers.top().second;
      worker.timers.pop();
      if (!worker.own.contains(c) || !c->due || *c->due > now) continue;  // gone, or newer
      c->due.reset();
      prepare(*c, std::move(c->delayed), c->delayed_close);
      if (!progress(worker, *c)) drop(worker, *c);
    }
  }
}

void Server::prepare(Connection& c, Response&& response, bool close) {
  c.close_after = close;
  switch (response.kind) {
    case Response::Kind::kHang:
      c.hanging = true;
      return;
    case Response::Kind::kReset:
      c.stream->reset();
      c.close_after = true;
      return;
    case Response::Kind::kLoseAnswer:
      c.close_after = true;
      return;
    case Response::Kind::kAnswer:
      break;
  }
  c.out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  c.out.append(reason(response.status)).append("\r\n").append(response.headers);
  if (close) c.out.append("Connection: close\r\n");
  if (response.status != 204) {
    c.out.append("Content-Type: ").append(response.content_type);
    c.out.append("\r\nContent-Length: ").append(std::to_string(response.body.size()));
    c.out.append("\r\n\r\n");
    c.out_body = std::move(response.body);
  } else {
    c.out.append("\r\n");
  }
}

bool Server::flush(Connection& c) {
  const size_t head = c.out.size();
  while (c.out_at < head + c.out_body.size()) {
    iovec parts[2];
    int count = 0;
    if (c.out_at < head) parts[count++] = {c.out.data() + c.out_at, head - c.out_at};
    const size_t body_at = c.out_at > head ? c.out_at - head : 0;
    if (body_at < c.out_body.size()) {
      parts[count++] = {c.out_body.data() + body_at, c.out_body.size() - body_at};
    }
    const ssize_t n = c.stream->write(parts, count);
    if (n == Stream::kAgain) return true;
    if (n <= 0) return false;
    c.out_at += static_cast<size_t>(n);
  }
  c.out.clear();
  c.out_body = std::string();  // gives its memory back
  c.out_at = 0;
  return !c.close_after;
}

bool Server::progress(Worker& worker, Connection& c) {
  bool drained = false;  // the socket has nothing more for now
  for (;;) {
    if (c.close_after || !c.out.empty()) {
      if (!flush(c)) return false;
      if (!c.out.empty()) return true;  // goes on with the next event
    }
    if (c.due) return true;
    size_t needed = 0;
    Request request;
    const std::string_view waiting(c.buffer.get() + c.begin, c.end - c.begin);
    const Parsed parsed =
        waiting.empty() || c.hanging ? Parsed::kMore : parse_request(waiting, request, needed);
    if (parsed == Parsed::kBad) {
      Response bad;
      bad.status = 400;
      bad.body = "not an HTTP/1.1 request with a Content-Length\n";
      prepare(c, std::move(bad), true);
      continue;
    }
    if (parsed == Parsed::kYes) {
      Response response;
      handler_.handle(request, response);
      const bool close = request.close;
      c.begin += request.size();
      if (c.begin == c.end) c.begin = c.end = 0;
      if (response.delay.count() > 0) {
        c.due = Clock::now() + response.delay;
        c.delayed = std::move(response);
        c.delayed_close = close;
        worker.timers.emplace(*c.due, &c);
        return true;
      }
      prepare(c, std::move(response), close);
      continue;
    }
    if (c.ended) return false;
    if (drained) return true;
    // Room for the whole request where its size is known, else for another chunk.
    const size_t want = std::max(needed, c.end - c.begin + kChunk);
    if (c.begin > 0 || c.capacity < want) {
      if (c.capacity < want) {
        std::unique_ptr<char[]> larger(new char[want + want / 2]);
        if (c.end > c.begin) {
          std::memcpy(larger.get(), c.buffer.get() + c.begin, c.end - c.begin);
        }
        c.buffer = std::move(larger);
        c.capacity = want + want / 2;
      } else {
        std::memmove(c.buffer.get(), c.buffer.get() + c.begin, c.end - c.begin);
      }
      c.end -= c.begin;
      c.begin = 0;
    }
    const size_t room = c.capacity - c.end;
    const ssize_t n = c.stream->read(c.buffer.get() + c.end, room);
    if (n == Stream::kBroken) return false;
    if (n == Stream::kAgain) {
      drained = true;
      continue;
    }
    if (n == 0) {
      c.ended = true;
      continue;
    }
    if (c.hanging) continue;  // read and forgotten, so that the end of the connection is seen
    c.end += static_cast<size_t>(n);
  }
}

}  // namespace tollgate::bench
