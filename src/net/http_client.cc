#include "net/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/answer_parser.h"
#include "net/lookup.h"
#include "net/tls_transport.h"
#include "net/transport.h"

namespace tollgate::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using Io = Transport::Io;
using std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;
constexpr asio::use_awaitable_t<Executor> kAwait;

constexpr size_t kScratchSize = 16 * 1024;
// What may be unparsed of an answer: a part of its head, or of a chunk's.
constexpr size_t kMaxPending = 80 * 1024;

std::string in_words(milliseconds time) {
  const auto ms = time.count();
  return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000) : fmt::format("{}ms", ms);
}

Error unavailable(std::string message) {
  return destination_error(Code::kUnavailable, std::move(message));
}

struct Connection {
  std::unique_ptr<Transport> transport;
  std::string peer;  // "10.0.0.1:443", with the name if it was found by name
  SteadyTime created;
  SteadyTime idle_since;
};

// A request in flight, as far as the client's timer and cancel() care.
struct Attempt {
  explicit Attempt(Executor executor) : waiting(executor) {}

  bool stopped() const { return timed_out || cancelled; }
  void interrupt() {
    waiting.cancel();
    ErrorCode ignored;  // not connecting just now
    if (connecting != nullptr) connecting->cancel(ignored);
    if (transport != nullptr) transport->interrupt();
  }

  SteadyTime deadline;
  // Of the address being tried, when others are left.
  SteadyTime connect_deadline = SteadyTime::max();
  bool timed_out = false;
  bool connect_timed_out = false;
  bool cancelled = false;
  std::string doing;  // for the sentence of a timeout
  Timer waiting;
  Socket* connecting = nullptr;
  Transport* transport = nullptr;
};

// All of a client. Shared with its requests in flight, so that the client may go before them.
struct State : std::enable_shared_from_this<State> {
  State(Loop& l, ClientOptions o)
      : loop(l),
        options(std::move(o)),
        lookup(l, options.host, options.port),
        timer(l.executor()),
        scratch(new char[kScratchSize]) {}

  void arm(SteadyTime when);
  void on_timer();
  std::optional<Connection> take_idle();
  void put_idle(Connection connection);
  void close_idle();
  void cancel();
  // How far an attempt was stopped, as an error.
  Error stop_error(const Attempt& attempt) const;

  Loop& loop;
  const ClientOptions options;
  Lookup lookup;
  // One timer for all requests: it is armed for the earliest deadline, which under load is met
  // once a timeout, not once a request.
  Timer timer;
  SteadyTime armed = SteadyTime::max();
  const std::unique_ptr<char[]> scratch;  // valid until the next suspension
  std::vector<Connection> idle;           // the most recently used last
  std::vector<Attempt*> attempts;
};

void State::arm(SteadyTime when) {
  if (when >= armed) return;
  armed = when;
  timer.expires_at(when);
  timer.async_wait([weak = weak_from_this()](ErrorCode ec) {
    if (ec) return;
    if (auto state = weak.lock()) state->on_timer();
  });
}

void State::on_timer() {
  armed = SteadyTime::max();
  const SteadyTime now = std::chrono::steady_clock::now();
  SteadyTime next = SteadyTime::max();
  for (Attempt* attempt : attempts) {
    if (now >= attempt->deadline) {
      attempt->timed_out = true;
      attempt->deadline = attempt->connect_deadline = SteadyTime::max();
      attempt->interrupt();
    } else if (now >= attempt->connect_deadline) {
      attempt->connect_timed_out = true;
      attempt->connect_deadline = SteadyTime::max();
      attempt->interrupt();
    }
    next = std::min({next, attempt->deadline, attempt->connect_deadline});
  }
  const auto old = [&](const Connection& c) { return now - c.idle_since >= options.idle_timeout; };
  while (!idle.empty() && old(idle.front())) {
    idle.front().transport->shutdown_send();
    idle.erase(idle.begin());
  }
  if (!idle.empty()) next = std::min(next, idle.front().idle_since + options.idle_timeout);
  arm(next);
}

std::optional<Connection> State::take_idle() {
  const SteadyTime now = std::chrono::steady_clock::now();
  while (!idle.empty()) {
    Connection connection = std::move(idle.back());
    idle.pop_back();
    const bool usable = now - connection.idle_since < options.idle_timeout &&
                        now - connection.created < options.max_connection_age &&
                        !connection.transport->is_stale();
    if (usable) return connection;
    connection.transport->shutdown_send();
  }
  return std::nullopt;
}

