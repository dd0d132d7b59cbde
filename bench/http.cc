#include "http.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <stdexcept>

#include "stream.h"

namespace tollgate::bench {
namespace {

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) ==
                  std::tolower(static_cast<unsigned char>(y));
         });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<uint64_t> number(std::string_view text, int base = 10) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Reads a chunked body; on kYes `used` is its size on the wire.
Parsed parse_chunks(std::string_view buffer, std::string& body, size_t& used) {
  size_t at = 0;
  for (;;) {
    const size_t line = buffer.find("\r\n", at);
    if (line == std::string_view::npos) return Parsed::kMore;
    std::string_view size_text = buffer.substr(at, line - at);
    size_text = trim(size_text.substr(0, size_text.find(';')));
    const auto size = number(size_text, 16);
    if (!size || *size > (1u << 30)) return Parsed::kBad;
    at = line + 2;
    if (*size == 0) {
      // Trailers, up to an empty line.
      for (;;) {
        const size_t end = buffer.find("\r\n", at);
        if (end == std::string_view::npos) return Parsed::kMore;
        const bool empty = end == at;
        at = end + 2;
        if (empty) {
          used = at;
          return Parsed::kYes;
        }
      }
    }
    if (buffer.size() < at + *size + 2) return Parsed::kMore;
    body.append(buffer.substr(at, *size));
    at += *size + 2;
  }
}

}  // namespace

std::string_view header(std::string_view head, std::string_view name) {
  size_t at = head.find("\r\n");
  while (at != std::string_view::npos) {
    at += 2;
    const size_t end = head.find("\r\n", at);
    if (end == std::string_view::npos || end == at) break;
    const std::string_view line = head.substr(at, end - at);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        same_ignoring_case(line.substr(0, name.size()), name)) {
      return trim(line.substr(name.size() + 1));
    }
    at = end;
  }
  return {};
}

