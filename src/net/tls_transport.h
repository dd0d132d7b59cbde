#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/tls.h"
#include "net/transport.h"

// Internal to net: TLS over a connected socket. OpenSSL reads and writes the socket itself, so an
// idle connection holds no buffers of ours.
namespace tollgate::net {

std::unique_ptr<Transport> make_tls_server(Socket socket, const ServerTlsContext& context);
// Verifies the peer against `host` (or the context's server_name): a name or an address.
Result<std::unique_ptr<Transport>> make_tls_client(Socket socket, const ClientTlsContext& context,
                                                   const std::string& host);

// OpenSSL's words for the oldest error of this thread's queue, which is emptied.
std::string take_ssl_error();

}  // namespace tollgate::net