void State::put_idle(Connection connection) {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now - connection.created >= options.max_connection_age || options.max_idle == 0) {
    connection.transport->shutdown_send();
    return;
  }
  if (idle.size() >= options.max_idle) {
    idle.front().transport->shutdown_send();
    idle.erase(idle.begin());
  }
  connection.idle_since = now;
  idle.push_back(std::move(connection));
  arm(idle.front().idle_since + options.idle_timeout);
}

void State::close_idle() {
  for (Connection& connection : idle) connection.transport->shutdown_send();
  idle.clear();
}

void State::cancel() {
  for (Attempt* attempt : attempts) {
    attempt->cancelled = true;
    attempt->interrupt();
  }
  close_idle();
}

Error State::stop_error(const Attempt& attempt) const {
  if (attempt.cancelled) return our_error(Code::kUnavailable, "cancelled");
  return unavailable(fmt::format("timeout after {} {}", in_words(options.timeout), attempt.doing));
}

// Registers an attempt for as long as its request runs.
class Registered {
 public:
  Registered(State& state, Attempt& attempt) : state_(state), attempt_(attempt) {
    attempt.deadline = std::chrono::steady_clock::now() + state.options.timeout;
    state.attempts.push_back(&attempt);
    state.arm(attempt.deadline);
  }
  ~Registered() { std::erase(state_.attempts, &attempt_); }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

 private:
  State& state_;
  Attempt& attempt_;
};

// Connects to one address and shakes hands. `last`: no other address is left to try.
Task<Result<Connection>> connect(State& state, Attempt& attempt, Tcp::endpoint endpoint,
                                 size_t addresses_left) {
  Connection connection;
  connection.peer = to_string(endpoint);
  ErrorCode ec;
  asio::ip::make_address(state.options.host, ec);
  if (ec) connection.peer += " (" + state.options.host + ')';
  attempt.connect_timed_out = false;
  attempt.doing = "connecting to " + connection.peer;
  connection.created = std::chrono::steady_clock::now();
  if (addresses_left > 1) {
    const auto share = (attempt.deadline - connection.created) / addresses_left;
    attempt.connect_deadline = connection.created + share;
    state.arm(attempt.connect_deadline);
  }
  Socket socket(state.loop.executor());
  ec = {};
  attempt.connecting = &socket;
  auto token = asio::redirect_error(kAwait, ec);
  co_await socket.async_connect(endpoint, token);
  attempt.connecting = nullptr;
  attempt.connect_deadline = SteadyTime::max();
  if (attempt.stopped()) co_return state.stop_error(attempt);
  if (attempt.connect_timed_out) {
    co_return unavailable("connect " + connection.peer + ": no answer in time");
  }
  if (ec) co_return unavailable("connect " + connection.peer + ": " + ec.message());

  if (!state.options.tls) {
    connection.transport = Transport::plain(std::move(socket));
    co_return connection;
  }
  auto tls = make_tls_client(std::move(socket), *state.options.tls, state.options.host);
  if (!tls) co_return tls.error();
  connection.transport = std::move(*tls);
  attempt.doing = "in the TLS handshake with " + connection.peer;
  attempt.transport = connection.transport.get();
  const Io io = co_await connection.transport->handshake();
  attempt.transport = nullptr;
  if (attempt.stopped()) co_return state.stop_error(attempt);
  if (io == Io::kDone) co_return connection;
  const std::string why = io == Io::kFailed ? connection.transport->problem()
                                            : "the peer closed the connection in the handshake";
  co_return unavailable("TLS with " + connection.peer + ": " + why);
}

// A fresh connection: all addresses in turn.
Task<Result<Connection>> open(State& state, Attempt& attempt) {
  attempt.doing = "resolving " + state.options.host;
  auto found = co_await state.lookup.resolve(attempt.waiting);
  if (attempt.stopped()) co_return state.stop_error(attempt);
  if (!found) co_return found.error();
  const std::vector<Tcp::endpoint> endpoints = std::move(*found);
  for (size_t i = 0;; i++) {
    auto connection = co_await connect(state, attempt, endpoints[i], endpoints.size() - i);
    if (connection || attempt.stopped() || i + 1 == endpoints.size()) {
      co_return std::move(connection);
    }
  }
}

