#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "model/label_plan.h"

namespace tollgate::policy {

// What a request says about its sender. Views live during the call.
struct Credentials {
  std::string_view authorization;  // the header's value; empty if absent
  // The value of a request header, for tenants from headers; empty if absent.
  std::function<std::string_view(std::string_view name)> header;
};

// The decision for one request. Lives as long as the Policy that made it.
struct Admission {
  const config::Source* source = nullptr;
  std::string tenant;
  const model::LabelPlan* plan = nullptr;
  // Stands for how this source's series are rewritten (plan and HA labels). Another number under
  // every configuration; never used twice in a process.
  uint64_t rewriting = 0;
};

// Who may write what: the `sources` of a configuration, compiled. Immutable but for its password
// cache; published as shared_ptr<const Policy> and replaced on reload. Threads: any.
class Policy {
 public:
  static std::shared_ptr<const Policy> make(const config::Config& config);
  ~Policy();

  // Finds the first source whose credentials match, then the tenant. Never blocks.
  // Errors: kUnauthenticated (no source matches), kPermissionDenied (known, but not for that
  // tenant, or the tenant id is malformed); the message names source and tenant, never a secret.
  // `needs_verification` set and kUnauthenticated returned: a bcrypt password that is not in the
  // cache yet; call `verify` on a thread that may block, then `admit` again.
  Result<Admission> admit(const Credentials& credentials, bool& needs_verification) const;

  // Checks a basic credential against all bcrypt users (tens of milliseconds each) and remembers
  // the outcome (at most 1,000 outcomes, by salted hash).
  void verify(std::string_view authorization) const;

  const std::vector<config::Source>& sources() const;

 private:
  struct State;
  explicit Policy(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tollgate::policy
