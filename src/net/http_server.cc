#include "net/http_server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>

#include "base/check.h"
#include "base/log.h"
#include "net/session.h"
#include "net/tls_transport.h"

namespace tollgate::net {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using std::chrono::milliseconds;
using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
constexpr asio::use_awaitable_t<Executor> kAwait;

constexpr milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kAcceptLogEvery{10};

// Deadlines are looked at this often: once a second, or oftener where a limit is shorter.
milliseconds sweep_interval(const ServerOptions& options) {
  const milliseconds shortest =
      std::min({options.idle_timeout, options.header_timeout, options.body_timeout});
  return std::clamp(shortest / 4, milliseconds(10), milliseconds(1000));
}

// A session's coroutine owns it. What escapes here is a bug of ours; it ends one connection.
Task<void> run_session(std::unique_ptr<Session> session) {
  try {
    co_await session->run();
  } catch (const std::exception& e) {
    log::error("connection failed", {{"error", e.what()}});
  }
}

void must_not_throw(std::exception_ptr e) { TG_CHECK(!e); }

Result<Tcp::endpoint> resolve(Executor executor, const ServerOptions& options) {
  ErrorCode ec;
  if (options.host.empty()) {
    // Everywhere: [::] takes IPv4 too, unless the machine has no IPv6.
    asio::basic_stream_socket<Tcp, Executor> probe(executor);
    probe.open(Tcp::v6(), ec);
    return Tcp::endpoint(ec ? Tcp::v4() : Tcp::v6(), options.port);
  }
  const auto address = asio::ip::make_address(options.host, ec);
  if (!ec) return Tcp::endpoint(address, options.port);
  asio::ip::basic_resolver<Tcp, Executor> resolver(executor);
  const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                      asio::ip::resolver_base::passive, ec);
  if (ec || found.empty()) {
    return our_error(Code::kUnavailable,
                     fmt::format("listen on {}: {}", options.host, ec.message()));
  }
  return found.begin()->endpoint();
}

using Acceptor = asio::basic_socket_acceptor<Tcp, Executor>;

// `shared`: with SO_REUSEPORT, which all acceptors of this server have.
ErrorCode listen(Acceptor& acceptor, const Tcp::endpoint& endpoint, bool shared) {
  ErrorCode ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(Acceptor::reuse_address(true), ec);
  if (!ec && shared) acceptor.set_option(ReusePort(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec && shared) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  return ec;
}

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(std::vector<std::shared_ptr<ServerCore>> cores,
                 std::shared_ptr<ServerShared> shared, uint16_t port)
      : cores_(std::move(cores)), shared_(std::move(shared)), port_(port) {}

  ~HttpServerImpl() override {
    shared_->stopping = true;
    for (auto& core : cores_) close(core);
  }

  uint16_t port() const override { return port_; }

  void stop_accepting() override {
    shared_->stopping = true;
    for (auto& core : cores_) {
      asio::post(core->loop.context(), [core] { core->stop_accepting(); });
    }
  }

  size_t connections() const override { return shared_->connections; }
  uint64_t refused_connections() const override { return shared_->refused; }

 private:
  static void close(const std::shared_ptr<ServerCore>& core) {
    if (core->loop.running()) {
      TG_CHECK(!core->loop.on_this_thread());
      auto closed = std::make_shared<std::promise<void>>();
      std::future<void> wait = closed->get_future();
      asio::post(core->loop.context(),
                 [core, closed] { core->close_all([closed] { closed->set_value(); }); });
      // The loop may be stopped while we wait for a handler.
      while (core->loop.running()) {
        if (wait.wait_for(milliseconds(50)) == std::future_status::ready) break;
      }
    }
    if (!core->loop.running()) core->abandon();
  }

  const std::vector<std::shared_ptr<ServerCore>> cores_;
  const std::shared_ptr<ServerShared> shared_;
  const uint16_t port_;
};

}  // namespace

ServerCore::ServerCore(Loop& l, ServerOptions o, HttpHandler& h, std::shared_ptr<ServerShared> s)
    : loop(l),
      options(std::move(o)),
      handler(&h),
      shared(std::move(s)),
      acceptor(l.executor()),
      sweep_timer(l.executor()),
      accept_pause(l.executor()),
      scratch(new char[kScratch]),
      random(std::random_device()()) {}

void ServerCore::start() {
  schedule_sweep();
  asio::co_spawn(loop.executor(), accept_connections(shared_from_this()), must_not_throw);
}