Parsed parse_request(std::string_view buffer, Request& out, size_t& needed) {
  constexpr size_t kMaxHead = 64 * 1024;
  needed = 0;
  const size_t end = buffer.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    return buffer.size() > kMaxHead ? Parsed::kBad : Parsed::kMore;
  }
  out.head = buffer.substr(0, end + 4);
  const std::string_view line = out.head.substr(0, out.head.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t second = line.find(' ', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return Parsed::kBad;
  out.method = line.substr(0, first);
  out.target = line.substr(first + 1, second - first - 1);
  if (!header(out.head, "Transfer-Encoding").empty()) return Parsed::kBad;
  const std::string_view length_text = header(out.head, "Content-Length");
  const auto length = length_text.empty() ? std::optional<uint64_t>(0) : number(length_text);
  if (!length || *length > (1u << 30)) return Parsed::kBad;
  needed = end + 4 + *length;
  if (buffer.size() < needed) return Parsed::kMore;
  out.body = buffer.substr(end + 4, *length);
  out.close = same_ignoring_case(header(out.head, "Connection"), "close");
  return Parsed::kYes;
}

Parsed parse_answer(std::string_view buffer, bool ended, Answer& out) {
  const size_t end = buffer.find("\r\n\r\n");
  if (end == std::string_view::npos) return ended ? Parsed::kBad : Parsed::kMore;
  out.head = buffer.substr(0, end + 4);
  if (out.head.size() < 12 || out.head.substr(0, 5) != "HTTP/") return Parsed::kBad;
  const auto status = number(out.head.substr(9, 3));
  if (!status || *status < 100) return Parsed::kBad;
  out.status = static_cast<int>(*status);
  out.body.clear();
  out.close = same_ignoring_case(header(out.head, "Connection"), "close");
  const std::string_view rest = buffer.substr(end + 4);
  if (out.status < 200 || out.status == 204 || out.status == 304) {
    out.size = end + 4;
    return Parsed::kYes;
  }
  if (same_ignoring_case(header(out.head, "Transfer-Encoding"), "chunked")) {
    size_t used = 0;
    const Parsed parsed = parse_chunks(rest, out.body, used);
    out.size = end + 4 + used;
    return parsed == Parsed::kMore && ended ? Parsed::kBad : parsed;
  }
  const std::string_view length_text = header(out.head, "Content-Length");
  if (length_text.empty()) {
    // The end of the connection is the end of the body.
    if (!ended) return Parsed::kMore;
    out.close = true;
    out.body = rest;
    out.size = buffer.size();
    return Parsed::kYes;
  }
  const auto length = number(length_text);
  if (!length || *length > (4ull << 30)) return Parsed::kBad;
  if (rest.size() < *length) return ended ? Parsed::kBad : Parsed::kMore;
  out.body = rest.substr(0, *length);
  out.size = end + 4 + *length;
  return Parsed::kYes;
}

Reply call(const std::string& url_text, std::string_view method, std::string_view head,
           std::string_view body, std::chrono::milliseconds timeout, const std::string& ca_file) {
  const Url url = parse_url(url_text, "/");
  std::unique_ptr<TlsContext> tls;
  if (url.tls) tls = TlsContext::client(ca_file);
  auto stream = Stream::connect(resolve(url.host, url.port), tls.get(), url.host);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto wait = [&](short events) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd p{stream->fd(), events, 0};
    if (left.count() <= 0 || ::poll(&p, 1, static_cast<int>(left.count())) == 0) {
      throw std::runtime_error(url_text + ": no answer in time");
    }
  };
  std::string request;
  request.append(method).append(" ").append(url.path).append(" HTTP/1.1\r\nHost: ");
  request.append(url.authority()).append("\r\nConnection: close\r\nContent-Length: ");
  request.append(std::to_string(body.size())).append("\r\n").append(head).append("\r\n");
  request.append(body);
  for (size_t at = 0; at < request.size();) {
    const iovec part{request.data() + at, request.size() - at};
    const ssize_t n = stream->write(&part, 1);
    if (n == Stream::kBroken) throw std::runtime_error(url_text + ": " + stream->why());
    if (n == Stream::kAgain) {
      wait(stream->wants_read() ? POLLIN : POLLOUT);
    } else {
      at += static_cast<size_t>(n);
    }
  }
  std::string buffer;
  bool ended = false;
  Answer answer;
  for (;;) {
    const Parsed parsed =
        buffer.empty() && !ended ? Parsed::kMore : parse_answer(buffer, ended, answer);
    if (parsed == Parsed::kYes) {
      return {answer.status, std::string(answer.head), std::move(answer.body)};
    }
    if (parsed == Parsed::kBad || ended) {
      throw std::runtime_error(url_text + ": the answer is not HTTP or was cut off");
    }
    const size_t old = buffer.size();
    const size_t room = std::max<size_t>(64 * 1024, old);
    buffer.resize(old + room);
    const ssize_t n = stream->read(buffer.data() + old, room);
    buffer.resize(old + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == Stream::kBroken) throw std::runtime_error(url_text + ": " + stream->why());
    if (n == 0) ended = true;
    if (n == Stream::kAgain) wait(POLLIN);
  }
}

std::chrono::milliseconds parse_duration(const std::string& text) {
  const auto bad = [&] {
    return std::runtime_error("\"" + text + "\" is not a duration such as 500ms, 10s or 2m");
  };
  double total = 0;
  size_t at = 0;
  if (text.empty()) throw bad();
  while (at < text.size()) {
    const char* begin = text.data() + at;
    double value = 0;
    const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
    if (error != std::errc() || value < 0) throw bad();
    at += static_cast<size_t>(end - begin);
    size_t unit_end = at;
    while (unit_end < text.size() && std::isalpha(static_cast<unsigned char>(text[unit_end]))) {
      unit_end++;
    }
    const std::string_view unit = std::string_view(text).substr(at, unit_end - at);
    at = unit_end;
    if (unit == "ms") {
      total += value;
    } else if (unit == "s" || unit.empty()) {
      total += value * 1e3;
    } else if (unit == "m") {
      total += value * 60e3;
    } else if (unit == "h") {
      total += value * 3600e3;
    } else {
      throw bad();
    }
  }
  return std::chrono::milliseconds(static_cast<int64_t>(total + 0.5));
}

}  // namespace tollgate::bench
