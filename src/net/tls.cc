#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "net/tls_transport.h"

namespace tollgate::net {
namespace {

struct ContextDelete {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, ContextDelete>;

ContextPtr make_context(const SSL_METHOD* method) {
  ERR_clear_error();
  ContextPtr context(SSL_CTX_new(method));
  TG_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  return context;
}

// OpenSSL's own words for a missing file are "no such file" without the name.
Error file_error(const std::string& what, const std::string& file) {
  std::FILE* probe = std::fopen(file.c_str(), "r");
  if (probe == nullptr) {
    const std::string words = std::strerror(errno);
    ERR_clear_error();
    return our_error(Code::kInvalid, what + ' ' + file + ": " + words);
  }
  std::fclose(probe);
  return our_error(Code::kInvalid, what + ' ' + file + ": " + take_ssl_error());
}

Status use_certificate(SSL_CTX* context, const std::string& cert_file,
                       const std::string& key_file) {
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return file_error("cert_file", cert_file);
  }
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return file_error("key_file", key_file);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    ERR_clear_error();
    return our_error(Code::kInvalid,
                     "key_file " + key_file + " does not belong to cert_file " + cert_file);
  }
  return Ok{};
}

}  // namespace

Result<std::shared_ptr<ServerTlsContext>> ServerTlsContext::make(const std::string& cert_file,
                                                                 const std::string& key_file,
                                                                 const std::string& client_ca_file,
                                                                 ClientAuth client_auth) {
  ContextPtr context = make_context(TLS_server_method());
  Status used = use_certificate(context.get(), cert_file, key_file);
  if (!used) return used.error();
  if (client_auth != ClientAuth::kNone) {
    if (client_ca_file.empty()) {
      return our_error(Code::kInvalid, "client_auth needs client_ca_file");
    }
    if (SSL_CTX_load_verify_locations(context.get(), client_ca_file.c_str(), nullptr) != 1) {
      return file_error("client_ca_file", client_ca_file);
    }
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(client_ca_file.c_str());
    if (names == nullptr) return file_error("client_ca_file", client_ca_file);
    SSL_CTX_set_client_CA_list(context.get(), names);
    int mode = SSL_VERIFY_PEER;
    if (client_auth == ClientAuth::kRequire) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context.get(), mode, nullptr);
  }
  // Resumed sessions of clients with certificates are refused without an id.
  constexpr unsigned char kSessionId[] = "tollgate";
  SSL_CTX_set_session_id_context(context.get(), kSessionId, sizeof(kSessionId) - 1);
  return std::shared_ptr<ServerTlsContext>(new ServerTlsContext(context.release()));
}

ServerTlsContext::~ServerTlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(native_)); }

Result<std::shared_ptr<ClientTlsContext>> ClientTlsContext::make(const ClientTlsOptions& options) {
  ContextPtr context = make_context(TLS_client_method());
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_locations(context.get(), options.ca_file.c_str(), nullptr) != 1) {
      return file_error("ca_file", options.ca_file);
    }
  } else if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    return our_error(Code::kInvalid, "the system's certificate store: " + take_ssl_error());
  }
  if (options.cert_file.empty() != options.key_file.empty()) {
    return our_error(Code::kInvalid, "a client certificate needs both cert_file and key_file");
  }
  if (!options.cert_file.empty()) {
    Status used = use_certificate(context.get(), options.cert_file, options.key_file);
    if (!used) return used.error();
  }
  SSL_CTX_set_verify(context.get(),
                     options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  return std::shared_ptr<ClientTlsContext>(new ClientTlsContext(context.release(), options));
}

ClientTlsContext::~ClientTlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(native_)); }

}  // namespace tollgate::net