void ServerCore::stop_accepting() {
  ErrorCode ignored;  // closing twice is fine
  acceptor.close(ignored);
  accept_pause.cancel();
  for (Session* session : sessions) session->close_if_idle();
}

void ServerCore::close_all(std::function<void()> closed) {
  stop_accepting();
  for (Session* session : sessions) session->abort();
  on_empty = std::move(closed);
  if (!sessions.empty()) return;
  sweep_timer.cancel();
  on_empty();
}

void ServerCore::abandon() {
  ErrorCode ignored;
  acceptor.close(ignored);
  accept_pause.cancel();
  sweep_timer.cancel();
  for (Session* session : sessions) session->abandon();
  handler = nullptr;
  on_empty = nullptr;
}

void ServerCore::schedule_sweep() {
  sweep_timer.expires_after(sweep_interval(options));
  sweep_timer.async_wait([core = shared_from_this()](ErrorCode ec) {
    if (!ec) core->sweep();
  });
}

void ServerCore::sweep() {
  const auto now = std::chrono::steady_clock::now();
  for (Session* session : sessions) session->check_deadline(now);
  const bool over = shared->stopping && sessions.empty();
  if (!over) schedule_sweep();
}

void ServerCore::joined(Session& session) {
  session.slot = sessions.size();
  sessions.push_back(&session);
  shared->connections++;
}

void ServerCore::left(Session& session) {
  sessions.back()->slot = session.slot;
  sessions[session.slot] = sessions.back();
  sessions.pop_back();
  shared->connections--;
  if (!on_empty || !sessions.empty()) return;
  sweep_timer.cancel();
  on_empty();
}

Task<void> accept_connections(std::shared_ptr<ServerCore> core) {
  while (core->acceptor.is_open()) {
    Socket socket(core->loop.executor());
    Tcp::endpoint peer;
    ErrorCode ec;
    auto token = asio::redirect_error(kAwait, ec);
    co_await core->acceptor.async_accept(socket, peer, token);
    if (core->shared->stopping) co_return;
    if (ec == asio::error::connection_aborted) continue;
    if (ec) {
      // Out of file descriptors or memory: trying again at once would only burn the processor.
      const auto now = std::chrono::steady_clock::now();
      if (now >= core->next_accept_log) {
        core->next_accept_log = now + kAcceptLogEvery;
        log::warn("cannot accept connections", {{"error", ec.message()}});
      }
      core->accept_pause.expires_after(kAcceptPause);
      ErrorCode ignored;  // cancelled only by closing the acceptor
      auto pause_token = asio::redirect_error(kAwait, ignored);
      co_await core->accept_pause.async_wait(pause_token);
      continue;
    }
    if (core->shared->connections >= core->options.max_connections) {
      core->shared->refused++;
      continue;
    }
    std::unique_ptr<Transport> transport =
        core->options.tls ? make_tls_server(std::move(socket), *core->options.tls)
                          : Transport::plain(std::move(socket));
    auto session = std::make_unique<Session>(core, std::move(transport), to_string(peer));
    asio::co_spawn(core->loop.executor(), run_session(std::move(session)), must_not_throw);
  }
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(Loops& loops, ServerOptions options,
                                                      HttpHandler& handler) {
  auto resolved = resolve(loops.at(0).executor(), options);
  if (!resolved) return resolved.error();
  Tcp::endpoint endpoint = *resolved;
  const auto failed = [&endpoint](const ErrorCode& ec) {
    return our_error(Code::kUnavailable,
                     fmt::format("listen on {}: {}", to_string(endpoint), ec.message()));
  };
  {
    // SO_REUSEPORT would let a second gateway of the same user take a share of our connections:
    // find out first whether somebody listens there.
    Acceptor probe(loops.at(0).executor());
    if (const ErrorCode ec = listen(probe, endpoint, false)) return failed(ec);
  }
  auto shared = std::make_shared<ServerShared>();
  std::vector<std::shared_ptr<ServerCore>> cores;
  for (size_t i = 0; i < loops.size(); i++) {
    auto core = std::make_shared<ServerCore>(loops.at(i), options, handler, shared);
    ErrorCode ec = listen(core->acceptor, endpoint, true);
    if (!ec) endpoint.port(core->acceptor.local_endpoint(ec).port());
    if (ec) return failed(ec);
    cores.push_back(std::move(core));
  }
  const uint16_t port = endpoint.port();
  for (auto& core : cores) {
    asio::post(core->loop.context(), [core] { core->start(); });
  }
  return std::unique_ptr<HttpServer>(
      std::make_unique<HttpServerImpl>(std::move(cores), std::move(shared), port));
}

}  // namespace tollgate::net
