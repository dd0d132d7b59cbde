#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/sections.h"
#include "config/values.h"
#include "model/tenant.h"

namespace tollgate::config {
namespace {

// Empty if a sender can present `name` in basic authentication (RFC 7617).
std::string username_problem(const std::string& name) {
  if (name.empty()) return "is empty; give the user's name";
  if (name.find(':') != std::string::npos) return "has a colon, which a user name cannot have";
  if (has_control_characters(name)) return "has a control character; remove it";
  return "";
}

// A password that looks like a hash is taken for one, so it has to be a good one.
std::string password_problem(const Secret& password) {
  return looks_like_bcrypt(password.value) ? bcrypt_problem(password.value) : "";
}

void read_htpasswd(Map& map, SourceAuth& auth) {
  if (!map.file("htpasswd_file", auth.htpasswd_file)) {
    map.fail("htpasswd_file", "is empty; name the file");
    return;
  }
  auto contents = read_text_file(auth.htpasswd_file);
  if (!contents) return;  // reported by file()
  std::string_view rest = *contents;
  std::set<std::string> names;
  bool empty = true;
  for (int line = 1; !rest.empty(); line++) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (!text.empty() && (text.back() == '\r' || text.back() == ' ' || text.back() == '\t')) {
      text.remove_suffix(1);
    }
    if (text.empty() || text.front() == '#') continue;
    empty = false;
    const auto fail = [&](const std::string& what) {
      map.fail("htpasswd_file",
               fmt::format("has a bad line, {}:{}: {}", auth.htpasswd_file, line, what));
    };
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
      fail("a line is user:hash");
      continue;
    }
    BasicUser user;
    user.username = text.substr(0, colon);
    user.password.value = text.substr(colon + 1);
    if (auto problem = username_problem(user.username); !problem.empty()) {
      fail("the user name " + problem);
    } else if (!names.insert(user.username).second) {
      fail(fmt::format("user \"{}\" is there twice; remove one", user.username));
    } else if (problem = bcrypt_problem(user.password.value); !problem.empty()) {
      fail(fmt::format("the password of \"{}\" {}", user.username, problem));
    } else {
      auth.users.push_back(std::move(user));
    }
  }
  if (empty) {
    map.fail("htpasswd_file",
             fmt::format("names {}, which has no users; nobody could write", auth.htpasswd_file));
  }
}

void read_users(Map users, bool allow_placeholder, SourceAuth& auth) {
  for (const std::string& name : users.keys()) {
    const Value value = *users.take(name);
    BasicUser user;
    user.username = name;
    if (auto problem = username_problem(name); !problem.empty()) users.fail(name, problem);
    if (!value.text(user.password.value)) continue;
    const bool placeholder = allow_placeholder && user.password.value == kPlaceholder;
    if (auto problem = bcrypt_problem(user.password.value); !problem.empty() && !placeholder) {
      value.fail(problem);
    }
    auth.users.push_back(std::move(user));
  }
  users.finish();
}

void read_basic(Map map, SourceAuth& auth) {
  auth.kind = AuthKind::kBasic;
  const bool single = map.has("username") || map.has("password") || map.has("password_file");
  const int forms = static_cast<int>(single) + static_cast<int>(map.has("users")) +
                    static_cast<int>(map.has("htpasswd_file"));
  BasicUser user;
  const bool named = map.text("username", user.username);
  const bool password = map.secret("password", SecretKind::kPassword, user.password);
  if (map.has("users")) {
    read_users(map.map("users"), map.value().context().allow_placeholders, auth);
    if (auth.users.empty() && forms == 1) {
      map.fail("users", "is empty, so nobody could write; name at least one user");
    }
  } else {
    map.take("users");
  }
  if (map.has("htpasswd_file")) {
    read_htpasswd(map, auth);
  } else {
    map.take("htpasswd_file");
  }
  map.finish();
  if (forms != 1) {
    map.fail("",
             "needs exactly one of: username with password or password_file, users, "
             "htpasswd_file");
    return;
  }
  if (!single) return;
  if (!named) {
    map.fail("", "needs username");
  } else if (auto problem = username_problem(user.username); !problem.empty()) {
    map.fail("username", problem);
  }
  if (!password) {
    map.fail("", "needs password or password_file");
  } else if (auto problem = password_problem(user.password); !problem.empty()) {
    map.fail(map.has("password") ? "password" : "password_file", problem);
  }
  auth.users.push_back(std::move(user));
}

void read_bearer(Map map, SourceAuth& auth) {
  auth.kind = AuthKind::kBearer;
  if (!map.secret("token", SecretKind::kToken, auth.token)) {
    map.fail("", "needs token or token_file");
  }
  map.finish();
}

void read_auth(Map& source, SourceAuth& auth) {
  auto v = source.take("auth");
  // Left out is none, as no sources at all is one open source; serve and check config say so.
  if (!v) return;
  if (v->is_scalar()) {
    std::string word;
    if (v->text(word) && word != "none") {
      v->fail(
          fmt::format("\"{}\" is not none; other kinds are mappings, like "
                      "{{bearer: {{token_file: f}}}}",
                      word));
    }
    return;
  }
  Map map(*v);
  int kinds = 0;
  if (map.has("none")) {
    kinds++;
    map.map("none").finish();
  } else {
    map.take("none");
  }
  if (map.has("basic")) {
    kinds++;
    read_basic(map.map("basic"), auth);
  } else {
    map.take("basic");
  }
  if (map.has("bearer")) {
    kinds++;
    read_bearer(map.map("bearer"), auth);
  } else {
    map.take("bearer");
  }
  map.unsupported("client_cert");
  map.finish();
  if (map.keys().empty() && v->is_empty()) {
    source.fail("auth", "is empty; say basic, bearer or none");
  } else if (kinds > 1) {
    source.fail("auth", "has more than one kind; make a source of each");
  }
}

