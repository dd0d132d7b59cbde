#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/result.h"

namespace tollgate::net {

// An OpenSSL server context: TLS 1.2 or later. Errors of make() name the file and OpenSSL's words.
class ServerTlsContext {
 public:
  enum class ClientAuth { kNone, kRequest, kRequire };
  static Result<std::shared_ptr<ServerTlsContext>> make(const std::string& cert_file,
                                                        const std::string& key_file,
                                                        const std::string& client_ca_file,
                                                        ClientAuth client_auth);
  ~ServerTlsContext();
  void* native() const { return native_; }  // SSL_CTX*

 private:
  explicit ServerTlsContext(void* native) : native_(native) {}
  void* const native_;
};

struct ClientTlsOptions {
  std::string ca_file;    // empty: the system's store
  std::string cert_file;  // client certificate, optional
  std::string key_file;
  std::string server_name;  // for SNI and verification; empty: the host connected to
  bool insecure_skip_verify = false;
};

// An OpenSSL client context; certificates are verified against CA and host name unless told not to.
class ClientTlsContext {
 public:
  static Result<std::shared_ptr<ClientTlsContext>> make(const ClientTlsOptions& options);
  ~ClientTlsContext();
  void* native() const { return native_; }  // SSL_CTX*
  const ClientTlsOptions& options() const { return options_; }

 private:
  ClientTlsContext(void* native, ClientTlsOptions options)
      : native_(native), options_(std::move(options)) {}
  void* const native_;
  const ClientTlsOptions options_;
};

}  // namespace tollgate::net
