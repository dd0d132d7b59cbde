#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Plain POSIX sockets and just enough HTTP/1.1 for both ends of the gateway. Written without any
// of the gateway's own code, so that a mistake there cannot hide itself here.
namespace tollgate::e2e {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Deadline = Clock::time_point;
using Headers = std::vector<std::pair<std::string, std::string>>;

inline Deadline in(milliseconds d) { return Clock::now() + d; }

// Polls `condition` every 10 ms until it holds; false if the deadline passed first.
bool eventually(Deadline deadline, const std::function<bool()>& condition);

// Owns a file descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();
  // Closes so that the peer sees a reset instead of an orderly end.
  void reset();

 private:
  int fd_ = -1;
};

// To 127.0.0.1; an invalid Socket if refused or too late.
Socket connect_to(uint16_t port, Deadline deadline);
// Listens on 127.0.0.1; an invalid Socket if the port is taken.
Socket listen_on(uint16_t port);
// A port that nobody listens on, outside the range from which the kernel takes ports for outgoing
// connections, so that it is still free after a restart.
uint16_t free_port();

bool send_all(const Socket& socket, std::string_view bytes, Deadline deadline);

// One HTTP message: a request or an answer. Header names are in lower case.
struct HttpMessage {
  std::string start;  // request line or status line
  std::map<std::string, std::string> headers;
  std::string body;
  int status() const;          // of an answer; 0 if malformed
  std::string method() const;  // of a request
  std::string target() const;  // of a request
  std::string header(const std::string& name) const;
};

// Reads messages from a connection; keeps what was read too much for the next one.
class HttpReader {
 public:
  explicit HttpReader(const Socket& socket) : socket_(socket) {}
  // Nothing if the peer closed, reset, sent nonsense or was too late. `started` (if given) says
  // whether any byte of the message had arrived.
  std::optional<HttpMessage> read(Deadline deadline, bool* started = nullptr);

 private:
  bool fill(Deadline deadline);
  const Socket& socket_;
  std::string buffer_;
};

std::string render_request(const std::string& method, const std::string& target,
                           const Headers& headers, std::string_view body);

// One request on a connection of its own. Status 0 and the reason as the body if there was no
// answer.
struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};
Answer http(uint16_t port, const std::string& method, const std::string& target,
            const Headers& headers = {}, std::string_view body = {},
            milliseconds timeout = milliseconds(10'000));
// The same for bytes that need not be HTTP.
Answer raw_exchange(uint16_t port, std::string_view bytes,
                    milliseconds timeout = milliseconds(10'000));

std::string base64(std::string_view bytes);

}  // namespace tollgate::e2e