void read_tenant(Map& source, TenantRule& tenant) {
  constexpr const char* kTenantRule =
      "is not a tenant id: 1 to 150 of A-Z a-z 0-9 ! _ . * ' ( ) -, but not \".\" or \"..\"";
  auto v = source.take("tenant");
  if (!v) return;
  if (v->is_scalar() || v->is_null()) {
    if (v->text(tenant.fixed) && !model::valid_tenant(tenant.fixed)) {
      v->fail(fmt::format("\"{}\" {}", tenant.fixed, kTenantRule));
    }
    return;
  }
  Map map(*v);
  const bool header = map.text("header", tenant.header);
  const bool label = map.has("label");
  map.unsupported("label");
  map.unsupported("remove", {"false"});
  for (const Value& element : map.list("allow")) {
    std::string id;
    if (!element.text(id)) continue;
    if (!model::valid_tenant(id)) {
      element.fail(fmt::format("\"{}\" {}", id, kTenantRule));
    } else if (std::find(tenant.allow.begin(), tenant.allow.end(), id) != tenant.allow.end()) {
      element.fail(fmt::format("\"{}\" is in the list already; remove it", id));
    } else {
      tenant.allow.push_back(std::move(id));
    }
  }
  // "" is how a printed configuration says that there is none.
  map.text("default", tenant.fallback);
  map.finish();
  if (!v->is_map()) return;
  if (header && !is_http_token(tenant.header)) {
    map.fail("header", fmt::format("\"{}\" is not the name of an HTTP header", tenant.header));
  }
  if (!header && !label) map.fail("", "needs header, or write the tenant itself");
  if (tenant.fallback.empty()) return;
  if (!model::valid_tenant(tenant.fallback)) {
    map.fail("default", fmt::format("\"{}\" {}", tenant.fallback, kTenantRule));
  } else if (!tenant.allow.empty() && std::find(tenant.allow.begin(), tenant.allow.end(),
                                                tenant.fallback) == tenant.allow.end()) {
    map.fail("default", fmt::format("\"{}\" is not in allow; add it there", tenant.fallback));
  }
}

// Limits come with a later version; a limit that is not enforced must not look as if it were.
void read_limits(Map map) {
  for (const char* key : {"samples_per_second", "burst", "active_series", "labels_per_series",
                          "label_name_length", "label_value_length"}) {
    map.unsupported(key, {"0"});
  }
  map.unsupported("max_sample_age", {"0s", "0"});
  map.unsupported("max_future", {"10m", "0s", "0"});
  map.unsupported("on_limit", {"429", "503"});  // without limits both mean the same
  map.finish();
}

void read_ha(Map map, Ha& ha) {
  for (auto [key, label] : {std::pair{"cluster_label", &ha.cluster_label},
                            std::pair{"replica_label", &ha.replica_label}}) {
    if (map.text(key, *label) && !model::valid_label_name(*label)) {
      map.fail(key, fmt::format("\"{}\" is not a label name ([a-zA-Z_][a-zA-Z0-9_]*)", *label));
    }
  }
  map.unsupported("mode", {"off", "false"});
  map.finish();
}

struct ReadSource {
  Source source;
  bool auth_good = false;  // after a problem a source may look open without being so
};

ReadSource read_source(const Value& value) {
  ReadSource read;
  Source& source = read.source;
  Map map(value);
  if (map.text("name", source.name)) {
    if (auto problem = name_problem(source.name); !problem.empty()) map.fail("name", problem);
  }
  const size_t problems = value.context().problems.size();
  read_auth(map, source.auth);
  read.auth_good = value.context().problems.size() == problems;
  read_tenant(map, source.tenant);
  map.labels("enforced_labels", source.enforced_labels);
  map.choice<OnConflict>("on_conflict", source.on_conflict,
                         {{"override", OnConflict::kOverride}, {"reject", OnConflict::kReject}});
  map.labels("external_labels", source.external_labels);
  map.unsupported("relabel_configs");
  read_limits(map.map("limits"));
  read_ha(map.map("ha"), source.ha);
  map.finish();
  return read;
}

// Why a request that this source is meant for would never get to it; empty if it does.
std::string unreachable(const Source& earlier, const Source& source) {
  if (earlier.auth.kind == AuthKind::kNone) {
    return fmt::format(
        "can never match: source \"{}\" before it is open to anybody; move that one "
        "to the end",
        earlier.name);
  }
  if (source.auth.kind == AuthKind::kBearer && earlier.auth.kind == AuthKind::kBearer &&
      source.auth.token.value == earlier.auth.token.value &&
      source.auth.token.value != kPlaceholder) {
    return fmt::format("can never match: source \"{}\" has the same token", earlier.name);
  }
  return "";
}

}  // namespace

std::vector<Source> read_sources(Map& root) {
  std::vector<ReadSource> read;
  for (const Value& value : root.list("sources")) {
    ReadSource next = read_source(value);
    std::string shadowed;
    bool twice = false;
    for (const ReadSource& earlier : read) {
      twice = twice || earlier.source.name == next.source.name;
      if (shadowed.empty() && earlier.auth_good && next.auth_good) {
        shadowed = unreachable(earlier.source, next.source);
      }
    }
    if (twice) {
      value.fail(fmt::format("has the name \"{}\" of an earlier source; names are unique",
                             next.source.name));
    }
    if (!shadowed.empty()) value.fail(shadowed);
    read.push_back(std::move(next));
  }
  std::vector<Source> sources;
  for (ReadSource& r : read) sources.push_back(std::move(r.source));
  if (sources.empty()) sources.emplace_back();
  return sources;
}

}  // namespace tollgate::config
