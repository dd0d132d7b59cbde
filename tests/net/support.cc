#include "support.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <charconv>

namespace tollgate::net {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

RawSocket::RawSocket(int fd) : fd_(fd) {
  timeval patience{};
  patience.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(kPatience).count();
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

RawSocket RawSocket::connect(uint16_t port, bool small_buffers) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_GE(fd, 0);
  if (small_buffers) {
    const int size = 32 * 1024;
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  const sockaddr_in address = loopback(port);
  EXPECT_EQ(0, ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)))
      << std::generic_category().message(errno);
  return RawSocket(fd);
}

RawSocket::RawSocket(RawSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), buffered_(std::move(other.buffered_)) {}

RawSocket& RawSocket::operator=(RawSocket&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(buffered_, other.buffered_);
  return *this;
}

RawSocket::~RawSocket() { close(); }

void RawSocket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void RawSocket::reset() {
  linger now{};
  now.l_onoff = 1;
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close();
}

bool RawSocket::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

ssize_t RawSocket::receive() {
  char chunk[16 * 1024];
  const ssize_t n = ::recv(fd_, chunk, sizeof(chunk), 0);
  if (n > 0) buffered_.append(chunk, static_cast<size_t>(n));
  return n;
}

bool RawSocket::read_until(std::string_view wanted, std::string& into) {
  size_t at = std::string::npos;
  while ((at = buffered_.find(wanted)) == std::string::npos) {
    if (receive() <= 0) {
      into += std::exchange(buffered_, "");
      return false;
    }
  }
  into += buffered_.substr(0, at + wanted.size());
  buffered_.erase(0, at + wanted.size());
  return true;
}

std::string RawSocket::read_answer(bool head_only) {
  std::string answer;
  if (!read_until("\r\n\r\n", answer) || head_only) return answer;
  constexpr std::string_view kLength = "Content-Length: ";
  const size_t at = answer.find(kLength);
  if (at == std::string::npos) return answer;
  size_t length = 0;
  std::from_chars(answer.data() + at + kLength.size(), answer.data() + answer.size(), length);
  while (buffered_.size() < length && receive() > 0) {
  }
  answer += buffered_.substr(0, length);
  buffered_.erase(0, length);
  return answer;
}

bool RawSocket::ends() { return buffered_.empty() && receive() == 0; }

RawListener::RawListener() {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(0, ::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)));
  EXPECT_EQ(0, ::listen(fd_, 16));
  EXPECT_EQ(0, ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size));
  port_ = ntohs(address.sin_port);
}

RawListener::~RawListener() { close(); }

void RawListener::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

RawSocket RawListener::accept() {
  pollfd ready{fd_, POLLIN, 0};
  EXPECT_EQ(1, ::poll(&ready, 1, static_cast<int>(kPatience.count())));
  return RawSocket(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
}

Response text(int status, std::string body) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

std::optional<Response> TestHandler::on_head(Loop&, const RequestHead& head, uint64_t& max) {
  max = max_body;
  return refuse ? refuse(head) : std::nullopt;
}

Task<Response> TestHandler::on_request(Loop&, const RequestHead& head, Buffer& body) {
  requests++;
  if (respond) co_return respond(head, body);
  co_return text(200, fmt::format("{} {} {}", head.method, head.path, body.size()));
}

Response TestHandler::too_large(const RequestHead&, uint64_t max) {
  return text(413, fmt::format("over {}", max));
}

bool TestHandler::reserve(uint64_t bytes) {
  const uint64_t now = reserved += bytes;
  if (now > reserve_limit) {
    reserved -= bytes;
    return false;
  }
  uint64_t most = most_reserved;
  while (now > most && !most_reserved.compare_exchange_weak(most, now)) {
  }
  return true;
}

void TestHandler::release(uint64_t bytes) { reserved -= bytes; }

Response TestHandler::overloaded(const RequestHead&) { return text(503, "overloaded"); }

TestServer::TestServer(ServerOptions options, size_t loop_count,
                       std::function<void(TestHandler&)> prepare)
    : loops(loop_count) {
  if (prepare) prepare(handler);
  if (options.host.empty()) options.host = "127.0.0.1";
  auto started = HttpServer::start(loops, options, handler);
  if (!started) {
    ADD_FAILURE() << started.error().message;
    std::abort();
  }
  server = std::move(*started);
  loops.start();
}

TestServer::~TestServer() { server.reset(); }

bool all_closed_and_released(TestServer& server) {
  return eventually([&] { return server.server->connections() == 0; }) &&
         server.handler.reserved == 0;
}

testing::AssertionResult starts_with(const std::string& text, std::string_view prefix) {
  if (text.starts_with(prefix)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected " << prefix << " at the start of: " << text;
}

std::string post(std::string_view path, std::string_view body, std::string_view headers) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n{}\r\n{}", path,
                     body.size(), headers, body);
}

TestClient::TestClient(ClientOptions options) {
  if (options.host.empty()) options.host = "127.0.0.1";
  client_ = HttpClient::make(loop_, std::move(options));
  loop_.start();
}

TestClient::~TestClient() {
  loop_.stop();
  client_.reset();
}

namespace {

struct Call {
  std::string head;
  std::vector<std::string> body;
  std::promise<Result<ClientResponse>> promise;
};

Task<void> run_call(HttpClient& client, std::shared_ptr<Call> call) {
  std::vector<std::string_view> pieces(call->body.begin(), call->body.end());
  const std::span<const std::string_view> span(pieces);
  auto result = co_await client.send(call->head, span);
  call->promise.set_value(std::move(result));
}

}  // namespace

std::future<Result<ClientResponse>> TestClient::start(std::string head,
                                                      std::vector<std::string> body) {
  auto call = std::make_shared<Call>();
  call->head = std::move(head);
  call->body = std::move(body);
  auto future = call->promise.get_future();
  boost::asio::co_spawn(loop_.executor(), run_call(*client_, call), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  return future;
}

Result<ClientResponse> TestClient::send(std::string head, std::vector<std::string> body) {
  auto future = start(std::move(head), std::move(body));
  if (future.wait_for(kPatience) != std::future_status::ready) {
    ADD_FAILURE() << "the client is stuck";
    std::abort();
  }
  return future.get();
}

void TestClient::cancel() {
  std::promise<void> done;
  boost::asio::post(loop_.context(), [&] {
    client_->cancel();
    done.set_value();
  });
  done.get_future().wait();
}

size_t TestClient::connections() {
  std::promise<size_t> count;
  boost::asio::post(loop_.context(), [&] { count.set_value(client_->connections()); });
  return count.get_future().get();
}

}  // namespace tollgate::net
