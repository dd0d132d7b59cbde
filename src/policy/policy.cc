#include "policy/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <utility>

#include "model/tenant.h"
#include "policy/credential.h"
#include "policy/outcomes.h"
#include "policy/password.h"

namespace tollgate::policy {
namespace {

std::atomic<uint64_t> last_rewriting{0};

model::LabelPlan make_plan(const config::Source& source) {
  const auto enforce = source.on_conflict == config::OnConflict::kReject
                           ? model::LabelAction::kReject
                           : model::LabelAction::kOverride;
  std::vector<model::PlannedLabel> labels;
  for (const auto& [name, value] : source.enforced_labels) labels.push_back({name, value, enforce});
  for (const auto& [name, value] : source.external_labels) {
    labels.push_back({name, value, model::LabelAction::kAddAbsent});
  }
  return model::LabelPlan(std::move(labels));
}

// One source, ready to be matched.
struct Entry {
  config::AuthKind kind = config::AuthKind::kNone;
  std::vector<Digest> digests;  // of the token, or of users with plain-text passwords
  bool has_bcrypt = false;
  model::LabelPlan plan;
  uint64_t rewriting;
};

// A stored hash and the source it belongs to.
struct BcryptUser {
  uint32_t source;
  std::string hash;
};

}  // namespace

struct Policy::State {
  std::vector<config::Source> sources;
  std::vector<Entry> entries;  // as `sources`
  // By user name, in the order of the sources.
  std::map<std::string, std::vector<BcryptUser>, std::less<>> bcrypt_users;
  uint64_t most_rounds = 0;  // of checking any one user name
  Outcomes outcomes;         // the only thing that changes

