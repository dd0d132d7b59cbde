#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/http_server.h"
#include "support.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;
using testing::Not;

void refuse_all(TestHandler& h) {
  h.refuse = [](const RequestHead&) { return std::optional<Response>(text(403, "no")); };
}

TEST(HttpServerLimits, SmallRefusedBodyKeepsTheConnection) {
  TestServer s({}, 1, refuse_all);
  RawSocket c = RawSocket::connect(s.port());
  const std::string chunked =
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  for (const std::string& request : {post("/", std::string(500'000, 'x')), chunked, chunked}) {
    ASSERT_TRUE(c.send(request));
    const std::string answer = c.read_answer();
    EXPECT_TRUE(starts_with(answer, "HTTP/1.1 403"));
    EXPECT_THAT(answer, Not(HasSubstr("Connection: close")));
  }
  EXPECT_EQ(s.handler.most_reserved, 0u);
}

// The sender writes 20 MB before it reads: it must find the answer and the end, not a reset.
TEST(HttpServerLimits, LargeRefusedBodyStillGetsItsAnswer) {
  TestServer s({}, 1, refuse_all);
  const std::string body(20'000'000, 'x');
  const std::string chunked =
      fmt::format("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                  body.size(), body);
  for (const std::string& request : {post("/", body), chunked}) {
    RawSocket c = RawSocket::connect(s.port());
    EXPECT_TRUE(c.send(request));
    const std::string answer = c.read_answer();
    EXPECT_TRUE(starts_with(answer, "HTTP/1.1 403"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(c.ends());
  }
}

TEST(HttpServerLimits, BodyOverTheLimitIsTooLarge) {
  TestServer s({}, 1, [](TestHandler& h) { h.max_body = 1000; });
  const std::string body(1001, 'x');
  for (const std::string& request :
       {post("/", body),
        fmt::format("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                    body.size(), body)}) {
    RawSocket c = RawSocket::connect(s.port());
    ASSERT_TRUE(c.send(request));
    EXPECT_TRUE(c.read_answer().ends_with("over 1000"));
    ASSERT_TRUE(c.send(post("/next", body.substr(1))));
    EXPECT_TRUE(c.read_answer().ends_with("POST /next 1000"));
  }
  EXPECT_EQ(s.handler.requests, 2u);
  EXPECT_EQ(s.handler.reserved, 0u);
}

TEST(HttpServerLimits, DeclaredLengthReservesNothing) {
  TestServer s({}, 1, [](TestHandler& h) { h.max_body = 32 << 20; });
  std::vector<RawSocket> sockets;
  for (int i = 0; i < 10; i++) {
    sockets.push_back(RawSocket::connect(s.port()));
    ASSERT_TRUE(
        sockets.back().send("POST / HTTP/1.1\r\nContent-Length: 33554432\r\n\r\n0123456789"));
  }
  ASSERT_TRUE(eventually([&] { return s.handler.reserved >= 10 * 10; }));
  EXPECT_LE(s.handler.most_reserved, 10u * 16 * 1024);
  sockets.clear();
  EXPECT_TRUE(all_closed_and_released(s));
}

TEST(HttpServerLimits, RefusedReservationIsOverload) {
  TestServer s({}, 1, [](TestHandler& h) { h.reserve_limit = 100'000; });
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", std::string(400'000, 'x'))));
  EXPECT_TRUE(c.read_answer().ends_with("overloaded"));
  ASSERT_TRUE(c.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" +
                     fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", 200'000, std::string(200'000, 'x'))));
  EXPECT_TRUE(c.read_answer().ends_with("overloaded"));
  ASSERT_TRUE(c.send(post("/small", "x")));
  EXPECT_TRUE(c.read_answer().ends_with("POST /small 1"));
  EXPECT_EQ(s.handler.reserved, 0u);
}

TEST(HttpServerLimits, ResetsInTheMiddleOfABodyReleaseItsMemory) {
  TestServer s({}, 2);
  for (int i = 0; i < 50; i++) {
    RawSocket c = RawSocket::connect(s.port());
    if (i % 2 == 0) {
      ASSERT_TRUE(c.send("POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"));
    } else {
      ASSERT_TRUE(c.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nf4240\r\n"));
    }
    ASSERT_TRUE(c.send(std::string(static_cast<size_t>(i) * 3000, 'x')));
    c.reset();
  }
  EXPECT_TRUE(eventually([&] { return s.handler.most_reserved > 0; }));
  EXPECT_TRUE(all_closed_and_released(s));
  EXPECT_EQ(s.handler.requests, 0u);
}

TEST(HttpServerLimits, SlowHeadTimesOut) {
  ServerOptions options;
  options.header_timeout = 100ms;
  TestServer s(options);
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("GET / HT"));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 408"));
  EXPECT_TRUE(c.ends());
}

TEST(HttpServerLimits, StalledBodyTimesOut) {
  ServerOptions options;
  options.body_timeout = 100ms;
  TestServer s(options);
  for (const char* request : {"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
                              "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx"}) {
    RawSocket c = RawSocket::connect(s.port());
    ASSERT_TRUE(c.send(request));
    EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 408"));
    EXPECT_TRUE(c.ends());
  }
  EXPECT_TRUE(all_closed_and_released(s));
}

TEST(HttpServerLimits, IdleConnectionIsClosedSilently) {
  ServerOptions options;
  options.idle_timeout = 100ms;
  TestServer s(options);
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", "x")));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 200"));
  EXPECT_TRUE(c.ends());
}

TEST(HttpServerLimits, ReaderThatNeverReadsIsDropped) {
  ServerOptions options;
  options.body_timeout = 100ms;
  TestServer s(options, 1, [](TestHandler& h) {
    h.respond = [](const RequestHead&, Buffer&) { return text(200, std::string(20'000'000, 'x')); };
  });
  RawSocket c = RawSocket::connect(s.port(), true);
  ASSERT_TRUE(c.send(post("/", "x")));
  ASSERT_TRUE(eventually([&] { return s.handler.requests == 1; }));
  EXPECT_EQ(s.server->connections(), 1u);
  EXPECT_TRUE(all_closed_and_released(s));
}

TEST(HttpServerLimits, OldConnectionIsToldToClose) {
  ServerOptions options;
  options.max_connection_age = 100ms;
  TestServer s(options);
  RawSocket c = RawSocket::connect(s.port());
  std::string answer;
  uint64_t answers = 0;
  const bool told = eventually([&] {
    if (!c.send(post("/", "x"))) return false;
    answer = c.read_answer();
    answers++;
    return answer.find("Connection: close\r\n") != std::string::npos;
  });
  EXPECT_TRUE(told);
  EXPECT_GT(answers, 1u);
  EXPECT_TRUE(answer.ends_with("POST / 1")) << answer;
  EXPECT_TRUE(c.ends());
}

TEST(HttpServerLimits, ConnectionsOverTheMaximumAreClosedAndCounted) {
  ServerOptions options;
  options.max_connections = 2;
  TestServer s(options);
  std::vector<RawSocket> in;
  for (int i = 0; i < 2; i++) {
    in.push_back(RawSocket::connect(s.port()));
    ASSERT_TRUE(in.back().send(post("/", "x")));
    EXPECT_TRUE(starts_with(in.back().read_answer(), "HTTP/1.1 200"));
  }
  RawSocket third = RawSocket::connect(s.port());
  EXPECT_TRUE(third.ends());
  EXPECT_EQ(s.server->refused_connections(), 1u);
  EXPECT_EQ(s.server->connections(), 2u);
  in.clear();
  ASSERT_TRUE(eventually([&] { return s.server->connections() == 0; }));
  RawSocket again = RawSocket::connect(s.port());
  ASSERT_TRUE(again.send(post("/", "x")));
  EXPECT_TRUE(starts_with(again.read_answer(), "HTTP/1.1 200"));
}

std::chrono::microseconds cpu_used() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

TEST(HttpServerLimits, WaitsForFileDescriptorsWithoutSpinning) {
  TestServer s;
  rlimit before{};
  ASSERT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &before));
  const int lowest_free = ::dup(STDIN_FILENO);
  ASSERT_GE(lowest_free, 0);
  ::close(lowest_free);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(lowest_free) + 1;
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &tight));
  RawSocket c = RawSocket::connect(s.port());  // takes the last one
  EXPECT_TRUE(c.send(post("/", "x")));
  const auto start = cpu_used();
  pollfd answered{c.fd(), POLLIN, 0};
  EXPECT_EQ(0, ::poll(&answered, 1, 300)) << "nothing could be accepted";
  EXPECT_LT(cpu_used() - start, 150ms);
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &before));
  EXPECT_TRUE(c.read_answer().ends_with("POST / 1"));
}

TEST(HttpServerStop, ClosesIdleConnectionsAndFinishesRequests) {
  TestServer s({}, 2);
  RawSocket idle = RawSocket::connect(s.port());
  ASSERT_TRUE(idle.send(post("/", "x")));
  EXPECT_TRUE(starts_with(idle.read_answer(), "HTTP/1.1 200"));
  RawSocket busy = RawSocket::connect(s.port());
  ASSERT_TRUE(busy.send("POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"));
  ASSERT_TRUE(eventually([&] { return s.handler.reserved > 0; }));
  s.server->stop_accepting();
  EXPECT_TRUE(idle.ends());
  EXPECT_TRUE(eventually([&] { return s.server->connections() == 1; }));
  ASSERT_TRUE(busy.send("cd"));
  const std::string answer = busy.read_answer();
  EXPECT_TRUE(answer.ends_with("POST /b 4")) << answer;
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(busy.ends());
  EXPECT_TRUE(all_closed_and_released(s));
  // The port is free again.
  ServerOptions options;
  options.port = s.port();
  TestServer next(options);
  EXPECT_EQ(next.port(), s.port());
}

TEST(HttpServerStop, DestroyedWhileRequestsAreRead) {
  TestServer s({}, 2);
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"));
  ASSERT_TRUE(eventually([&] { return s.handler.reserved > 0; }));
  s.server.reset();
  EXPECT_EQ(s.handler.reserved, 0u);
}

TEST(HttpServerStop, DestroyedAfterTheLoopsHaveStopped) {
  TestServer s({}, 2);
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("POST /b HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"));
  ASSERT_TRUE(eventually([&] { return s.handler.reserved > 0; }));
  s.stop_loops();
  s.server.reset();
  EXPECT_EQ(s.handler.reserved, 0u);
}

TEST(HttpServerStart, RefusesAPortInUse) {
  TestServer s;
  ServerOptions options;
  options.host = "127.0.0.1";
  options.port = s.port();
  Loops loops(1);
  TestHandler handler;
  auto second = HttpServer::start(loops, options, handler);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Code::kUnavailable);
  EXPECT_EQ(second.error().message,
            fmt::format("listen on 127.0.0.1:{}: Address already in use", s.port()));
}

TEST(HttpServerStart, ListensOnNamesAndEverywhere) {
  for (const char* host : {"localhost", "0.0.0.0", ""}) {
    Loops loops(1);
    TestHandler handler;
    ServerOptions options;
    options.host = host;
    auto server = HttpServer::start(loops, options, handler);
    ASSERT_TRUE(server.ok()) << host << ": " << server.error().message;
    EXPECT_NE((*server)->port(), 0);
  }
  Loops loops(1);
  TestHandler handler;
  ServerOptions options;
  options.host = "no such host";
  EXPECT_FALSE(HttpServer::start(loops, options, handler).ok());
}

TEST(HttpServerStart, SpreadsConnectionsOverLoops) {
  TestServer s({}, 4);
  std::vector<RawSocket> sockets;
  for (int i = 0; i < 64; i++) {
    sockets.push_back(RawSocket::connect(s.port()));
    ASSERT_TRUE(sockets.back().send(post("/", "x")));
  }
  for (RawSocket& c : sockets) EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 200"));
  EXPECT_EQ(s.server->connections(), 64u);
}

}  // namespace
}  // namespace tollgate::net
