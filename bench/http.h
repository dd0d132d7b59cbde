#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// As much HTTP/1.1 as remote write needs, read in place from a buffer: no object per header.
namespace tollgate::bench {

// The value of a header in a head ("start line CRLF name: value CRLF … CRLF CRLF"); the name's case
// does not matter. Empty view if there is none.
std::string_view header(std::string_view head, std::string_view name);

// A request at the start of a buffer; views into it.
struct Request {
  std::string_view method;
  std::string_view target;
  std::string_view head;
  std::string_view body;
  bool close = false;  // the client wants the connection closed after the answer

  size_t size() const { return head.size() + body.size(); }
};

// An answer at the start of a buffer. `body` is decoded if it came in chunks.
struct Answer {
  int status = 0;
  std::string_view head;
  std::string body;
  bool close = false;
  size_t size = 0;  // bytes of the buffer that it took
};

enum class Parsed { kYes, kMore, kBad };

// Whether `buffer` starts with a whole request. On kMore, `needed` (if known, else 0) is the size
// of the whole request. kBad: not HTTP, or a body whose length is not declared.
Parsed parse_request(std::string_view buffer, Request& out, size_t& needed);

// Whether `buffer` starts with a whole answer; `ended`: the peer has closed, so what is there is
// all.
Parsed parse_answer(std::string_view buffer, bool ended, Answer& out);

// One blocking request on a connection of its own, for control and for the capture proxy. `head`:
// additional header lines, each ending with CRLF. Throws std::runtime_error naming the address.
struct Reply {
  int status = 0;
  std::string head;
  std::string body;
};
Reply call(const std::string& url, std::string_view method, std::string_view head,
           std::string_view body, std::chrono::milliseconds timeout = std::chrono::seconds(30),
           const std::string& ca_file = "");

// "10s", "1m30s", "250ms", "2h" or a bare number of seconds; throws std::runtime_error.
std::chrono::milliseconds parse_duration(const std::string& text);

}  // namespace tollgate::bench