  bool matches(size_t index, const Presented& presented, const Digest& digest,
               bool& needs_verification) const;
  Result<Admission> admit_to(size_t index, const Credentials& credentials) const;
};

Policy::Policy(std::unique_ptr<State> state) : state_(std::move(state)) {}
Policy::~Policy() = default;

std::shared_ptr<const Policy> Policy::make(const config::Config& config) {
  auto state = std::make_unique<State>();
  state->sources = config.sources;
  for (size_t i = 0; i < state->sources.size(); i++) {
    const config::Source& source = state->sources[i];
    Entry entry;
    entry.kind = source.auth.kind;
    entry.plan = make_plan(source);
    entry.rewriting = ++last_rewriting;
    if (entry.kind == config::AuthKind::kBearer) {
      entry.digests.push_back(digest_bearer(source.auth.token.value));
    } else if (entry.kind == config::AuthKind::kBasic) {
      for (const config::BasicUser& user : source.auth.users) {
        if (is_bcrypt(user.password.value)) {
          entry.has_bcrypt = true;
          state->bcrypt_users[user.username].push_back(
              {static_cast<uint32_t>(i), user.password.value});
        } else {
          entry.digests.push_back(digest_basic(user.username, user.password.value));
        }
      }
    }
    state->entries.push_back(std::move(entry));
  }
  for (const auto& [name, users] : state->bcrypt_users) {
    uint64_t rounds = 0;
    for (const BcryptUser& user : users) rounds += bcrypt_rounds(user.hash);
    state->most_rounds = std::max(state->most_rounds, rounds);
  }
  return std::shared_ptr<const Policy>(new Policy(std::move(state)));
}

const std::vector<config::Source>& Policy::sources() const { return state_->sources; }

// Whether source `index` takes the credential. Looks at all digests, so that time does not tell
// which one it was.
bool Policy::State::matches(size_t index, const Presented& presented, const Digest& digest,
                            bool& needs_verification) const {
  const Entry& entry = entries[index];
  const bool right_scheme =
      (entry.kind == config::AuthKind::kBearer && presented.scheme == Scheme::kBearer) ||
      (entry.kind == config::AuthKind::kBasic && presented.scheme == Scheme::kBasic);
  if (entry.kind == config::AuthKind::kNone) return true;
  if (!right_scheme) return false;
  bool found = false;
  for (const Digest& known : entry.digests) found |= equal(known, digest);
  if (found || !entry.has_bcrypt) return found;
  const auto outcome = outcomes.find(digest);
  if (!outcome) needs_verification = true;
  return outcome == static_cast<uint32_t>(index);
}

Result<Admission> Policy::admit(const Credentials& credentials, bool& needs_verification) const {
  needs_verification = false;
  std::array<char, kLongestCredential> buffer;
  const Presented presented = parse_credential(credentials.authorization, buffer);
  Digest digest{};
  if (presented.scheme == Scheme::kBasic) digest = digest_basic(presented.user, presented.password);
  if (presented.scheme == Scheme::kBearer) digest = digest_bearer(presented.token);
  for (size_t i = 0; i < state_->entries.size(); i++) {
    if (state_->matches(i, presented, digest, needs_verification)) {
      return state_->admit_to(i, credentials);
    }
    if (needs_verification) {
      return sender_error(Code::kUnauthenticated, "the password has not been checked yet; retry");
    }
  }
  switch (presented.scheme) {
    case Scheme::kAbsent:
      return sender_error(Code::kUnauthenticated,
                          "no credentials; send an Authorization header (basic_auth or "
                          "authorization in Prometheus's remote_write)");
    case Scheme::kMalformed:
      return sender_error(Code::kUnauthenticated,
                          "the Authorization header is neither valid Basic nor Bearer");
    case Scheme::kBasic:
    case Scheme::kBearer:
      break;
  }
  return sender_error(Code::kUnauthenticated, "no source has these credentials");
}

// The tenant of a request that belongs to source `index`.
Result<Admission> Policy::State::admit_to(size_t index, const Credentials& credentials) const {
  const config::Source& source = sources[index];
  const config::TenantRule& rule = source.tenant;
  Admission admission;
  admission.source = &source;
  admission.plan = &entries[index].plan;
  admission.rewriting = entries[index].rewriting;
  if (rule.header.empty()) {
    admission.tenant = rule.fixed;
    return admission;
  }
  const std::string_view asked =
      credentials.header ? credentials.header(rule.header) : std::string_view();
  if (asked.empty()) {
    if (rule.fallback.empty()) {
      return sender_error(
          Code::kPermissionDenied,
          fmt::format("source {} must name its tenant in header {}", source.name, rule.header));
    }
    admission.tenant = rule.fallback;
    return admission;
  }
  // What is malformed is not repeated: it may be anything.
  if (!model::valid_tenant(asked)) {
    return sender_error(Code::kPermissionDenied,
                        fmt::format("source {}: header {} holds no valid tenant id (1 to 150 of "
                                    "A-Z a-z 0-9 ! _ . * ' ( ) -)",
                                    source.name, rule.header));
  }
  if (!rule.allow.empty() &&
      std::find(rule.allow.begin(), rule.allow.end(), asked) == rule.allow.end()) {
    return sender_error(Code::kPermissionDenied,
                        fmt::format("source {} may not write for tenant {}", source.name, asked));
  }
  admission.tenant = asked;
  return admission;
}

void Policy::verify(std::string_view authorization) const {
  std::array<char, kLongestCredential> buffer;
  const Presented presented = parse_credential(authorization, buffer);
  if (presented.scheme != Scheme::kBasic || state_->most_rounds == 0) return;
  const Digest digest = digest_basic(presented.user, presented.password);
  if (state_->outcomes.find(digest)) return;  // another request has asked meanwhile
  uint64_t spent = 0;
  if (auto it = state_->bcrypt_users.find(presented.user); it != state_->bcrypt_users.end()) {
    for (const BcryptUser& user : it->second) {
      if (bcrypt_matches(presented.password, user.hash)) {
        state_->outcomes.remember(digest, user.source);
        return;
      }
      spent += bcrypt_rounds(user.hash);
    }
  }
  // A refusal takes as long for a name that nobody has as for any other.
  spend_bcrypt(presented.password, state_->most_rounds - spent);
  state_->outcomes.remember(digest, Outcomes::kRefused);
}

}  // namespace tollgate::policy
