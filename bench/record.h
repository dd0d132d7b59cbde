#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "server.h"

namespace tollgate::bench {

struct RecordOptions {
  ServerOptions server;
  std::string directory;  // made if it is not there
  std::string to;         // URL or host:port to pass requests on to; empty: answer 204
  std::string ca_file;    // for https:// in `to`
  uint64_t limit = 0;     // bodies to store, then only pass on; 0 = no limit
};

// Stores what a sender posts: bodies as DIR/000001.snappy, …, which load --replay reads, and their
// heads as DIR/000001.headers, without the lines that carry credentials. Continues the numbers of
// an earlier recording. One request at a time: it is for capturing, not for measuring. Owner: main
// or a test. Errors: the constructor throws; a destination that cannot be reached is answered 502,
// and what was posted is stored anyway.
class Recorder : private Handler {
 public:
  explicit Recorder(const RecordOptions& options);
  ~Recorder() override;

  uint16_t port() const { return server_->port(); }
  uint64_t stored() const { return stored_; }
  void wait() { server_->wait(); }

 private:
  void handle(const Request& request, Response& response) override;

  const RecordOptions options_;
  uint64_t number_ = 0;
  std::atomic<uint64_t> stored_{0};
  std::unique_ptr<Server> server_;
};

// The head without its first line, without what only concerns one connection, and without
// credentials.
std::string storable_headers(std::string_view head);

}  // namespace tollgate::bench