// The answer of one exchange as it arrives.
class Answer {
 public:
  explicit Answer(bool no_body) : no_body_(no_body) { parser_.emplace(no_body); }

  // True when there is nothing more to read: complete, hopeless, or long enough.
  bool feed(std::string_view bytes);
  bool any_bytes() const { return any_bytes_; }
  // The status is known, so this answer counts whatever happens to its body.
  bool head_complete() const { return parser_->is_header_done() && problem_.empty(); }
  bool reusable() const { return complete_ && parser_->keep_alive(); }
  const std::string& problem() const { return problem_; }
  ClientResponse take() { return parser_->take(Clock::real().now_ms()); }

 private:
  const bool no_body_;
  std::optional<AnswerParser> parser_;
  std::string pending_;
  bool any_bytes_ = false;
  bool complete_ = false;
  std::string problem_;
};

bool Answer::feed(std::string_view bytes) {
  any_bytes_ = true;
  std::string_view in = bytes;
  if (!pending_.empty()) {
    pending_.append(bytes);
    in = pending_;
  }
  ErrorCode ec;
  while (!in.empty()) {
    const size_t used = parser_->put(asio::buffer(in.data(), in.size()), ec);
    in.remove_prefix(used);
    if (ec == http::error::need_more) {
      if (in.size() <= kMaxPending) break;
      ec = http::error::header_limit;
    }
    if (!ec && parser_->is_header_done() && parser_->status_code() == 101) {
      ec = http::error::bad_status;
    }
    if (ec) {
      if (!parser_->is_header_done() || parser_->status_code() == 101) problem_ = ec.message();
      return true;
    }
    if (parser_->enough()) return true;
    if (!parser_->is_done()) continue;
    if (parser_->status_code() >= 200) {
      complete_ = in.empty();
      return true;
    }
    parser_.emplace(no_body_);
  }
  std::string rest(in);
  pending_.swap(rest);
  return false;
}

struct Outcome {
  std::optional<ClientResponse> response;
  bool reusable = false;
  bool any_bytes = false;  // of an answer
  std::string problem;     // if there is no response
};

// One request on one connection.
class Exchange {
 public:
  Exchange(State& state, Attempt& attempt, Connection& connection, std::string_view head,
           std::span<const std::string_view> body)
      : state_(state),
        attempt_(attempt),
        connection_(connection),
        transport_(*connection.transport),
        answer_(head.starts_with("HEAD ")) {
    pieces_.reserve(body.size() + 1);
    pieces_.push_back({const_cast<char*>(head.data()), head.size()});
    for (const std::string_view piece : body) {
      if (!piece.empty()) pieces_.push_back({const_cast<char*>(piece.data()), piece.size()});
    }
  }

  Task<Outcome> run() {
    attempt_.doing = "sending to " + connection_.peer;
    const bool ended = co_await send();
    if (!ended) {
      attempt_.doing = "waiting for the answer of " + connection_.peer;
      co_await receive();
    }
    co_return outcome();
  }

 private:
  // Sends the request. True: the exchange has ended already, because the answer came early or the
  // connection broke in a way that leaves nothing to read.
  Task<bool> send() {
    std::span<iovec> left(pieces_);
    skip_bytes(left, 0);
    while (!left.empty()) {
      size_t n = 0;
      const Io io = transport_.try_write(left, n);
      if (io == Io::kDone) {
        skip_bytes(left, n);
        continue;
      }
      if (io != Io::kWantWrite) {
        // The peer has gone, but may have said why before.
        problem_ = io == Io::kFailed ? transport_.problem() : "closed by the peer";
        co_return false;
      }
      bool readable = false;
      const Io waited = co_await transport_.wait_either(readable);
      if (waited != Io::kDone) {
        problem_ = transport_.problem();
        co_return true;
      }
      if (!readable) continue;
      const Io read = transport_.try_read(state_.scratch.get(), kScratchSize, n);
      if (read == Io::kDone) {
        const std::string_view bytes(state_.scratch.get(), n);
        if (answer_.feed(bytes)) co_return true;
        // The peer has decided: what is left of the body would be thrown away.
        if (answer_.head_complete()) co_return false;
      } else if (read != Io::kWantRead && read != Io::kWantWrite) {
        problem_ = read == Io::kFailed ? transport_.problem() : "closed by the peer";
        co_return true;
      }
    }
    sent_ = true;
    co_return false;
  }

