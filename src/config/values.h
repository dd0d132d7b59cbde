#pragma once

#include <string>
#include <string_view>

#include "config/config.h"

// How configuration values look in text; the inverse of the parse_… functions in config.h, and
// the character rules that several sections share.
namespace tollgate::config {

// The shortest exact form: 90'000 ms is "1m30s", 0 is "0s".
std::string format_duration(milliseconds duration);
// In the largest unit that is exact: 33554432 is "32MB", 1000 is "1000B".
std::string format_size(uint64_t bytes);
std::string format_address(const Address& address);

// A header field name or an authentication scheme (RFC 9110 `token`).
bool is_http_token(std::string_view text);
// Printable ASCII without space: what may follow "Bearer ".
bool is_visible_ascii(std::string_view text);
// A byte below space, or DEL.
bool has_control_characters(std::string_view text);
bool is_utf8(std::string_view text);

bool looks_like_bcrypt(std::string_view text);  // starts as one: $2a$, $2b$, $2x$, $2y$ or $2$
// Empty if `hash` is a well-formed bcrypt hash that we can check, else what is wrong with it.
std::string bcrypt_problem(std::string_view hash);

}  // namespace tollgate::config
