#include "net/http_client.h"

#include <fmt/format.h>

#include "net/http_date.h"
#include "support.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

ClientOptions to(uint16_t port) {
  ClientOptions options;
  options.port = port;
  return options;
}

std::string head(size_t length) {
  return fmt::format("POST /w HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", length);
}

// One answer to the request that comes next on `socket`.
void serve(RawSocket& socket, std::string_view answer) {
  std::string request;
  EXPECT_TRUE(socket.read_until("\r\n\r\n", request));
  EXPECT_TRUE(socket.send(answer));
}

constexpr std::string_view kNoContent = "HTTP/1.1 204 No Content\r\n\r\n";

TEST(HttpClient, SendsThePiecesAndReadsTheAnswer) {
  TestServer s({}, 1, [](TestHandler& h) {
    h.respond = [](const RequestHead& request, Buffer& body) {
      Response response = text(201, fmt::format("{} {}", request.path, body.view()));
      response.headers.emplace_back("Location", "/elsewhere");
      return response;
    };
  });
  TestClient client(to(s.port()));
  for (int i = 0; i < 3; i++) {
    auto got = client.send(head(6), {"ab", "", "c", "def"});
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->status, 201);
    EXPECT_EQ(got->body, "/w abcdef");
    EXPECT_EQ(got->location, "/elsewhere");
    EXPECT_FALSE(got->retry_after.has_value());
  }
  EXPECT_EQ(s.server->connections(), 1u) << "the connection is reused";
  EXPECT_EQ(client.connections(), 1u);
}

TEST(HttpClient, SendsThousandsOfPieces) {
  TestServer s({}, 1, [](TestHandler& h) { h.max_body = 8 << 20; });
  TestClient client(to(s.port()));
  auto got = client.send(head(5'000'000), std::vector<std::string>(5000, std::string(1000, 'x')));
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->body, "POST /w 5000000");
}

TEST(HttpClient, UsesTheMostRecentlyUsedConnection) {
  TestServer s;
  ClientOptions options = to(s.port());
  options.max_idle = 2;
  TestClient client(options);
  std::vector<std::future<Result<ClientResponse>>> all;
  for (int i = 0; i < 8; i++) all.push_back(client.start(head(1), {"x"}));
  for (auto& one : all) EXPECT_TRUE(one.get().ok());
  EXPECT_LE(client.connections(), 2u) << "max_idle";
  for (int i = 0; i < 5; i++) EXPECT_TRUE(client.send(head(1), {"x"}).ok());
  EXPECT_TRUE(eventually([&] { return s.server->connections() <= 2; }));
}

TEST(HttpClient, ClosesConnectionsThatAreIdleOrOld) {
  TestServer s;
  ClientOptions options = to(s.port());
  options.idle_timeout = 50ms;
  TestClient idle(options);
  ASSERT_TRUE(idle.send(head(1), {"x"}).ok());
  EXPECT_TRUE(eventually([&] { return s.server->connections() == 0; }));
  EXPECT_EQ(idle.connections(), 0u);
  options = to(s.port());
  options.max_connection_age = 0ms;
  TestClient old(options);
  ASSERT_TRUE(old.send(head(1), {"x"}).ok());
  EXPECT_EQ(old.connections(), 0u);
}

TEST(HttpClient, NoticesAConnectionClosedInThePool) {
  RawListener listener;
  TestClient client(to(listener.port()));
  for (int i = 0; i < 3; i++) {
    auto answer = client.start(head(1), {"x"});
    RawSocket peer = listener.accept();
    serve(peer, kNoContent);
    EXPECT_EQ(answer.get()->status, 204);
    peer.close();
  }
}

// The peer closes when the request is already on its way: no answer to us, so once more.
TEST(HttpClient, RepeatsOnceWhatAStaleConnectionSwallowed) {
  RawListener listener;
  TestClient client(to(listener.port()));
  auto first = client.start(head(1), {"x"});
  RawSocket peer = listener.accept();
  std::string request;
  ASSERT_TRUE(peer.read_until("\r\n\r\nx", request));
  ASSERT_TRUE(peer.send(kNoContent));
  EXPECT_EQ(first.get()->status, 204);
  auto second = client.start(head(1), {"y"});
  ASSERT_TRUE(peer.read_until("\r\n\r\ny", request));
  peer.reset();
  RawSocket fresh = listener.accept();
  request.clear();
  ASSERT_TRUE(fresh.read_until("\r\n\r\ny", request));
  EXPECT_THAT(request, StartsWith("POST /w HTTP/1.1\r\n"));
  // A fresh connection that breaks is an error.
  fresh.close();
  auto failed = second.get();
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
  EXPECT_EQ(
      failed.error().message,
      fmt::format("waiting for the answer of 127.0.0.1:{}: closed by the peer", listener.port()));
}

