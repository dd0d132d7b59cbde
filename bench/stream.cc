#include "stream.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace tollgate::bench {
namespace {

[[noreturn]] void fail_errno(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::string tls_error() {
  char text[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return text;
}

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void set_modes(SSL_CTX* context) {
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

}  // namespace

Url parse_url(const std::string& text, const std::string& default_path) {
  Url url;
  std::string rest = text;
  if (rest.rfind("https://", 0) == 0) {
    url.tls = true;
    rest.erase(0, 8);
  } else if (rest.rfind("http://", 0) == 0) {
    rest.erase(0, 7);
  } else if (rest.find("://") != std::string::npos) {
    throw std::runtime_error(text + ": only http:// and https:// are spoken here");
  }
  const size_t slash = rest.find('/');
  url.path = slash == std::string::npos ? default_path : rest.substr(slash);
  const std::string authority = rest.substr(0, slash);
  const size_t colon = authority.rfind(':');
  url.host = authority.substr(0, colon);
  url.port = url.tls ? 443 : 80;
  if (colon != std::string::npos) {
    const std::string number = authority.substr(colon + 1);
    const bool digits =
        !number.empty() && number.size() <= 5 &&
        std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
    const unsigned long port = digits ? std::stoul(number) : 0;
    if (port == 0 || port > std::numeric_limits<uint16_t>::max()) {
      throw std::runtime_error(text + ": the port is not a number from 1 to 65535");
    }
    url.port = static_cast<uint16_t>(port);
  }
  if (url.host.empty()) throw std::runtime_error(text + ": there is no host in it");
  return url;
}

std::unique_ptr<TlsContext> TlsContext::client(const std::string& ca_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (context == nullptr) throw std::runtime_error("TLS: " + tls_error());
  std::unique_ptr<TlsContext> out(new TlsContext(context));
  set_modes(context);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (ca_file.empty() ? SSL_CTX_set_default_verify_paths(context) != 1
                      : SSL_CTX_load_verify_locations(context, ca_file.c_str(), nullptr) != 1) {
    throw std::runtime_error("cannot load the CA file " + ca_file + ": " + tls_error());
  }
  return out;
}

std::unique_ptr<TlsContext> TlsContext::server(const std::string& certificate_file,
                                               const std::string& key_file) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) throw std::runtime_error("TLS: " + tls_error());
  std::unique_ptr<TlsContext> out(new TlsContext(context));
  set_modes(context);
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
    throw std::runtime_error("cannot load the certificate " + certificate_file + ": " +
                             tls_error());
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("cannot load the key " + key_file + ": " + tls_error());
  }
  return out;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

Address resolve(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) throw std::runtime_error("cannot resolve " + host + ": " + gai_strerror(error));
  Address out;
  out.size = found->ai_addrlen;
  out.family = found->ai_family;
  std::memcpy(out.bytes, found->ai_addr, std::min<size_t>(found->ai_addrlen, sizeof out.bytes));
  ::freeaddrinfo(found);
  return out;
}

std::unique_ptr<Stream> Stream::connect(const Address& to, TlsContext* tls,
                                        const std::string& name) {
  const int fd = ::socket(to.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail_errno("socket");
  std::unique_ptr<Stream> out(new Stream(fd));
  set_no_delay(fd);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(to.bytes), to.size) != 0 &&
      errno != EINPROGRESS) {
    out->fail("connect");
    return out;
  }
  if (tls != nullptr) {
    out->ssl_ = SSL_new(tls->get());
    SSL_set_fd(out->ssl_, fd);
    SSL_set_connect_state(out->ssl_);
    // An address as the host is checked as an address, a name as a name.
    unsigned char address[16];
    if (::inet_pton(AF_INET, name.c_str(), address) == 1 ||
        ::inet_pton(AF_INET6, name.c_str(), address) == 1) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(out->ssl_), name.c_str());
    } else {
      SSL_set_tlsext_host_name(out->ssl_, name.c_str());
      SSL_set1_host(out->ssl_, name.c_str());
    }
  }
  return out;
}

std::unique_ptr<Stream> Stream::accepted(int fd, TlsContext* tls) {
  std::unique_ptr<Stream> out(new Stream(fd));
  set_no_delay(fd);
  if (tls != nullptr) {
    out->ssl_ = SSL_new(tls->get());
    SSL_set_fd(out->ssl_, fd);
    SSL_set_accept_state(out->ssl_);
  }
  return out;
}

Stream::~Stream() {
  if (ssl_ != nullptr) {
    if (why_.empty()) SSL_shutdown(ssl_);
    SSL_free(ssl_);
    ERR_clear_error();
  }
  ::close(fd_);
}

ssize_t Stream::fail(std::string_view what) {
  why_ = std::string(what) + ": " + std::strerror(errno);
  return kBroken;
}

ssize_t Stream::tls_result(int result, const char* what) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return kAgain;
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_SYSCALL:
      if (errno == EAGAIN) return kAgain;
      return fail(what);
    default:
      why_ = std::string(what) + ": " + tls_error();
      return kBroken;
  }
}

ssize_t Stream::read(char* at, size_t size) {
  if (!why_.empty()) return kBroken;
  if (ssl_ != nullptr) {
    errno = 0;
    const int n = SSL_read(ssl_, at, static_cast<int>(std::min<size_t>(size, 1 << 30)));
    return n > 0 ? n : tls_result(n, "read");
  }
  for (;;) {
    const ssize_t n = ::recv(fd_, at, size, 0);
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return kAgain;
    return fail("read");
  }
}

ssize_t Stream::write(const iovec* parts, int count) {
  if (!why_.empty()) return kBroken;
  if (ssl_ != nullptr) {
    ssize_t written = 0;
    for (int i = 0; i < count; i++) {
      if (parts[i].iov_len == 0) continue;
      errno = 0;
      const int n = SSL_write(ssl_, parts[i].iov_base, static_cast<int>(parts[i].iov_len));
      if (n <= 0) {
        const ssize_t result = tls_result(n, "write");
        return result == kAgain && written > 0 ? written : (result == 0 ? kBroken : result);
      }
      written += n;
      if (static_cast<size_t>(n) < parts[i].iov_len) break;
    }
    return written;
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<size_t>(count);
  for (;;) {
    const ssize_t n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return kAgain;
    return fail("write");
  }
}

bool Stream::wants_read() const { return ssl_ != nullptr && SSL_want_read(ssl_); }

void Stream::reset() {
  const linger hard{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  why_ = "reset by us";
}

Port::Port(uint16_t port, bool any_address) : any_address_(any_address) {
  holder_ = bind_one(port);
  sockaddr_in at{};
  socklen_t size = sizeof at;
  ::getsockname(holder_, reinterpret_cast<sockaddr*>(&at), &size);
  number_ = ntohs(at.sin_port);
}

Port::~Port() { ::close(holder_); }

int Port::bind_one(uint16_t port) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail_errno("socket");
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(any_address_ ? INADDR_ANY : INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    fail_errno("cannot bind port " + std::to_string(port));
  }
  return fd;
}

int Port::listen() const {
  const int fd = bind_one(number_);
  if (::listen(fd, 4096) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    fail_errno("cannot listen on port " + std::to_string(number_));
  }
  return fd;
}

}  // namespace tollgate::bench
