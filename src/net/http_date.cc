#include "net/http_date.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace tollgate::net {
namespace {

// Longer waits than a year are a mistake; the bound keeps the arithmetic safe.
constexpr int64_t kMaxSeconds = 366LL * 24 * 3600;

}  // namespace

std::optional<int64_t> parse_http_date(std::string_view text) {
  const std::string date(text);
  for (const char* format :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    tm parts{};
    const char* end = strptime(date.c_str(), format, &parts);
    if (end == nullptr || *end != '\0') continue;
    return static_cast<int64_t>(timegm(&parts)) * 1000;
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, int64_t now_ms) {
  if (text.empty()) return std::nullopt;
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    int64_t seconds = kMaxSeconds;  // stays so when the number is too large to read
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    return std::chrono::seconds(std::min(seconds, kMaxSeconds));
  }
  const auto date = parse_http_date(text);
  if (!date) return std::nullopt;
  return std::chrono::milliseconds(std::clamp<int64_t>(*date - now_ms, 0, kMaxSeconds * 1000));
}

}  // namespace tollgate::net