TEST(HttpClient, DoesNotRepeatWhatHasBeenPartlyAnswered) {
  RawListener listener;
  TestClient client(to(listener.port()));
  auto first = client.start(head(1), {"x"});
  RawSocket peer = listener.accept();
  std::string request;
  ASSERT_TRUE(peer.read_until("\r\n\r\nx", request));
  ASSERT_TRUE(peer.send(kNoContent));
  EXPECT_TRUE(first.get().ok());
  auto second = client.start(head(1), {"y"});
  ASSERT_TRUE(peer.read_until("\r\n\r\ny", request));
  ASSERT_TRUE(peer.send("HTTP/1.1 20"));
  peer.close();
  EXPECT_FALSE(second.get().ok());
}

TEST(HttpClient, ReadsAnswersByteByByteAndSkipsInformationalOnes) {
  RawListener listener;
  TestClient client(to(listener.port()));
  auto answer = client.start(head(1), {"x"});
  RawSocket peer = listener.accept();
  const std::string bytes =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  for (const char byte : bytes) ASSERT_TRUE(peer.send(std::string_view(&byte, 1)));
  auto got = answer.get();
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 400);
  EXPECT_EQ(got->body, "abcde");
  EXPECT_EQ(client.connections(), 1u);
}

TEST(HttpClient, ReadsAnAnswerThatEndsWithTheConnection) {
  RawListener listener;
  TestClient client(to(listener.port()));
  auto answer = client.start(head(1), {"x"});
  RawSocket peer = listener.accept();
  serve(peer, "HTTP/1.0 500 Oops\r\n\r\nto the end");
  peer.close();
  auto got = answer.get();
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 500);
  EXPECT_EQ(got->body, "to the end");
  EXPECT_EQ(client.connections(), 0u);
}

TEST(HttpClient, KeepsTheStartOfBigAnswers) {
  TestServer s({}, 1, [](TestHandler& h) {
    h.respond = [](const RequestHead& request, Buffer&) {
      return text(500, std::string(request.path == "/big" ? 900'000 : 5'000'000, 'e'));
    };
  });
  TestClient client(to(s.port()));
  auto big = client.send("GET /big HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(big.ok());
  EXPECT_EQ(big->body, std::string(1024, 'e'));
  EXPECT_EQ(client.connections(), 1u);
  auto huge = client.send("GET /huge HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(huge.ok());
  EXPECT_EQ(huge->status, 500);
  EXPECT_EQ(huge->body, std::string(1024, 'e'));
  EXPECT_EQ(client.connections(), 0u) << "the rest is not worth reading";
}

TEST(HttpClient, UnderstandsBothFormsOfRetryAfter) {
  RawListener listener;
  TestClient client(to(listener.port()));
  RawSocket peer;
  const std::pair<std::string, std::optional<std::chrono::milliseconds>> cases[] = {
      {"Retry-After: 7\r\n", 7s},
      {"Retry-After: Wed, 21 Oct 2015 07:28:30 GMT\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
       30s},
      {"Retry-After: Wed, 21 Oct 2015 07:28:30 GMT\r\n", 0s},
      {"Retry-After: soon\r\n", std::nullopt},
  };
  bool connected = false;
  for (const auto& [header, expected] : cases) {
    auto answer = client.start(head(1), {"x"});
    if (!connected) peer = listener.accept();
    connected = true;
    serve(peer, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n" + header + "\r\n");
    auto got = answer.get();
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->retry_after, expected) << header;
  }
}

TEST(HttpDate, ReadsAllThreeForms) {
  for (const char* date : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(parse_http_date(date), 784111777000) << date;
  }
  EXPECT_FALSE(parse_http_date("06 Nov 1994").has_value());
  EXPECT_EQ(parse_retry_after("99999999999999999999", 0), std::chrono::hours(366 * 24));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784111776500), 500ms);
  EXPECT_FALSE(parse_retry_after("-1", 0).has_value());
}

// The peer answers before it has the whole body, and reads no more of it.
TEST(HttpClient, ReturnsAnAnswerThatComesEarly) {
  for (const bool peer_closes : {false, true}) {
    RawListener listener;
    TestClient client(to(listener.port()));
    auto answer = client.start(head(50'000'000), {std::string(50'000'000, 'x')});
    RawSocket peer = listener.accept();
    serve(peer, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbig\n");
    if (peer_closes) peer.close();
    ASSERT_EQ(answer.wait_for(kPatience), std::future_status::ready);
    auto got = answer.get();
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->status, 413);
    EXPECT_EQ(got->body, "big\n");
    EXPECT_EQ(client.connections(), 0u) << "the rest of the body was not sent";
  }
}

TEST(HttpClient, FindsTheAnswerOfAServerThatRefusedALargeBody) {
  TestServer s({}, 1, [](TestHandler& h) { h.max_body = 1000; });
  TestClient client(to(s.port()));
  for (int i = 0; i < 5; i++) {
    auto got = client.send(head(20'000'000), {std::string(20'000'000, 'x')});
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->status, 413);
  }
}

TEST(HttpClient, NamesTheAddressThatRefusesConnections) {
  RawListener listener;
  const uint16_t port = listener.port();
  listener.close();
  TestClient client(to(port));
  auto got = client.send(head(1), {"x"});
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  EXPECT_EQ(got.error().origin, Origin::kDestination);
  EXPECT_EQ(got.error().message, fmt::format("connect 127.0.0.1:{}: Connection refused", port));
}

TEST(HttpClient, TriesAllAddressesOfAName) {
  // localhost is ::1 and 127.0.0.1 on most machines; only the latter listens.
  TestServer s;
  ClientOptions options = to(s.port());
  options.host = "localhost";
  TestClient client(options);
  auto got = client.send(head(1), {"x"});
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 200);
}

