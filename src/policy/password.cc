#include "policy/password.h"

#include <crypt.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include <memory>

#include "base/check.h"

namespace tollgate::policy {
namespace {

constexpr uint64_t kLeastCost = 4;
constexpr uint64_t kMostCost = 31;

thread_local uint64_t g_rounds_spent = 0;

// 32 KB of state, too much for a stack. Wiped, because it holds the password.
struct CryptData {
  crypt_data data{};
  ~CryptData() { OPENSSL_cleanse(&data, sizeof data); }
};

// The hash of `password` with the salt and cost of `setting`; empty if the setting is no good.
std::string hash_password(std::string_view password, const std::string& setting) {
  auto state = std::make_unique<CryptData>();
  std::string phrase(password);
  const char* hashed = crypt_r(phrase.c_str(), setting.c_str(), &state->data);
  OPENSSL_cleanse(phrase.data(), phrase.size());
  // libxcrypt reports failure with a string that starts with '*'.
  if (hashed == nullptr || hashed[0] == '*') return "";
  g_rounds_spent += bcrypt_rounds(hashed);
  return hashed;
}

}  // namespace

bool is_bcrypt(std::string_view stored) {
  return stored.starts_with("$2a$") || stored.starts_with("$2b$") || stored.starts_with("$2y$");
}

uint64_t bcrypt_rounds(std::string_view hash) {
  TG_CHECK(hash.size() > 6 && is_bcrypt(hash));
  const auto cost = static_cast<uint64_t>((hash[4] - '0') * 10 + (hash[5] - '0'));
  TG_CHECK(cost >= kLeastCost && cost <= kMostCost);  // the configuration was checked
  return uint64_t{1} << cost;
}

bool bcrypt_matches(std::string_view password, const std::string& hash) {
  const std::string hashed = hash_password(password, hash);
  return !hashed.empty() && hashed.size() == hash.size() &&
         CRYPTO_memcmp(hashed.data(), hash.data(), hash.size()) == 0;
}

uint64_t rounds_spent() { return g_rounds_spent; }

void spend_bcrypt(std::string_view password, uint64_t rounds) {
  for (uint64_t cost = kLeastCost; cost <= kMostCost; cost++) {
    if ((rounds & (uint64_t{1} << cost)) == 0) continue;
    hash_password(password, fmt::format("$2b${:02}$abcdefghijklmnopqrstuu", cost));
  }
}

}  // namespace tollgate::policy
