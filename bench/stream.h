#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;

// Sockets for both sides of a benchmark: non-blocking TCP with or without TLS, meant for
// edge-triggered epoll. What cannot be set up throws std::runtime_error with a sentence; what
// happens to an open connection is a return value.
namespace tollgate::bench {

struct Url {
  bool tls = false;
  std::string host;
  uint16_t port = 0;
  std::string path;  // with its query

  std::string authority() const { return host + ":" + std::to_string(port); }
};

// "http://host:port/path", "https://…" or "host:port"; without a path, `default_path`.
Url parse_url(const std::string& text, const std::string& default_path);

// Certificates and options, shared by the connections of one side; outlives them.
class TlsContext {
 public:
  // Trusts `ca_file` only; the peer's name is checked.
  static std::unique_ptr<TlsContext> client(const std::string& ca_file);
  static std::unique_ptr<TlsContext> server(const std::string& certificate_file,
                                            const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  SSL_CTX* get() const { return context_; }

 private:
  explicit TlsContext(SSL_CTX* context) : context_(context) {}
  SSL_CTX* context_;
};

// An address that was looked up once: connecting again asks no resolver.
struct Address {
  alignas(8) char bytes[128] = {};
  uint32_t size = 0;
  int family = 0;
};
Address resolve(const std::string& host, uint16_t port);

// One connection. Owner: whoever holds it; one thread at a time. Closes in its destructor.
class Stream {
 public:
  static constexpr ssize_t kAgain = -1;   // try again after the next event
  static constexpr ssize_t kBroken = -2;  // refused, reset, timed out or bad TLS; see why()

  // Starts to connect; the first write tells whether it worked. `tls` may be null; `name` is what
  // the peer's certificate has to say.
  static std::unique_ptr<Stream> connect(const Address& to, TlsContext* tls,
                                         const std::string& name);
  // Takes over an accepted socket.
  static std::unique_ptr<Stream> accepted(int fd, TlsContext* tls);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  int fd() const { return fd_; }
  // Bytes read, 0 at the end, kAgain or kBroken.
  ssize_t read(char* at, size_t size);
  // Bytes written (maybe fewer than given, over all parts), kAgain or kBroken.
  ssize_t write(const iovec* parts, int count);
  // After kAgain from write: the peer has to speak first (a TLS handshake).
  bool wants_read() const;
  // Closes with a TCP reset instead of a FIN.
  void reset();
  const std::string& why() const { return why_; }

 private:
  explicit Stream(int fd) : fd_(fd) {}
  ssize_t fail(std::string_view what);
  ssize_t tls_result(int result, const char* what);

  int fd_;
  SSL* ssl_ = nullptr;
  std::string why_;
};

// A socket bound to 127.0.0.1:`port` (0 = any) or, with `any_address`, to every address. It holds
// the port, also while nobody listens, and never listens itself.
class Port {
 public:
  Port(uint16_t port, bool any_address);
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  uint16_t number() const { return number_; }
  // A new non-blocking listening socket on the port. The caller closes it, which makes the port
  // refuse connections.
  int listen() const;

 private:
  int bind_one(uint16_t port) const;

  bool any_address_;
  int holder_ = -1;
  uint16_t number_ = 0;
};

}  // namespace tollgate::bench