TEST(HttpClient, SaysWhichNameCannotBeResolved) {
  ClientOptions options = to(80);
  options.host = "no such name";
  TestClient client(options);
  auto a = client.start(head(1), {"x"});
  auto b = client.start(head(1), {"x"});
  for (auto* one : {&a, &b}) {
    auto got = one->get();
    ASSERT_FALSE(got.ok());
    EXPECT_THAT(got.error().message, StartsWith("resolve no such name: "));
  }
}

TEST(HttpClient, TimesOutWaitingForTheAnswer) {
  RawListener listener;
  ClientOptions options = to(listener.port());
  options.timeout = 100ms;
  TestClient client(options);
  auto answer = client.start(head(1), {"x"});
  RawSocket peer = listener.accept();
  auto got = answer.get();
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  EXPECT_EQ(
      got.error().message,
      fmt::format("timeout after 100ms waiting for the answer of 127.0.0.1:{}", listener.port()));
  EXPECT_EQ(client.connections(), 0u);
}

TEST(HttpClient, TimesOutSendingToAPeerThatDoesNotRead) {
  RawListener listener;
  ClientOptions options = to(listener.port());
  options.timeout = 1s;
  TestClient client(options);
  auto answer = client.start(head(50'000'000), {std::string(50'000'000, 'x')});
  RawSocket peer = listener.accept();
  auto got = answer.get();
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().message,
            fmt::format("timeout after 1s sending to 127.0.0.1:{}", listener.port()));
}

TEST(HttpClient, RejectsWhatIsNotHttp) {
  RawListener listener;
  TestClient client(to(listener.port()));
  for (const char* bytes : {"SSH-2.0-OpenSSH_9\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n"}) {
    auto answer = client.start(head(1), {"x"});
    RawSocket peer = listener.accept();
    serve(peer, bytes);
    auto got = answer.get();
    ASSERT_FALSE(got.ok()) << bytes;
    EXPECT_THAT(got.error().message,
                StartsWith(fmt::format("bad HTTP answer of 127.0.0.1:{}: ", listener.port())));
  }
}

TEST(HttpClient, CancelFailsWhatIsInFlight) {
  RawListener listener;
  TestClient client(to(listener.port()));
  auto first = client.start(head(1), {"x"});
  auto second = client.start(head(50'000'000), {std::string(50'000'000, 'x')});
  RawSocket a = listener.accept();
  RawSocket b = listener.accept();
  client.cancel();
  for (auto* one : {&first, &second}) {
    auto got = one->get();
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, Code::kUnavailable);
    EXPECT_EQ(got.error().message, "cancelled");
  }
  EXPECT_EQ(client.connections(), 0u);
  auto third = client.start(head(1), {"x"});
  RawSocket c = listener.accept();
  serve(c, kNoContent);
  EXPECT_TRUE(third.get().ok()) << "the client goes on after cancel()";
}

TEST(HttpClient, MayBeDestroyedWithRequestsInFlight) {
  RawListener listener;
  auto client = std::make_unique<TestClient>(to(listener.port()));
  auto answer = client->start(head(1), {"x"});
  RawSocket peer = listener.accept();
  client.reset();
  // The loop has gone before the answer, and the promise with it.
  EXPECT_THROW(static_cast<void>(answer.get()), std::future_error);
}

}  // namespace
}  // namespace tollgate::net
