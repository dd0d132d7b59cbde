#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace tollgate::policy {

enum class Scheme {
  kAbsent,     // no Authorization header
  kMalformed,  // unknown scheme, bad base64, no colon, empty token, control characters, too long
  kBasic,      // RFC 7617
  kBearer      // RFC 6750
};

// Longer credentials are malformed: this bounds the stack buffer they are decoded into.
inline constexpr size_t kLongestCredential = 4096;

// What an Authorization header presents. Views into the header, or into the decoding buffer.
struct Presented {
  Scheme scheme = Scheme::kAbsent;
  std::string_view user;      // kBasic
  std::string_view password;  // kBasic
  std::string_view token;     // kBearer
};

// Parses the header's value exactly as it is: a token with a space or newline behind it is
// another token. Never allocates. `buffer` takes the decoded form of basic credentials.
Presented parse_credential(std::string_view authorization,
                           std::array<char, kLongestCredential>& buffer);

// What stands for a credential once it was read: its SHA-256, salted with random bytes that this
// process keeps to itself, so that digests tell nothing outside of it.
using Digest = std::array<unsigned char, 32>;

Digest digest_basic(std::string_view user, std::string_view password);
Digest digest_bearer(std::string_view token);

// In time that does not depend on where they differ.
bool equal(const Digest& a, const Digest& b);

}  // namespace tollgate::policy
