#include "net/tls_transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tollgate::net {
namespace {

// One TLS record. Small pieces are gathered up to here, so that head and body share a record.
constexpr size_t kRecord = 16 * 1024;

struct SslDelete {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslDelete>;

class TlsTransport final : public Transport {
 public:
  TlsTransport(Socket socket, SslPtr ssl) : Transport(std::move(socket)), ssl_(std::move(ssl)) {
    SSL_set_fd(ssl_.get(), socket_.native_handle());
  }

  Io try_handshake() override {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    return result == 1 ? Io::kDone : outcome(result);
  }

  Io try_read(char* into, size_t size, size_t& n) override {
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), into, size, &n);
    return result == 1 ? Io::kDone : outcome(result);
  }

  Io try_write(std::span<const iovec> pieces, size_t& n) override {
    // A piece that fills a record is encrypted where it is. After kWantWrite the same bytes come
    // again, as OpenSSL demands (moving buffers are allowed).
    const char* from = static_cast<const char*>(pieces.front().iov_base);
    size_t size = pieces.front().iov_len;
    char record[kRecord];
    if (size < kRecord && pieces.size() > 1) {
      size = 0;
      for (const iovec& piece : pieces) {
        const size_t part = std::min(piece.iov_len, kRecord - size);
        std::memcpy(record + size, piece.iov_base, part);
        size += part;
        if (size == kRecord) break;
      }
      from = record;
    }
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), from, std::min(size, kRecord), &n);
    return result == 1 ? Io::kDone : outcome(result);
  }

  bool has_buffered() const override { return SSL_has_pending(ssl_.get()) == 1; }

  // Session tickets arrive between requests, too.
  bool is_stale() const override { return peek() == Peek::kEnd; }

  void shutdown_send() override {
    // After a fatal error OpenSSL forbids the call.
    if (!broken_ && SSL_is_init_finished(ssl_.get()) == 1) {
      ERR_clear_error();
      SSL_shutdown(ssl_.get());
    }
    ERR_clear_error();
    ::shutdown(socket_.native_handle(), SHUT_WR);
  }

 private:
  Io outcome(int result) {
    const int system_error = errno;
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return Io::kWantRead;
      case SSL_ERROR_WANT_WRITE:
        return Io::kWantWrite;
      case SSL_ERROR_ZERO_RETURN:
        return Io::kClosed;
      case SSL_ERROR_SYSCALL:
        broken_ = true;
        if (system_error != 0) return failed(system_error);
        return Io::kClosed;
      default:
        break;
    }
    broken_ = true;
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      ERR_clear_error();
      return Io::kClosed;
    }
    const long verified = SSL_get_verify_result(ssl_.get());
    std::string words = take_ssl_error();
    if (verified != X509_V_OK && SSL_is_init_finished(ssl_.get()) != 1) {
      words = std::string("certificate verify failed: ") + X509_verify_cert_error_string(verified);
    }
    return failed(std::move(words));
  }

  const SslPtr ssl_;
  bool broken_ = false;
};

}  // namespace

std::string take_ssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  if (const char* reason = ERR_reason_error_string(code)) return reason;
  char text[256];
  ERR_error_string_n(code, text, sizeof(text));
  return text;
}

std::unique_ptr<Transport> make_tls_server(Socket socket, const ServerTlsContext& context) {
  SslPtr ssl(SSL_new(static_cast<SSL_CTX*>(context.native())));
  TG_CHECK(ssl != nullptr);
  SSL_set_accept_state(ssl.get());
  return std::make_unique<TlsTransport>(std::move(socket), std::move(ssl));
}

Result<std::unique_ptr<Transport>> make_tls_client(Socket socket, const ClientTlsContext& context,
                                                   const std::string& host) {
  SslPtr ssl(SSL_new(static_cast<SSL_CTX*>(context.native())));
  TG_CHECK(ssl != nullptr);
  SSL_set_connect_state(ssl.get());
  const std::string& name =
      context.options().server_name.empty() ? host : context.options().server_name;
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(name, not_an_address);
  X509_VERIFY_PARAM* verify = SSL_get0_param(ssl.get());
  bool accepted = true;
  if (!not_an_address) {
    accepted = X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str()) == 1;
  } else {
    // A trailing dot makes the name absolute in DNS; certificates have none.
    const std::string plain = name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    accepted = X509_VERIFY_PARAM_set1_host(verify, plain.c_str(), plain.size()) == 1 &&
               SSL_set_tlsext_host_name(ssl.get(), plain.c_str()) == 1;
  }
  if (!accepted) {
    return our_error(Code::kInvalid, "server name \"" + name + "\": " + take_ssl_error());
  }
  return std::unique_ptr<Transport>(
      std::make_unique<TlsTransport>(std::move(socket), std::move(ssl)));
}

}  // namespace tollgate::net
