#include "net/tls.h"

#include <fmt/format.h>

#include "certificates.h"
#include "support.h"

namespace tollgate::net {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

class Tls : public testing::Test {
 protected:
  Tls() {
    ca_ = certificates_.ca("ca");
    other_ca_ = certificates_.ca("other");
    certificates_.issue("server", "ca", "DNS:gate.test,IP:127.0.0.1");
    certificates_.issue("name-only", "ca", "DNS:gate.test");
    certificates_.issue("expired", "ca", "IP:127.0.0.1", -60);
    certificates_.issue("client", "ca", "DNS:client.test");
    certificates_.issue("stranger", "other", "DNS:client.test");
  }

  ServerOptions serve(const std::string& name,
                      ServerTlsContext::ClientAuth auth = ServerTlsContext::ClientAuth::kNone) {
    auto context =
        ServerTlsContext::make(certificates_.cert(name), certificates_.key(name),
                               auth == ServerTlsContext::ClientAuth::kNone ? "" : ca_, auth);
    EXPECT_TRUE(context.ok()) << context.error().message;
    ServerOptions options;
    options.tls = *context;
    return options;
  }

  static ClientOptions to(uint16_t port, const ClientTlsOptions& tls) {
    auto context = ClientTlsContext::make(tls);
    EXPECT_TRUE(context.ok()) << context.error().message;
    ClientOptions options;
    options.port = port;
    options.tls = *context;
    return options;
  }

  ClientTlsOptions trusting(const std::string& ca_file) {
    ClientTlsOptions tls;
    tls.ca_file = ca_file;
    return tls;
  }

  ClientTlsOptions presenting(const std::string& name) {
    ClientTlsOptions tls = trusting(ca_);
    tls.cert_file = certificates_.cert(name);
    tls.key_file = certificates_.key(name);
    return tls;
  }

