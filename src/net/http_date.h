#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tollgate::net {

// An HTTP-date (RFC 9110 §5.6.7: IMF-fixdate, and the two obsolete forms) in milliseconds since
// the Unix epoch; nothing if it is none.
std::optional<int64_t> parse_http_date(std::string_view text);

// A Retry-After value: seconds, or an HTTP-date, which is counted from `now_ms`. Never negative.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, int64_t now_ms);

}  // namespace tollgate::net