  Task<void> receive() {
    // A broken connection has its last bytes ready, or none.
    bool expect_wait = sent_;
    for (;;) {
      size_t n = 0;
      const Io io = co_await transport_.read(state_.scratch.get(), kScratchSize, expect_wait, n);
      if (io == Io::kDone) {
        const std::string_view bytes(state_.scratch.get(), n);
        if (answer_.feed(bytes)) co_return;
        expect_wait = true;
        continue;
      }
      // A TLS alert that was waiting says more than the broken pipe which led here.
      if (io == Io::kFailed) {
        problem_ = transport_.problem();
      } else if (problem_.empty()) {
        problem_ = "closed by the peer";
      }
      co_return;
    }
  }

  Outcome outcome() {
    Outcome out;
    out.any_bytes = answer_.any_bytes();
    if (answer_.head_complete()) {
      out.reusable = sent_ && answer_.reusable() && !attempt_.stopped();
      out.response = answer_.take();
    } else if (!answer_.problem().empty()) {
      out.problem = "bad HTTP answer of " + connection_.peer + ": " + answer_.problem();
    } else {
      out.problem = (sent_ ? "waiting for the answer of " : "sending to ") + connection_.peer +
                    ": " + problem_;
    }
    return out;
  }

  State& state_;
  Attempt& attempt_;
  Connection& connection_;
  Transport& transport_;
  Answer answer_;
  std::vector<iovec> pieces_;
  bool sent_ = false;
  std::string problem_;
};

Task<Result<ClientResponse>> request(std::shared_ptr<State> state, std::string_view head,
                                     std::span<const std::string_view> body) {
  Attempt attempt(state->loop.executor());
  Registered registered(*state, attempt);
  std::optional<Connection> connection = state->take_idle();
  for (;;) {
    const bool reused = connection.has_value();
    if (!reused) {
      auto opened = co_await open(*state, attempt);
      if (!opened) co_return opened.error();
      connection = std::move(*opened);
    }
    Exchange exchange(*state, attempt, *connection, head, body);
    connection->transport->resume();
    attempt.transport = connection->transport.get();
    Outcome outcome = co_await exchange.run();
    attempt.transport = nullptr;
    if (outcome.reusable) {
      state->put_idle(std::move(*connection));
    } else {
      connection->transport->shutdown_send();
    }
    connection.reset();
    if (attempt.cancelled) co_return state->stop_error(attempt);
    if (outcome.response) co_return std::move(*outcome.response);
    if (attempt.stopped()) co_return state->stop_error(attempt);
    // The peer closed while the connection lay in the pool: that was no answer to us.
    if (reused && !outcome.any_bytes) continue;
    co_return unavailable(std::move(outcome.problem));
  }
}

class HttpClientImpl final : public HttpClient {
 public:
  HttpClientImpl(Loop& loop, ClientOptions options)
      : state_(std::make_shared<State>(loop, std::move(options))) {}

  ~HttpClientImpl() override {
    const bool elsewhere = state_->loop.running() && !state_->loop.on_this_thread();
    if (!elsewhere) {
      shut(*state_);
      return;
    }
    asio::post(state_->loop.context(), [state = state_] { shut(*state); });
  }

  Task<Result<ClientResponse>> send(std::string_view head,
                                    std::span<const std::string_view> body) override {
    return request(state_, head, body);
  }

  void cancel() override { state_->cancel(); }

  size_t connections() const override {
    const auto open = [](const Attempt* attempt) { return attempt->transport != nullptr; };
    return state_->idle.size() + static_cast<size_t>(std::count_if(state_->attempts.begin(),
                                                                   state_->attempts.end(), open));
  }

 private:
  static void shut(State& state) {
    state.cancel();
    state.lookup.forget();
    state.timer.cancel();
  }

  const std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<HttpClient> HttpClient::make(Loop& loop, ClientOptions options) {
  return std::make_unique<HttpClientImpl>(loop, std::move(options));
}

}  // namespace tollgate::net
