#include "client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

namespace tollgate::admin {

Answer http(uint16_t port, const std::string& method, const std::string& target,
            const std::string& body) {
  Answer answer;
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string received;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = method + " " + target +
                                " HTTP/1.1\r\nHost: tollgate\r\nConnection: close\r\n"
                                "Content-Length: " +
                                std::to_string(body.size()) + "\r\n\r\n" + body;
    for (size_t sent = 0; sent < request.size();) {
      const ssize_t n = send(fd, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;  // refused early: the answer may be there already
      sent += static_cast<size_t>(n);
    }
    char chunk[16384];
    for (ssize_t n = 0; (n = recv(fd, chunk, sizeof chunk, 0)) > 0;) {
      received.append(chunk, static_cast<size_t>(n));
    }
  }
  close(fd);

  const size_t end = received.find("\r\n\r\n");
  if (end == std::string::npos) return answer;
  std::istringstream head(received.substr(0, end));
  std::string line;
  std::getline(head, line);
  answer.status = std::atoi(line.substr(line.find(' ') + 1).c_str());
  while (std::getline(head, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    answer.headers[name] = colon == std::string::npos ? "" : line.substr(colon + 2);
  }
  answer.body = received.substr(end + 4);
  return answer;
}

}  // namespace tollgate::admin
