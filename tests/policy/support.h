#pragma once

#include <crypt.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "policy/policy.h"

namespace tollgate::policy {

inline std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (size_t k = 0; k < 3; k++) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; k++) {
      out += k <= bytes.size() - i ? kAlphabet[(group >> (18 - 6 * k)) & 63u] : '=';
    }
  }
  return out;
}

inline std::string basic(std::string_view user, std::string_view password) {
  return "Basic " + base64(std::string(user) + ":" + std::string(password));
}

// A hash of the lowest cost, so that tests are quick.
inline std::string bcrypt(const std::string& password, const std::string& kind = "2b",
                          const std::string& cost = "04") {
  crypt_data state{};
  const std::string setting = "$" + kind + "$" + cost + "$abcdefghijklmnopqrstuu";
  return crypt_r(password.c_str(), setting.c_str(), &state);
}

inline config::Source open_source(const std::string& name) {
  config::Source source;
  source.name = name;
  return source;
}

inline config::Source bearer_source(const std::string& name, const std::string& token) {
  config::Source source = open_source(name);
  source.auth.kind = config::AuthKind::kBearer;
  source.auth.token.value = token;
  return source;
}

inline config::Source basic_source(const std::string& name,
                                   const std::vector<std::pair<std::string, std::string>>& users) {
  config::Source source = open_source(name);
  source.auth.kind = config::AuthKind::kBasic;
  for (const auto& [user, password] : users) {
    source.auth.users.push_back({user, {password, ""}});
  }
  return source;
}

inline std::shared_ptr<const Policy> make_policy(std::vector<config::Source> sources) {
  config::Config config;
  config.sources = std::move(sources);
  return Policy::make(config);
}

// What a request gets: "source/tenant", or the code of the refusal; "verify" if a password has to
// be checked first.
inline std::string outcome(const Policy& policy, std::string_view authorization,
                           const std::map<std::string, std::string>& headers = {}) {
  Credentials credentials;
  credentials.authorization = authorization;
  credentials.header = [&](std::string_view header) -> std::string_view {
    const auto it = headers.find(std::string(header));
    return it == headers.end() ? std::string_view() : std::string_view(it->second);
  };
  bool needs_verification = false;
  auto admission = policy.admit(credentials, needs_verification);
  if (admission) return admission->source->name + "/" + admission->tenant;
  if (needs_verification) return "verify";
  return std::string(name(admission.error().code));
}

// The same, with the password checked where that is asked for.
inline std::string verified(const Policy& policy, std::string_view authorization) {
  const std::string first = outcome(policy, authorization);
  if (first != "verify") return first;
  policy.verify(authorization);
  return outcome(policy, authorization);
}

}  // namespace tollgate::policy
