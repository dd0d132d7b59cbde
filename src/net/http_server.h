#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "net/loop.h"
#include "net/tls.h"

namespace tollgate::net {

// The head of a request. Views live until the handler has answered.
struct RequestHead {
  std::string_view method;
  std::string_view path;   // without the query
  std::string_view query;  // without '?'
  std::string_view peer;   // "10.0.0.7:4711"
  std::optional<uint64_t> content_length;
  // The value of a header (names compare case-insensitively); empty if absent.
  std::string_view header(std::string_view name) const;

  const void* fields = nullptr;  // the server's own
};

struct Response {
  int status = 200;
  std::string body;  // a newline is the caller's business
  std::string content_type = "text/plain; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers;
  bool close = false;  // close the connection after this answer
};

// What the server calls. One handler serves all loops: its methods are called on the loop of the
// connection, concurrently from different loops.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // The head has arrived. An answer refuses the request now, its body unread (the server drains a
  // small rest or closes, so that the peer sees the answer and not a reset). Otherwise the body
  // is read up to `max_body` bytes (more → too_large()).
  virtual std::optional<Response> on_head(Loop& loop, const RequestHead& head,
                                          uint64_t& max_body) = 0;
  // The whole request has arrived. `body` is the handler's to take.
  virtual Task<Response> on_request(Loop& loop, const RequestHead& head, Buffer& body) = 0;
  // The answer to a body over `max_body`.
  virtual Response too_large(const RequestHead& head, uint64_t max_body) = 0;
  // Called before body bytes are buffered and after they are freed; false refuses with
  // overloaded(). Bounds the memory of all bodies being read.
  virtual bool reserve(uint64_t bytes) = 0;
  virtual void release(uint64_t bytes) = 0;
  virtual Response overloaded(const RequestHead& head) = 0;
};

struct ServerOptions {
  std::string host;
  uint16_t port = 0;
  uint32_t max_connections = 10000;  // beyond: accepted and closed, counted
  std::chrono::milliseconds idle_timeout{360'000};
  std::chrono::milliseconds header_timeout{10'000};  // from the first byte of a head to its end
  std::chrono::milliseconds body_timeout{60'000};    // without progress on a body
  // A connection older than this (±20 %, chosen per connection) is told `Connection: close` with
  // its next answer. 0 = never.
  std::chrono::milliseconds max_connection_age{0};
  std::shared_ptr<ServerTlsContext> tls;  // null = plain
};

// An HTTP/1.1 keep-alive server: one SO_REUSEPORT acceptor per loop. Bad HTTP is answered 400.
// Stop has two phases: `stop_accepting` (listeners close; each connection closes after its next
// answer; idle ones close now), then `connections()` falls to 0 or the owner stops the loops.
// Destroying it while the loops run closes all connections and waits for handlers in progress, so
// not from a loop; after the loops have stopped it gives all memory back at once. Suspended
// on_request() coroutines are then destroyed with the Loops: their locals must not use the handler.
class HttpServer {
 public:
  // Binds and starts accepting on every loop. kUnavailable with address and reason.
  static Result<std::unique_ptr<HttpServer>> start(Loops& loops, ServerOptions options,
                                                   HttpHandler& handler);
  virtual ~HttpServer() = default;
  virtual uint16_t port() const = 0;
  virtual void stop_accepting() = 0;
  virtual size_t connections() const = 0;
  virtual uint64_t refused_connections() const = 0;  // over max_connections
};

}  // namespace tollgate::net
