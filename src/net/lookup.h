#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/transport.h"

// Internal to net: host names to addresses.
namespace tollgate::net {

// Looks one name up on a thread of its own, because getaddrinfo blocks, cannot be cancelled, and a
// dead DNS server must not delay the names of other destinations. Owner: a client. Threads: its
// loop. At most one lookup runs at a time; those who come meanwhile share its answer.
class Lookup {
 public:
  using Answer = Result<std::vector<Tcp::endpoint>>;

  Lookup(Loop& loop, std::string host, uint16_t port);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // Addresses in the order of preference (RFC 6724), at least one. kUnavailable with the
  // resolver's words. `waiting` is the caller's timer: cancelling it ends the wait with
  // "cancelled".
  Task<Answer> resolve(Timer& waiting);
  // A lookup in progress answers nobody any more. To be called before the loop goes.
  void forget();

 private:
  struct Run;
  void start();

  Loop& loop_;
  const std::string host_;
  const uint16_t port_;
  std::shared_ptr<Run> running_;
};

}  // namespace tollgate::net
