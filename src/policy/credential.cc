#include "policy/credential.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace tollgate::policy {
namespace {

bool same_ignoring_case(std::string_view a, std::string_view lowered) {
  if (a.size() != lowered.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] - 'A' + 'a') : a[i];
    if (c != lowered[i]) return false;
  }
  return true;
}

constexpr std::array<signed char, 256> make_base64_table() {
  std::array<signed char, 256> table{};
  table.fill(-1);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); i++) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<signed char>(i);
  }
  return table;
}

// RFC 4648 §4, padded. Spare bits must be 0, so that a credential has one encoding.
std::optional<std::string_view> decode_base64(std::string_view text,
                                              std::array<char, kLongestCredential>& out) {
  static constexpr auto kTable = make_base64_table();
  if (text.empty() || text.size() % 4 != 0 || text.size() / 4 * 3 > out.size()) {
    return std::nullopt;
  }
  size_t padding = 0;
  while (padding < 2 && text.back() == '=') {
    text.remove_suffix(1);
    padding++;
  }
  size_t size = 0;
  unsigned bits = 0;
  unsigned held = 0;
  for (char c : text) {
    const int value = kTable[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<unsigned>(value);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[size++] = static_cast<char>((bits >> held) & 0xffu);
      bits &= (1u << held) - 1;
    }
  }
  if (bits != 0) return std::nullopt;
  return std::string_view(out.data(), size);
}

// One context a thread, initialised with a digest fetched once: no allocation a request.
class Hasher {
 public:
  Hasher() : md_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
    TG_CHECK(md_ != nullptr && context_ != nullptr);
  }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  ~Hasher() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(md_);
  }

  void begin() { TG_CHECK(EVP_DigestInit_ex2(context_, md_, nullptr) == 1); }
  void add(std::string_view bytes) {
    TG_CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
  }
  Digest end() {
    Digest digest;
    TG_CHECK(EVP_DigestFinal_ex(context_, digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  EVP_MD* const md_;
  EVP_MD_CTX* const context_;
};

std::string_view process_salt() {
  static const auto salt = [] {
    std::array<unsigned char, 32> bytes{};
    TG_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
    return bytes;
  }();
  return {reinterpret_cast<const char*>(salt.data()), salt.size()};
}

// `kind` keeps a token from ever equalling a user and password; user names have no colon.
Digest digest(std::string_view kind, std::string_view a, std::string_view b) {
  thread_local Hasher hasher;
  hasher.begin();
  hasher.add(process_salt());
  hasher.add(kind);
  hasher.add(a);
  hasher.add(":");
  hasher.add(b);
  return hasher.end();
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

}  // namespace

Presented parse_credential(std::string_view authorization,
                           std::array<char, kLongestCredential>& buffer) {
  Presented out;
  if (authorization.empty()) return out;
  out.scheme = Scheme::kMalformed;
  const size_t space = authorization.find(' ');
  if (space == std::string_view::npos) return out;
  const std::string_view scheme = authorization.substr(0, space);
  const size_t begin = authorization.find_first_not_of(' ', space);
  if (begin == std::string_view::npos) return out;
  const std::string_view rest = authorization.substr(begin);
  if (same_ignoring_case(scheme, "bearer")) {
    if (rest.size() > kLongestCredential) return out;
    out.scheme = Scheme::kBearer;
    out.token = rest;
  } else if (same_ignoring_case(scheme, "basic")) {
    const auto decoded = decode_base64(rest, buffer);
    if (!decoded) return out;
    // A NUL would end the password early for crypt(), and so let its prefix in.
    const size_t colon = decoded->find(':');
    if (colon == std::string_view::npos || has_control_characters(*decoded)) return out;
    out.scheme = Scheme::kBasic;
    out.user = decoded->substr(0, colon);
    out.password = decoded->substr(colon + 1);
  }
  return out;
}

Digest digest_basic(std::string_view user, std::string_view password) {
  return digest("basic:", user, password);
}

Digest digest_bearer(std::string_view token) { return digest("bearer:", token, {}); }

bool equal(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace tollgate::policy
