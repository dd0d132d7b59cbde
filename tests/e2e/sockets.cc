#include "sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <random>
#include <thread>

namespace tollgate::e2e {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Waits until `events` or an error; false when too late.
bool wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}

}  // namespace

bool eventually(Deadline deadline, const std::function<bool()>& condition) {
  for (;;) {
    if (condition()) return true;
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(10));
  }
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::reset() {
  if (fd_ < 0) return;
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

Socket connect_to(uint16_t port, Deadline deadline) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return {};
  const sockaddr_in address = loopback(port);
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EINPROGRESS || !wait_for(socket.fd(), POLLOUT, deadline)) return {};
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return {};
  }
  const int on = 1;
  ::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

Socket listen_on(uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return {};
  const int on = 1;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.fd(), 128) != 0) {
    return {};
  }
  return socket;
}

uint16_t free_port() {
  static std::mt19937 random{std::random_device{}()};
  for (;;) {
    const auto port = static_cast<uint16_t>(10'000 + random() % 20'000);
    if (listen_on(port)) return port;
  }
}

bool send_all(const Socket& socket, std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(socket.fd(), POLLOUT, deadline)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

int HttpMessage::status() const {
  return start.rfind("HTTP/1.", 0) == 0 && start.size() >= 12 ? std::atoi(start.c_str() + 9) : 0;
}

std::string HttpMessage::method() const { return start.substr(0, start.find(' ')); }

std::string HttpMessage::target() const {
  const size_t from = start.find(' ');
  if (from == std::string::npos) return {};
  return start.substr(from + 1, start.find(' ', from + 1) - from - 1);
}

std::string HttpMessage::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

bool HttpReader::fill(Deadline deadline) {
  char chunk[16'384];
  for (;;) {
    const ssize_t n = ::recv(socket_.fd(), chunk, sizeof chunk, 0);
    if (n > 0) {
      buffer_.append(chunk, static_cast<size_t>(n));
      return true;
    }
    if (n == 0) return false;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(socket_.fd(), POLLIN, deadline)) return false;
    } else if (errno != EINTR) {
      return false;
    }
  }
}

std::optional<HttpMessage> HttpReader::read(Deadline deadline, bool* started) {
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (started != nullptr) *started = !buffer_.empty();
    if (!fill(deadline)) return std::nullopt;
  }
  if (started != nullptr) *started = true;
  HttpMessage message;
  size_t line_end = buffer_.find("\r\n");
  message.start = buffer_.substr(0, line_end);
  while (line_end < end) {
    const size_t from = line_end + 2;
    line_end = buffer_.find("\r\n", from);
    const std::string line = buffer_.substr(from, line_end - from);
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return std::nullopt;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    message.headers[name] = value == std::string::npos ? "" : line.substr(value);
  }
  buffer_.erase(0, end + 4);
  if (message.headers.count("transfer-encoding") != 0) return std::nullopt;  // nobody should
  const bool is_answer = message.start.rfind("HTTP/", 0) == 0;
  const std::string length = message.header("content-length");
  if (is_answer && (message.status() == 204 || message.status() == 304)) return message;
  if (length.empty() && is_answer) {
    while (fill(deadline)) {
    }
    message.body = std::exchange(buffer_, {});
    return message;
  }
  const size_t want = std::strtoull(length.c_str(), nullptr, 10);
  while (buffer_.size() < want) {
    if (!fill(deadline)) return std::nullopt;
  }
  message.body = buffer_.substr(0, want);
  buffer_.erase(0, want);
  return message;
}

std::string render_request(const std::string& method, const std::string& target,
                           const Headers& headers, std::string_view body) {
  std::string out = method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  for (const auto& [name, value] : headers) out += name + ": " + value + "\r\n";
  if (!body.empty() || method == "POST" || method == "PUT") {
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  out += "\r\n";
  out += body;
  return out;
}

Answer raw_exchange(uint16_t port, std::string_view bytes, milliseconds timeout) {
  const Deadline deadline = in(timeout);
  Socket socket = connect_to(port, deadline);
  if (!socket) return Answer{0, {}, "connection refused"};
  // A server may answer and close before it has read everything: a failed send is not yet an
  // answer missed.
  (void)send_all(socket, bytes, deadline);
  HttpReader reader(socket);
  auto message = reader.read(deadline);
  if (!message) return Answer{0, {}, "no answer"};
  return Answer{message->status(), message->headers, message->body};
}

Answer http(uint16_t port, const std::string& method, const std::string& target,
            const Headers& headers, std::string_view body, milliseconds timeout) {
  return raw_exchange(port, render_request(method, target, headers, body), timeout);
}

std::string base64(std::string_view bytes) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kAlphabet[group >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

}  // namespace tollgate::e2e
