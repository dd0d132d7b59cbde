#include "net/http_server.h"

#include <fmt/format.h>

#include <random>

#include "support.h"

namespace tollgate::net {
namespace {

bool starts_with(const std::string& text, std::string_view prefix) {
  if (text.starts_with(prefix)) return true;
  ADD_FAILURE() << "expected " << prefix << " at the start of: " << text;
  return false;
}

bool balanced(TestServer& s) {
  return eventually([&] { return s.server->connections() == 0; }) && s.handler.reserved == 0;
}

TEST(HttpServer, AnswersRequestsOnOneConnection) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  for (int i = 0; i < 3; i++) {
    ASSERT_TRUE(c.send(post("/a?b=c", "12345")));
    const std::string answer = c.read_answer();
    EXPECT_TRUE(starts_with(answer, "HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(answer.ends_with("\r\n\r\nPOST /a 5")) << answer;
    EXPECT_EQ(answer.find("Connection:"), std::string::npos);
  }
  EXPECT_EQ(s.server->connections(), 1u);
  c.close();
  EXPECT_TRUE(balanced(s));
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  std::string all;
  for (int i = 0; i < 20; i++) all += post(fmt::format("/{}", i), std::string(i * 997, 'x'));
  std::thread sender([&] { EXPECT_TRUE(c.send(all)); });
  for (int i = 0; i < 20; i++) {
    EXPECT_TRUE(c.read_answer().ends_with(fmt::format("POST /{} {}", i, i * 997)));
  }
  sender.join();
}

TEST(HttpServer, TakesHeadAndBodyByteByByte) {
  std::string got;
  TestServer s({}, 1, [&](TestHandler& h) {
    h.respond = [&](const RequestHead& head, Buffer& body) {
      got = fmt::format("{}|{}|{}|{}", head.path, head.query, head.header("x-TEST"), body.view());
      return text(204, "");
    };
  });
  RawSocket c = RawSocket::connect(s.port());
  for (const std::string& request :
       {post("/p?q=1", "hello", "X-Test: v\r\n"),
        std::string("POST /p?q=1 HTTP/1.1\r\nX-Test: v\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n")}) {
    got.clear();
    for (const char byte : request) ASSERT_TRUE(c.send(std::string_view(&byte, 1)));
    const std::string answer = c.read_answer();
    EXPECT_TRUE(starts_with(answer, "HTTP/1.1 204 No Content\r\n"));
    EXPECT_EQ(answer.find("Content-Length"), std::string::npos);
    EXPECT_EQ(got, "/p|q=1|v|hello");
  }
}

TEST(HttpServer, TellsTheHandlerWhoAndHowMuch) {
  std::string peer;
  std::optional<uint64_t> length;
  TestServer s({}, 1, [&](TestHandler& h) {
    h.refuse = [&](const RequestHead& head) {
      peer = head.peer;
      length = head.content_length;
      return std::optional<Response>(text(403, "no"));
    };
  });
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("http://proxy.example/a", "12345")));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 403 "));
  EXPECT_TRUE(starts_with(peer, "127.0.0.1:"));
  EXPECT_EQ(length, 5u);
}

TEST(HttpServer, ReadsLargeBodiesUnchanged) {
  std::string got;
  TestServer s({}, 1, [&](TestHandler& h) {
    h.max_body = 8 << 20;
    h.respond = [&](const RequestHead&, Buffer& body) {
      got = body.view();
      return text(204, "");
    };
  });
  std::mt19937 random(7);
  std::string body(5'000'000, 0);
  for (char& c : body) c = static_cast<char>(random());
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", body)));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 204"));
  EXPECT_TRUE(got == body);
  std::string chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t at = 0; at < body.size();) {
    const std::string part = body.substr(at, 1 + random() % 200'000);
    chunked += fmt::format("{:x}\r\n{}\r\n", part.size(), part);
    at += part.size();
  }
  got.clear();
  ASSERT_TRUE(c.send(chunked + "0\r\n\r\n"));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 204"));
  EXPECT_TRUE(got == body);
  EXPECT_GE(s.handler.most_reserved, body.size());
  EXPECT_EQ(s.handler.reserved, 0u);
}

}  // namespace
}  // namespace tollgate::net
