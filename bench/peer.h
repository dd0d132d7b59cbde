#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Plain blocking HTTP for the load generator and the sink: as cheap as it gets, one thread a
// connection, so that what is measured is the gateway.
namespace tollgate::bench {

// "127.0.0.1:19291" → a connected socket with TCP_NODELAY; throws std::runtime_error.
int connect_to(const std::string& address);
// Listens on 127.0.0.1:`port` (0 = any) and returns {socket, port}.
std::pair<int, uint16_t> listen_on(uint16_t port);
void write_all(int fd, std::string_view bytes);

// Reads one HTTP message: head and a body of Content-Length bytes. `buffer` keeps what was read
// beyond it. False at the end of the connection.
struct Message {
  std::string head;
  std::string body;
};
bool read_message(int fd, std::string& buffer, Message& out);

// The files of a directory with that suffix, read whole, in name order.
std::vector<std::string> read_corpus(const std::string& directory, const std::string& suffix);

}  // namespace tollgate::bench
