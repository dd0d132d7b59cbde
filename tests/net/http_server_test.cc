#include "net/http_server.h"

#include <fmt/format.h>

#include <random>

#include "support.h"

namespace tollgate::net {
namespace {

using testing::HasSubstr;

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
  EXPECT_TRUE(all_closed_and_released(s));
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

TEST(HttpServer, SendsContinueOnlyWhenTheBodyIsAwaited) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  std::string got;
  ASSERT_TRUE(c.send("POST /e HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"));
  ASSERT_TRUE(c.read_until("HTTP/1.1 100 Continue\r\n\r\n", got));
  ASSERT_TRUE(c.send("abc"));
  EXPECT_TRUE(c.read_answer().ends_with("POST /e 3"));
  ASSERT_TRUE(c.send(post("/f", "abc", "Expect: 100-continue\r\n")));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 200"));
  ASSERT_TRUE(c.send("GET /g HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 200"));
}

TEST(HttpServer, RefusesWhatExpectsToContinueWithoutReadingTheBody) {
  TestServer s({}, 1, [](TestHandler& h) {
    h.refuse = [](const RequestHead&) { return std::optional<Response>(text(401, "who?")); };
  });
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"));
  const std::string answer = c.read_answer();
  EXPECT_TRUE(starts_with(answer, "HTTP/1.1 401"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(c.ends());
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("HEAD /h HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(c.read_answer(true), HasSubstr("Content-Length: 9\r\n"));
  ASSERT_TRUE(c.send("GET /h HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(c.read_answer().ends_with("GET /h 0"));
}

TEST(HttpServer, ClosesWhenTheRequestSaysSo) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", "x", "Connection: close\r\n")));
  EXPECT_THAT(c.read_answer(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(c.ends());
}

TEST(HttpServer, ClosesWhenTheHandlerSaysSo) {
  TestServer s({}, 1, [](TestHandler& h) {
    h.respond = [](const RequestHead&, Buffer&) {
      Response response = text(503, "stopping");
      response.close = true;
      return response;
    };
  });
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", "x")));
  EXPECT_THAT(c.read_answer(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(c.ends());
}

TEST(HttpServer, SpeaksHttp10) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("GET /0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_THAT(c.read_answer(), HasSubstr("Connection: keep-alive\r\n"));
  ASSERT_TRUE(c.send("GET /0 HTTP/1.0\r\n\r\n"));
  EXPECT_THAT(c.read_answer(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(c.ends());
}

TEST(HttpServer, IgnoresEmptyLinesBeforeARequest) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("\r\n\r\nGET /1 HTTP/1.1\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(c.read_answer().ends_with("GET /1 0"));
  EXPECT_TRUE(c.read_answer().ends_with("GET /2 0"));
}

TEST(HttpServer, WritesHeadersOfTheHandlerOnOneLineEach) {
  TestServer s({}, 1, [](TestHandler& h) {
    h.respond = [](const RequestHead&, Buffer&) {
      Response response = text(429, "slow down\n");
      response.headers.emplace_back("Retry-After", "7\r\nX-Evil: 1");
      return response;
    };
  });
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", "x")));
  const std::string answer = c.read_answer();
  EXPECT_TRUE(starts_with(answer, "HTTP/1.1 429 Too Many Requests\r\n"));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 7  X-Evil: 1\r\n"));
}

TEST(HttpServer, AnswersAHandlerThatThrowsWith500) {
  TestServer s({}, 1, [](TestHandler& h) {
    h.respond = [](const RequestHead&, Buffer&) -> Response { throw std::runtime_error("oh"); };
  });
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/", "x")));
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 500"));
}

TEST(HttpServer, AnswersBadHttpInWordsAndCloses) {
  TestServer s;
  const std::pair<std::string, int> cases[] = {
      {"hello\r\n\r\n", 400},
      {"GET / HTTP/3.0\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabcdef", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(200'000, 'e'), 400},
      {"GET / HTTP/1.1\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n", 431},
      {"GET /" + std::string(40'000, 'x') + " HTTP/1.1\r\n\r\n", 431},
  };
  for (const auto& [request, status] : cases) {
    RawSocket c = RawSocket::connect(s.port());
    ASSERT_TRUE(c.send(request));
    const std::string answer = c.read_answer();
    EXPECT_TRUE(starts_with(answer, fmt::format("HTTP/1.1 {} ", status))) << request.substr(0, 100);
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(answer.ends_with("\n"));
    EXPECT_TRUE(c.ends());
  }
  EXPECT_EQ(s.handler.requests, 0u);
  EXPECT_TRUE(all_closed_and_released(s));
}

TEST(HttpServer, CountsAHeadThatArrivesLineByLine) {
  TestServer s;
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send("GET / HTTP/1.1\r\n"));
  const std::string line = "X-Line: " + std::string(1000, 'x') + "\r\n";
  // The server may have answered and closed its side before the last line is sent.
  for (int i = 0; i < 40; i++) c.send(line);
  EXPECT_TRUE(starts_with(c.read_answer(), "HTTP/1.1 431 "));
}

// Random bytes, and requests with a few bytes changed, cut or repeated.
TEST(HttpServer, SurvivesRandomBytes) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  TestServer s({}, 2);
  const std::string valid[] = {
      post("/a", "12345", "Expect: 100-continue\r\n"),
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n",
  };
  for (int i = 0; i < 1000; i++) {
    std::string bytes;
    if (i % 2 == 0) {
      bytes.resize(random() % 300);
      for (char& byte : bytes) byte = static_cast<char>(random());
    } else {
      bytes = valid[random() % 2] + valid[random() % 2];
      for (unsigned n = random() % 4; n > 0; n--) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      bytes.resize(bytes.size() - random() % 20);
    }
    RawSocket c = RawSocket::connect(s.port());
    c.send(bytes);
    if (i % 3 == 0) c.reset();
  }
  RawSocket c = RawSocket::connect(s.port());
  ASSERT_TRUE(c.send(post("/still", "x")));
  EXPECT_TRUE(c.read_answer().ends_with("POST /still 1"));
  c.close();
  EXPECT_TRUE(all_closed_and_released(s));
}

}  // namespace
}  // namespace tollgate::net
