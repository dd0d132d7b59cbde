#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "http.h"
#include "stream.h"

namespace tollgate::bench {

// What a handler wants done about a request.
struct Response {
  enum class Kind {
    kAnswer,
    kHang,        // never answer; the connection stays open
    kReset,       // close with a TCP reset, without an answer
    kLoseAnswer,  // close, without an answer
  };
  Kind kind = Kind::kAnswer;
  int status = 204;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string headers;  // additional lines, each ending with CRLF
  std::string body;
  std::chrono::milliseconds delay{0};  // before whatever `kind` says
};

class Handler {
 public:
  virtual ~Handler() = default;
  // Called on the server's threads, on several at once if it has several. `request` lives until
  // the return. May block only where nobody measures.
  virtual void handle(const Request& request, Response& response) = 0;
};

struct ServerOptions {
  uint16_t port = 0;  // 0 = any
  bool any_address = false;
  std::optional<uint16_t> control_port;  // a second port with the same answers, never in outage
  int threads = 1;
  std::string tls_certificate;
  std::string tls_key;
};

// An HTTP server for sinks: edge-triggered epoll, bodies handled in the buffer they were read into,
// one request of a connection at a time.
//
// Owner: main or a test; stops in its destructor. The handler outlives it. Threads: the first one
// accepts and deals connections out in turn; a connection stays on its thread. Public methods from
// any thread. Errors: the constructor throws std::runtime_error (port taken, no such certificate).
class Server {
 public:
  Server(const ServerOptions& options, Handler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const;
  uint16_t control_port() const;  // = port() if there is none of its own

  // From `start` after now and for `length`, the port refuses and its connections are reset.
  void schedule_outage(std::chrono::milliseconds start, std::chrono::milliseconds length);
  void end_outage();
  // Blocks for as long as the server lives.
  void wait();

 private:
  using Clock = std::chrono::steady_clock;
  struct Connection;
  struct Worker;

  void accept_on(int listener, bool control);
  void run(size_t index);
  void serve(Worker& worker, Connection& connection);
  // False if the connection is closed now.
  bool progress(Worker& worker, Connection& connection);
  bool flush(Connection& connection);
  void prepare(Connection& connection, Response&& response, bool close);
  void drop(Worker& worker, Connection& connection);
  // Opens or closes the port as the outage says; returns when it has to be called again.
  std::optional<Clock::time_point> mind_outage();

  Handler& handler_;
  std::unique_ptr<TlsContext> tls_;
  Port data_;
  std::unique_ptr<Port> control_;
  std::atomic<bool> stopping_{false};
  size_t next_worker_ = 0;  // of the accepting thread
  int listener_ = -1;       // of the accepting thread; -1 in an outage
  int control_listener_ = -1;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::optional<Clock::time_point> outage_start_;
  std::optional<Clock::time_point> outage_end_;
  std::unordered_set<Connection*> connections_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
};

}  // namespace tollgate::bench
