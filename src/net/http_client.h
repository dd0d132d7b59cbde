#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/loop.h"
#include "net/tls.h"

namespace tollgate::net {

struct ClientOptions {
  std::string host;
  uint16_t port = 0;
  std::shared_ptr<ClientTlsContext> tls;           // null = plain
  std::chrono::milliseconds timeout{30'000};       // resolve + connect + send + answer, per request
  std::chrono::milliseconds idle_timeout{50'000};  // pooled connections older are not reused
  std::chrono::milliseconds max_connection_age{300'000};  // so that DNS changes are noticed
  size_t max_idle = 16;
};

struct ClientResponse {
  int status = 0;
  std::optional<std::chrono::milliseconds> retry_after;  // seconds or HTTP-date
  std::string date;
  std::string location;
  std::string body;  // the first 1024 bytes; the rest is read (up to 1 MiB) and thrown away
};

// HTTP/1.1 requests to one host over a pool of keep-alive connections. Owner: one per destination
// and loop; all calls on that loop. A request on a pooled connection that turns out to be closed
// before any answer byte is repeated once on a fresh connection (the request is idempotent for
// our purpose: at least once). Errors: kUnavailable with "connect 10.0.0.1:443: Connection
// refused", "timeout after 30s waiting for the answer of …", certificate errors in words.
class HttpClient {
 public:
  static std::unique_ptr<HttpClient> make(Loop& loop, ClientOptions options);
  virtual ~HttpClient() = default;

  // Sends `head` (request line and headers, up to and including the empty line) followed by the
  // body pieces with one gather-write. `head` and the pieces outlive the call. Only one answer;
  // 1xx answers are skipped.
  virtual Task<Result<ClientResponse>> send(std::string_view head,
                                            std::span<const std::string_view> body) = 0;
  // Fails all requests in flight (kUnavailable "cancelled") and closes idle connections.
  virtual void cancel() = 0;
  virtual size_t connections() const = 0;
};

}  // namespace tollgate::net
