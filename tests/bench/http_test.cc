#include "http.h"

#include <gtest/gtest.h>

#include "stream.h"

namespace tollgate::bench {
namespace {

TEST(Http, ARequestIsWholeWithItsLastByte) {
  const std::string text =
      "POST /api/v1/write?x=1 HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n"
      "Connection: Close\r\n\r\nhelloGET / ";
  const size_t whole = text.find("GET");
  Request request;
  size_t needed = 0;
  for (size_t n = 0; n < whole; n++) {
    ASSERT_EQ(parse_request(text.substr(0, n), request, needed), Parsed::kMore) << n;
  }
  EXPECT_EQ(needed, whole);
  ASSERT_EQ(parse_request(text, request, needed), Parsed::kYes);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/api/v1/write?x=1");
  EXPECT_EQ(request.body, "hello");
  EXPECT_TRUE(request.close);
  EXPECT_EQ(request.size(), whole);
  EXPECT_EQ(header(request.head, "HOST"), "a");
  EXPECT_EQ(header(request.head, "absent"), "");
}

TEST(Http, ARequestWithoutALengthOfItsBodyIsBad) {
  Request request;
  size_t needed = 0;
  EXPECT_EQ(parse_request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", request, needed),
            Parsed::kBad);
  EXPECT_EQ(parse_request("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", request, needed),
            Parsed::kBad);
  EXPECT_EQ(parse_request("nonsense\r\n\r\n", request, needed), Parsed::kBad);
}

TEST(Http, AnAnswerEndsWhereItsKindSays) {
  Answer answer;
  ASSERT_EQ(parse_answer("HTTP/1.1 204 No Content\r\n\r\n", false, answer), Parsed::kYes);
  EXPECT_EQ(answer.status, 204);
  ASSERT_EQ(parse_answer("HTTP/1.1 503 x\r\nContent-Length: 2\r\n\r\nok", false, answer),
            Parsed::kYes);
  EXPECT_EQ(answer.body, "ok");
  EXPECT_EQ(parse_answer("HTTP/1.1 503 x\r\nContent-Length: 3\r\n\r\nok", false, answer),
            Parsed::kMore);
  EXPECT_EQ(parse_answer("HTTP/1.1 503 x\r\nContent-Length: 3\r\n\r\nok", true, answer),
            Parsed::kBad);
  ASSERT_EQ(parse_answer("HTTP/1.1 400 x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                         false, answer),
            Parsed::kYes);
  EXPECT_EQ(answer.body, "abcde");
  EXPECT_EQ(parse_answer("HTTP/1.1 200 OK\r\n\r\nabc", false, answer), Parsed::kMore);
  ASSERT_EQ(parse_answer("HTTP/1.1 200 OK\r\n\r\nabc", true, answer), Parsed::kYes);
  EXPECT_TRUE(answer.close);
  EXPECT_EQ(parse_answer("SMTP 220 hello\r\n\r\n", false, answer), Parsed::kBad);
}

TEST(Http, Durations) {
  EXPECT_EQ(parse_duration("250ms").count(), 250);
  EXPECT_EQ(parse_duration("10s").count(), 10'000);
  EXPECT_EQ(parse_duration("1m30s").count(), 90'000);
  EXPECT_EQ(parse_duration("2h").count(), 7'200'000);
  EXPECT_EQ(parse_duration("1.5").count(), 1500);
  for (const char* bad : {"", "s", "10x", "-1s"}) {
    EXPECT_THROW(parse_duration(bad), std::runtime_error) << bad;
  }
}

TEST(Url, HasDefaults) {
  const Url plain = parse_url("127.0.0.1:9", "/api/v1/write");
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.port, 9);
  EXPECT_EQ(plain.path, "/api/v1/write");
  const Url full = parse_url("https://host/x?y=z", "/api/v1/write");
  EXPECT_TRUE(full.tls);
  EXPECT_EQ(full.host, "host");
  EXPECT_EQ(full.port, 443);
  EXPECT_EQ(full.path, "/x?y=z");
  for (const char* bad : {"ftp://x", "http://", "x:0", "x:70000", "x:port"}) {
    EXPECT_THROW(parse_url(bad, "/"), std::runtime_error) << bad;
  }
}

}  // namespace
}  // namespace tollgate::bench