  static Result<ClientResponse> send(TestClient& client, std::string body = "hello") {
    return client.send(fmt::format("POST /t HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.size()),
                       {body});
  }

  static std::string error_of(const ClientOptions& options) {
    TestClient client(options);
    auto got = send(client);
    return got.ok() ? "no error" : got.error().message;
  }

  Certificates certificates_;
  std::string ca_;
  std::string other_ca_;
};

TEST_F(Tls, CarriesRequestsOnOneConnection) {
  TestServer s(serve("server"), 2);
  TestClient client(to(s.port(), trusting(ca_)));
  for (int i = 0; i < 3; i++) {
    auto got = send(client);
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->body, "POST /t 5");
  }
  EXPECT_EQ(s.server->connections(), 1u);
}

TEST_F(Tls, CarriesLargeBodiesBothWays) {
  std::string sent(3'000'000, 0);
  for (size_t i = 0; i < sent.size(); i++) sent[i] = static_cast<char>(i * 7 + i / 251);
  bool equal = false;
  TestServer s(serve("server"), 1, [&](TestHandler& h) {
    h.max_body = 8 << 20;
    h.respond = [&](const RequestHead&, Buffer& body) {
      equal = body.view() == sent;
      return text(200, std::string(900'000, 'z'));
    };
  });
  TestClient client(to(s.port(), trusting(ca_)));
  for (int i = 0; i < 3; i++) {
    auto got = send(client, sent);
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_TRUE(equal);
    EXPECT_EQ(got->body, std::string(1024, 'z'));
  }
  EXPECT_EQ(s.server->connections(), 1u);
  EXPECT_EQ(s.handler.reserved, 0u);
}

TEST_F(Tls, FindsTheAnswerOfAServerThatRefusedALargeBody) {
  TestServer s(serve("server"), 1, [](TestHandler& h) { h.max_body = 1000; });
  TestClient client(to(s.port(), trusting(ca_)));
  for (int i = 0; i < 3; i++) {
    auto got = send(client, std::string(20'000'000, 'x'));
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->status, 413);
  }
}

TEST_F(Tls, RepeatsWhatAClosedConnectionSwallowed) {
  ServerOptions options = serve("server");
  options.idle_timeout = 50ms;
  TestServer s(options);
  TestClient client(to(s.port(), trusting(ca_)));
  for (int i = 0; i < 3; i++) {
    auto got = send(client);
    ASSERT_TRUE(got.ok()) << got.error().message;
    ASSERT_TRUE(eventually([&] { return s.server->connections() == 0; }));
  }
}

TEST_F(Tls, VerifiesNamesAndAddresses) {
  TestServer s(serve("server"));
  ClientTlsOptions tls = trusting(ca_);
  tls.server_name = "gate.test";
  TestClient by_name(to(s.port(), tls));
  EXPECT_TRUE(send(by_name).ok());
  tls.server_name = "other.test";
  EXPECT_EQ(
      error_of(to(s.port(), tls)),
      fmt::format("TLS with 127.0.0.1:{}: certificate verify failed: hostname mismatch", s.port()));
  TestServer without_address(serve("name-only"));
  EXPECT_THAT(error_of(to(without_address.port(), trusting(ca_))),
              HasSubstr("certificate verify failed: IP address mismatch"));
  ClientTlsOptions careless = trusting(ca_);
  careless.insecure_skip_verify = true;
  TestClient anyone(to(without_address.port(), careless));
  EXPECT_TRUE(send(anyone).ok());
}

TEST_F(Tls, RefusesUnknownAuthoritiesAndExpiredCertificates) {
  TestServer s(serve("server"));
  EXPECT_THAT(error_of(to(s.port(), trusting(other_ca_))),
              HasSubstr("certificate verify failed: unable to get local issuer certificate"));
  EXPECT_THAT(error_of(to(s.port(), ClientTlsOptions())),
              HasSubstr("certificate verify failed: unable to get local issuer certificate"));
  TestServer expired(serve("expired"));
  EXPECT_THAT(error_of(to(expired.port(), trusting(ca_))),
              HasSubstr("certificate verify failed: certificate has expired"));
}

TEST_F(Tls, AsksForClientCertificates) {
  TestServer required(serve("server", ServerTlsContext::ClientAuth::kRequire));
  TestClient known(to(required.port(), presenting("client")));
  for (int i = 0; i < 2; i++) EXPECT_TRUE(send(known).ok());
  // With TLS 1.3 the refusal arrives after our side of the handshake is done.
  EXPECT_THAT(error_of(to(required.port(), trusting(ca_))), HasSubstr("certificate required"));
  EXPECT_THAT(error_of(to(required.port(), presenting("stranger"))), HasSubstr("alert"));
  TestServer requested(serve("server", ServerTlsContext::ClientAuth::kRequest));
  TestClient without(to(requested.port(), trusting(ca_)));
  EXPECT_TRUE(send(without).ok());
  EXPECT_THAT(error_of(to(requested.port(), presenting("stranger"))), HasSubstr("alert"));
}

TEST_F(Tls, NeedsTlsOnBothSides) {
  TestServer plain;
  EXPECT_THAT(error_of(to(plain.port(), trusting(ca_))),
              StartsWith(fmt::format("TLS with 127.0.0.1:{}: ", plain.port())));
  TestServer tls(serve("server"));
  ClientOptions options;
  options.port = tls.port();
  EXPECT_NE(error_of(options), "no error");
  EXPECT_TRUE(all_closed_and_released(tls));
}

TEST_F(Tls, HandshakeThatNeverComesTimesOut) {
  RawListener silent;
  ClientOptions options = to(silent.port(), trusting(ca_));
  options.timeout = 100ms;
  EXPECT_EQ(
      error_of(options),
      fmt::format("timeout after 100ms in the TLS handshake with 127.0.0.1:{}", silent.port()));
  ServerOptions server_options = serve("server");
  server_options.header_timeout = 100ms;
  TestServer s(server_options);
  RawSocket c = RawSocket::connect(s.port());
  EXPECT_TRUE(c.ends());
}

TEST_F(Tls, SurvivesRandomBytes) {
  TestServer s(serve("server"));
  std::string bytes;
  for (int i = 0; i < 200; i++) {
    RawSocket c = RawSocket::connect(s.port());
    bytes += static_cast<char>(i * 31);
    c.send(i % 2 == 0 ? bytes : "\x16\x03\x01" + bytes);
  }
  TestClient client(to(s.port(), trusting(ca_)));
  EXPECT_TRUE(send(client).ok());
}

TEST_F(Tls, NamesTheFileThatIsWrong) {
  auto missing = ServerTlsContext::make("/no/cert.pem", "/no/key.pem", "",
                                        ServerTlsContext::ClientAuth::kNone);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message, "cert_file /no/cert.pem: No such file or directory");
  auto mismatch = ServerTlsContext::make(certificates_.cert("server"), certificates_.key("client"),
                                         "", ServerTlsContext::ClientAuth::kNone);
  ASSERT_FALSE(mismatch.ok());
  EXPECT_THAT(mismatch.error().message, HasSubstr(certificates_.key("client")));
  ClientTlsOptions tls;
  tls.ca_file = certificates_.key("server");
  auto not_a_ca = ClientTlsContext::make(tls);
  ASSERT_FALSE(not_a_ca.ok());
  EXPECT_THAT(not_a_ca.error().message, StartsWith("ca_file " + tls.ca_file + ": "));
}

}  // namespace
}  // namespace tollgate::net
