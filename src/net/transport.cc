#include "net/transport.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <system_error>

namespace tollgate::net {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
constexpr asio::use_awaitable_t<Executor> kAwait;

// More pieces than this go out with the next call.
constexpr size_t kMaxPieces = 256;

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : Transport(std::move(socket)) {}

  Io try_handshake() override { return Io::kDone; }

  Io try_read(char* into, size_t size, size_t& n) override {
    for (;;) {
      const ssize_t got = ::recv(socket_.native_handle(), into, size, 0);
      if (got > 0) {
        n = static_cast<size_t>(got);
        return Io::kDone;
      }
      if (got == 0) return Io::kClosed;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kWantRead;
      if (errno != EINTR) return failed(errno);
    }
  }

  Io try_write(std::span<const iovec> pieces, size_t& n) override {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = std::min(pieces.size(), kMaxPieces);
    for (;;) {
      const ssize_t put = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
      if (put >= 0) {
        n = static_cast<size_t>(put);
        return Io::kDone;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Io::kWantWrite;
      if (errno != EINTR) return failed(errno);
    }
  }

  bool has_buffered() const override { return false; }

  bool is_stale() const override { return peek() != Peek::kNothing; }

  void shutdown_send() override { ::shutdown(socket_.native_handle(), SHUT_WR); }
};

// Two waits on one socket; the first to end ends the other.
struct EitherWait {
  EitherWait(Socket& s, Executor executor) : socket(s), both_ended(executor) {}
  void ended(const ErrorCode& ec, bool read) {
    if (!ec) (read ? readable : writable) = true;
    if (--pending == 0) {
      both_ended.cancel();
      return;
    }
    ErrorCode ignored;  // a socket that is already closed has ended both waits anyway
    socket.cancel(ignored);
  }
  Socket& socket;
  Timer both_ended;
  int pending = 2;
  bool readable = false;
  bool writable = false;
};

void start_waits(Socket& socket, const std::shared_ptr<EitherWait>& either) {
  socket.async_wait(Socket::wait_read, [either](ErrorCode ec) { either->ended(ec, true); });
  socket.async_wait(Socket::wait_write, [either](ErrorCode ec) { either->ended(ec, false); });
}

}  // namespace

std::string to_string(const Tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? '[' + address + "]:" + port : address + ':' + port;
}

void skip_bytes(std::span<iovec>& pieces, size_t n) {
  while (!pieces.empty() && n >= pieces.front().iov_len) {
    n -= pieces.front().iov_len;
    pieces = pieces.subspan(1);
  }
  if (pieces.empty()) return;
  pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + n;
  pieces.front().iov_len -= n;
}

std::unique_ptr<Transport> Transport::plain(Socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

Transport::Transport(Socket socket) : socket_(std::move(socket)) {
  ErrorCode ignored;  // a socket that is dead already says so at its first use
  socket_.native_non_blocking(true, ignored);
  socket_.set_option(Tcp::no_delay(true), ignored);
}

Transport::Io Transport::failed(int system_error) {
  error_ = system_error;
  problem_.clear();
  return Io::kFailed;
}

Transport::Io Transport::failed(std::string problem) {
  error_ = 0;
  problem_ = std::move(problem);
  return Io::kFailed;
}

std::string Transport::problem() const {
  return error_ != 0 ? std::generic_category().message(error_) : problem_;
}

Transport::Peek Transport::peek() const {
  char byte = 0;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (n > 0) return Peek::kBytes;
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? Peek::kNothing : Peek::kEnd;
}

void Transport::interrupt() {
  interrupted_ = true;
  ErrorCode ignored;  // nothing to end on a closed socket
  socket_.cancel(ignored);
}

void Transport::abort() {
  aborted_ = true;
  ErrorCode ignored;
  socket_.cancel(ignored);
}

Task<Transport::Io> Transport::wait(Socket::wait_type what) {
  if (aborted_) co_return failed(ECANCELED);
  if (interrupted_) co_return Io::kInterrupted;
  ErrorCode ec;
  auto token = asio::redirect_error(kAwait, ec);
  co_await socket_.async_wait(what, token);
  if (aborted_) co_return failed(ECANCELED);
  if (interrupted_) co_return Io::kInterrupted;
  if (ec) co_return failed(ec.value());
  co_return Io::kDone;
}

Task<Transport::Io> Transport::handshake() {
  for (;;) {
    const Io io = try_handshake();
    if (io != Io::kWantRead && io != Io::kWantWrite) co_return io;
    const auto what = io == Io::kWantRead ? Socket::wait_read : Socket::wait_write;
    const Io waited = co_await wait(what);
    if (waited != Io::kDone) co_return waited;
  }
}

Task<Transport::Io> Transport::read(char* into, size_t size, bool expect_wait, size_t& n) {
  bool wait_first = expect_wait && !has_buffered();
  for (;;) {
    Io io = Io::kWantRead;
    if (!wait_first) io = try_read(into, size, n);
    wait_first = false;
    if (io != Io::kWantRead && io != Io::kWantWrite) co_return io;
    const auto what = io == Io::kWantRead ? Socket::wait_read : Socket::wait_write;
    const Io waited = co_await wait(what);
    if (waited != Io::kDone) co_return waited;
  }
}

Task<Transport::Io> Transport::write(std::span<iovec> pieces) {
  skip_bytes(pieces, 0);
  while (!pieces.empty()) {
    size_t n = 0;
    const Io io = try_write(pieces, n);
    if (io == Io::kDone) {
      skip_bytes(pieces, n);
      continue;
    }
    if (io != Io::kWantRead && io != Io::kWantWrite) co_return io;
    const auto what = io == Io::kWantRead ? Socket::wait_read : Socket::wait_write;
    const Io waited = co_await wait(what);
    if (waited != Io::kDone) co_return waited;
  }
  co_return Io::kDone;
}

Task<Transport::Io> Transport::wait_either(bool& readable) {
  if (aborted_) co_return failed(ECANCELED);
  if (interrupted_) co_return Io::kInterrupted;
  auto either = std::make_shared<EitherWait>(socket_, socket_.get_executor());
  either->both_ended.expires_at(std::chrono::steady_clock::time_point::max());
  start_waits(socket_, either);
  ErrorCode ignored;  // the timer only ever ends by being cancelled
  auto token = asio::redirect_error(kAwait, ignored);
  while (either->pending > 0) co_await either->both_ended.async_wait(token);
  if (aborted_) co_return failed(ECANCELED);
  if (interrupted_) co_return Io::kInterrupted;
  readable = either->readable;
  // Neither: the socket was closed under us. The next try says why.
  co_return Io::kDone;
}

}  // namespace tollgate::net
