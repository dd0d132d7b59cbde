#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace tollgate::admin {

struct Answer {
  int status = 0;                              // 0 = no answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// One request on a connection of its own, read to its end; blocks.
Answer http(uint16_t port, const std::string& method, const std::string& target,
            const std::string& body = "");

}  // namespace tollgate::admin
