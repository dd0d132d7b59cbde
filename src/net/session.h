#pragma once

#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"
#include "net/request_parser.h"
#include "net/transport.h"

// Internal to net: the server's connections.
namespace tollgate::net {

using SteadyTime = std::chrono::steady_clock::time_point;

// What all loops of a server share.
struct ServerShared {
  std::atomic<size_t> connections{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<bool> stopping{false};
};

class Session;

// One loop's part of a server. Owned by the server and by each of its sessions, so that either may
// go first. Threads: its loop, or the owner's thread while the loop does not run.
struct ServerCore : std::enable_shared_from_this<ServerCore> {
  ServerCore(Loop& l, ServerOptions o, HttpHandler& h, std::shared_ptr<ServerShared> s);

  // Closes the listener and the connections that wait for a request.
  void stop_accepting();
  // Fails whatever the connections do, then calls `closed` once they are gone.
  void close_all(std::function<void()> closed);
  // The loop has stopped for good: closes the sockets and forgets the handler.
  void abandon();

  void start();
  void schedule_sweep();
  void sweep();
  void joined(Session& session);
  void left(Session& session);

  Loop& loop;
  const ServerOptions options;
  HttpHandler* handler;  // null once the server is gone
  const std::shared_ptr<ServerShared> shared;
  boost::asio::basic_socket_acceptor<Tcp, Executor> acceptor;
  Timer sweep_timer;
  Timer accept_pause;
  // Every connection reads into it; valid until the next suspension.
  const std::unique_ptr<char[]> scratch;
  std::vector<Session*> sessions;
  std::function<void()> on_empty;
  std::minstd_rand random;
  SteadyTime next_accept_log{};
};

// Reads the body into memory in steps, and never more than has arrived calls for.
constexpr size_t kScratch = 64 * 1024;

// A connection: reads a request, has it answered, and again. Owner: its coroutine. Threads: its
// loop. What a slow peer may hold is bounded by deadlines that the core's sweep looks at.
//
// States: Handshake -> Idle -> Head -> Body -> Handling -> Writing -> Idle …
//         a refusal: Head or Body -> Draining -> Writing -> Idle, or Writing -> Lingering -> end.
class Session final : private BodySink {
 public:
  Session(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport, std::string peer);
  ~Session() override;

  Task<void> run();

  // Called by the sweep.
  void check_deadline(SteadyTime now);
  void close_if_idle();
  void abort() { transport_->abort(); }
  // The loop has stopped: gives memory and socket back now; the frame dies with the loop.
  void abandon();

  size_t slot = 0;  // the core's own

 private:
  enum class Phase {
    kHandshake,
    kIdle,
    kHead,
    kBody,
    kHandling,
    kDraining,
    kWriting,
    kLingering,
  };
  enum class End { kComplete, kRefused, kClosed };

  Task<bool> serve_one();
  Task<End> read_head();
  bool parse_head(End& end);
  Task<End> read_body(uint64_t max_body);
  Task<End> read_sized_body(uint64_t size);
  Task<End> read_chunked_body();
  Task<bool> send_continue();
  Task<bool> drain();
  Task<bool> answer(Response response, bool keep);
  Task<void> linger();
  Task<Transport::Io> fill(bool expect_wait);

  bool take(std::string_view bytes) override;
  bool put_chunks(boost::beast::error_code& ec);
  bool make_room(uint64_t size, uint64_t limit);
  End refuse(Response response);
  End refuse(int status, std::string sentence);
  End body_ended_early(Transport::Io io);
  void make_request_head();
  bool body_complete() const;
  void keep_input();
  void enter(Phase phase, std::chrono::milliseconds limit);
  void progress(std::chrono::milliseconds limit);
  void write_head(const Response& response, bool keep);
  void free_body();

  // Constant after construction.
  const std::shared_ptr<ServerCore> core_;
  const std::unique_ptr<Transport> transport_;
  const std::string peer_;
  SteadyTime close_after_ = SteadyTime::max();

  Phase phase_ = Phase::kHandshake;
  SteadyTime deadline_ = SteadyTime::max();
  bool broken_ = false;  // what follows on the connection cannot be understood

  // Bytes read and not yet used: in the core's scratch or in pending_.
  std::string_view in_;
  std::string pending_;

  // The request being read or answered.
  HeadFields fields_;
  std::optional<RequestParser> parser_;
  uint32_t head_bytes_ = 0;
  RequestHead head_;
  std::string path_;    // only of a target in absolute form
  uint64_t taken_ = 0;  // body bytes used, of Content-Length
  uint64_t max_body_ = 0;
  bool continue_awaited_ = false;
  bool discarding_ = false;
  uint64_t discarded_ = 0;
  Buffer body_;
  uint64_t reserved_ = 0;
  std::optional<Response> refusal_;
  std::string out_;
};

// Accepts until the listener is closed.
Task<void> accept_connections(std::shared_ptr<ServerCore> core);

}  // namespace tollgate::net
