#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/http_client.h"
#include "net/http_server.h"

namespace tollgate::net {

using namespace std::chrono_literals;

// How long anything in these tests may take before it counts as stuck.
inline constexpr std::chrono::milliseconds kPatience{20'000};

// True as soon as `condition` is; false after kPatience.
bool eventually(const std::function<bool()>& condition);

// A blocking TCP socket of the test's own, with no HTTP knowledge but for reading one answer.
class RawSocket {
 public:
  RawSocket() = default;
  explicit RawSocket(int fd);
  static RawSocket connect(uint16_t port, bool small_buffers = false);
  RawSocket(RawSocket&& other) noexcept;
  RawSocket& operator=(RawSocket&& other) noexcept;
  ~RawSocket();

  // False if the peer has gone.
  bool send(std::string_view bytes);
  // The next answer: head and body by Content-Length (without body if `head_only`). What has
  // arrived if the connection ends or breaks before.
  std::string read_answer(bool head_only = false);
  // Reads until `text` has arrived.
  bool read_until(std::string_view text, std::string& into);
  // True if the peer ends the stream (not by a reset) with no further byte.
  bool ends();
  // Closes with a reset.
  void reset();
  void close();
  int fd() const { return fd_; }

 private:
  // Bytes read, 0 at the end, -1 on an error or when kPatience is over.
  ssize_t receive();

  int fd_ = -1;
  std::string buffered_;
};

// A listening socket on a free loopback port.
class RawListener {
 public:
  RawListener();
  ~RawListener();
  uint16_t port() const { return port_; }
  RawSocket accept();
  void close();

 private:
  int fd_ = -1;
  uint16_t port_ = 0;
};

// Answers what `respond` says and keeps the books of reserve() and release().
class TestHandler : public HttpHandler {
 public:
  std::optional<Response> on_head(Loop& loop, const RequestHead& head, uint64_t& max_body) override;
  Task<Response> on_request(Loop& loop, const RequestHead& head, Buffer& body) override;
  Response too_large(const RequestHead& head, uint64_t max_body) override;
  bool reserve(uint64_t bytes) override;
  void release(uint64_t bytes) override;
  Response overloaded(const RequestHead& head) override;

  // Set before the server starts.
  uint64_t max_body = 1 << 20;
  std::function<std::optional<Response>(const RequestHead&)> refuse;
  std::function<Response(const RequestHead&, Buffer&)> respond;
  uint64_t reserve_limit = UINT64_MAX;

  std::atomic<uint64_t> reserved{0};
  std::atomic<uint64_t> most_reserved{0};
  std::atomic<uint64_t> requests{0};
};

Response text(int status, std::string body);

// Loops, a handler and a server on a free port. The default answer is "<method> <path> <size of
// body>".
struct TestServer {
  explicit TestServer(ServerOptions options = {}, size_t loop_count = 1,
                      std::function<void(TestHandler&)> prepare = {});
  ~TestServer();
  uint16_t port() const { return server->port(); }
  void stop_loops() { loops.stop(); }

  Loops loops;
  TestHandler handler;
  std::unique_ptr<HttpServer> server;
};

// No connection is left, and every reserved byte has been released.
bool all_closed_and_released(TestServer& server);

testing::AssertionResult starts_with(const std::string& text, std::string_view prefix);

std::string post(std::string_view path, std::string_view body, std::string_view headers = "");

// A client on a loop of its own; its calls are made there.
class TestClient {
 public:
  explicit TestClient(ClientOptions options);
  ~TestClient();
  std::future<Result<ClientResponse>> start(std::string head, std::vector<std::string> body);
  Result<ClientResponse> send(std::string head, std::vector<std::string> body = {});
  void cancel();
  size_t connections();

 private:
  Loop loop_{0};
  std::unique_ptr<HttpClient> client_;
};

}  // namespace tollgate::net
