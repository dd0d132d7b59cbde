#include "config/document.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <tuple>

#include "config/nearest.h"
#include "config/values.h"
#include "model/tenant.h"

namespace tollgate::config {
namespace {

constexpr size_t kMostProblems = 20;
constexpr size_t kLargestFile = 4u << 20;  // of a configuration or a secret

Position position(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

std::string_view kind_of(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Null:
      return "nothing";
    case YAML::NodeType::Scalar:
      return "a single value";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Undefined:
      break;
  }
  return "something undefined";
}

// "journal.shards must be …", but `ingest.listen: "x" is not …`.
std::string sentence(const std::string& path, const std::string& what) {
  if (path.empty()) return what;
  return path + (what.starts_with('"') ? ": " : " ") + what;
}

std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string secret_problem(const std::string& secret, SecretKind kind) {
  if (kind == SecretKind::kToken && !is_visible_ascii(secret)) {
    return "has a space, a control character or a letter outside ASCII, which a token cannot have";
  }
  if (has_control_characters(secret)) return "has a control character, which cannot be sent";
  return "";
}

}  // namespace

void Problems::add(Position at, std::string what) { found_.emplace_back(at, std::move(what)); }

Error Problems::error() const {
  std::vector<size_t> sorted(found_.size());
  std::iota(sorted.begin(), sorted.end(), size_t{0});
  std::sort(sorted.begin(), sorted.end(), [&](size_t a, size_t b) {
    const Position& x = found_[a].first;
    const Position& y = found_[b].first;
    return std::tuple(x.line, x.column, a) < std::tuple(y.line, y.column, b);
  });
  std::string message;
  for (size_t i = 0; i < std::min(sorted.size(), kMostProblems); i++) {
    const auto& [at, what] = found_[sorted[i]];
    message += fmt::format("{}{}:{}:{}: {}", i == 0 ? "" : "\n", file_, at.line, at.column, what);
  }
  if (sorted.size() > kMostProblems) {
    message += fmt::format(" (and {} more)", sorted.size() - kMostProblems);
  }
  return our_error(Code::kInvalid, std::move(message));
}

std::string Context::absolute(const std::string& path) const {
  return std::filesystem::absolute(std::filesystem::path(directory) / path)
      .lexically_normal()
      .string();
}

Position Value::at() const { return position(node_); }

bool Value::is_empty() const {
  if (node_.IsNull()) return true;
  if (node_.IsScalar()) return node_.Scalar().empty();
  return node_.size() == 0;
}

void Value::fail(const std::string& what) const {
  context_->problems.add(at(), sentence(path_, what));
}

bool Value::text(std::string& out) const {
  if (!node_.IsScalar()) {
    if (node_.IsNull()) return fail("has no value; give one or remove the key"), false;
    return fail(fmt::format("must be a single value, not {}", kind_of(node_))), false;
  }
  std::string text = node_.Scalar();
  if (!expand(text)) return false;
  if (!is_utf8(text)) return fail("is not valid UTF-8"), false;
  if (text.find('\0') != std::string::npos) return fail("has a NUL character"), false;
  out = std::move(text);
  return true;
}

bool Value::expand(std::string& text) const {
  constexpr std::string_view kOpen = "${env:";
  std::string out;
  size_t from = 0;
  for (;;) {
    const size_t open = text.find(kOpen, from);
    if (open == std::string::npos) break;
    out.append(text, from, open - from);
    if (out.ends_with('$') && open > from) {  // the escape: `$${env:` is a literal `${env:`
      out.pop_back();
      out += kOpen;
      from = open + kOpen.size();
      continue;
    }
    const size_t close = text.find('}', open);
    if (close == std::string::npos) {
      return fail("has ${env: without a closing brace; write $${env: for the literal text"), false;
    }
    const std::string inside = text.substr(open + kOpen.size(), close - open - kOpen.size());
    const size_t dash = inside.find(":-");
    const std::string name = inside.substr(0, dash);
    if (!model::valid_label_name(name)) {  // the letters of an environment variable's name
      return fail(fmt::format("\"{}\" is not the name of an environment variable", name)), false;
    }
    if (const char* value = std::getenv(name.c_str());
        value != nullptr && (*value != '\0' || dash == std::string::npos)) {
      out += value;
    } else if (dash != std::string::npos) {
      out += inside.substr(dash + 2);
    } else {
      return fail(fmt::format("needs environment variable {}, which is not set; set it or "
                              "write ${{env:{}:-default}}",
                              name, name)),
             false;
    }
    from = close + 1;
  }
  out.append(text, from);
  text = std::move(out);
  return true;
}

bool Value::duration(milliseconds& out) const {
  std::string word;
  if (!text(word)) return false;
  auto parsed = parse_duration(word);
  if (!parsed) return fail(parsed.error().message), false;
  out = *parsed;
  return true;
}

bool Value::size(uint64_t& out) const {
  std::string word;
  if (!text(word)) return false;
  auto parsed = parse_size(word);
  if (!parsed) return fail(parsed.error().message), false;
  out = *parsed;
  return true;
}

bool Value::count(uint32_t& out, uint32_t least, uint32_t most) const {
  std::string word;
  if (!text(word)) return false;
  uint64_t number = 0;
  const bool digits =
      !word.empty() && word.size() <= 10 &&
      std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
  for (char c : word) {
    if (digits) number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  if (!digits || number < least || number > most) {
    return fail(fmt::format("\"{}\" is not a whole number from {} to {}", word, least, most)),
           false;
  }
  out = static_cast<uint32_t>(number);
  return true;
}

bool Value::boolean(bool& out) const {
  return choice<bool>(out, {{"true", true},
                            {"false", false},
                            {"yes", true},
                            {"no", false},
                            {"on", true},
                            {"off", false}});
}

bool Value::address(Address& out) const {
  std::string word;
  if (!text(word)) return false;
  auto parsed = parse_address(word);
  if (!parsed) return fail(parsed.error().message), false;
  out = *parsed;
  return true;
}

bool Value::labels(std::map<std::string, std::string>& out) const {
  Map map(*this);
  std::map<std::string, std::string> labels;
  for (const std::string& name : map.keys()) {
    const Value value = *map.take(name);
    std::string text;
    if (!model::valid_label_name(name)) {
      map.fail(name, fmt::format("\"{}\" is not a label name ([a-zA-Z_][a-zA-Z0-9_]*)", name));
    } else if (name == "__name__") {
      map.fail(name, "would set the metric name of every series; remove it");
    } else if (value.is_empty()) {
      value.fail("is empty, which means no label; give it a value or remove it");
    } else if (!value.text(text)) {
      continue;
    } else if (text.empty()) {
      value.fail("is empty after replacing variables; give it a value or remove it");
    } else {
      labels[name] = std::move(text);
    }
  }
  map.finish();
  if (labels.size() < map.keys().size()) return false;
  out = std::move(labels);
  return true;
}

std::vector<Value> Value::list() const {
  std::vector<Value> out;
  if (node_.IsNull()) return out;
  if (!node_.IsSequence()) {
    fail(fmt::format("must be a list, not {}", kind_of(node_)));
    return out;
  }
  for (const auto& element : node_) {
    out.emplace_back(*context_, element, fmt::format("{}[{}]", path_, out.size()),
                     position(element));
  }
  return out;
}

Map::Map(const Value& value) : value_(value) {
  const YAML::Node& node = value.node();
  if (node.IsNull()) return;
  if (!node.IsMap()) {
    value.fail(fmt::format("must be a mapping (key: value), not {}", kind_of(node)));
    return;
  }
  for (const auto& pair : node) {
    const Position at = position(pair.first);
    if (!pair.first.IsScalar()) {
      value_.context().problems.add(
          at, fmt::format("a key must be a single word, not {}", kind_of(pair.first)));
      continue;
    }
    const std::string& key = pair.first.Scalar();
    if (const Entry* first = find(key)) {
      value_.context().problems.add(at, fmt::format("duplicate key \"{}\", first given at line {}; "
                                                    "remove one of them",
                                                    key, first->at.line));
      continue;
    }
    entries_.push_back({key, at, pair.second});
  }
}

Map::Entry* Map::find(std::string_view key) {
  for (Entry& entry : entries_) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

bool Map::has(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const Entry& entry) { return entry.key == key; });
}

std::vector<std::string> Map::keys() const {
  std::vector<std::string> out;
  for (const Entry& entry : entries_) out.push_back(entry.key);
  return out;
}

std::optional<Value> Map::take(const std::string& key) {
  known_.push_back(key);
  Entry* entry = find(key);
  if (entry == nullptr) return std::nullopt;
  entry->known = true;
  const std::string path = value_.path().empty() ? key : value_.path() + "." + key;
  return Value(value_.context(), entry->node, path, entry->at);
}

Map Map::map(const std::string& key) {
  if (auto v = take(key)) return Map(*v);
  return Map(Value(value_.context(), YAML::Node(YAML::NodeType::Null),
                   value_.path().empty() ? key : value_.path() + "." + key, value_.key()));
}

std::vector<Value> Map::list(const std::string& key) {
  if (auto v = take(key)) return v->list();
  return {};
}

bool Map::text(const std::string& key, std::string& out) {
  auto v = take(key);
  if (v) v->text(out);
  return v.has_value();
}

bool Map::duration(const std::string& key, milliseconds& out) {
  auto v = take(key);
  if (v) v->duration(out);
  return v.has_value();
}

bool Map::size(const std::string& key, uint64_t& out) {
  auto v = take(key);
  if (v) v->size(out);
  return v.has_value();
}

bool Map::count(const std::string& key, uint32_t& out, uint32_t least, uint32_t most) {
  auto v = take(key);
  if (v) v->count(out, least, most);
  return v.has_value();
}

bool Map::boolean(const std::string& key, bool& out) {
  auto v = take(key);
  if (v) v->boolean(out);
  return v.has_value();
}

bool Map::address(const std::string& key, Address& out) {
  auto v = take(key);
  if (v) v->address(out);
  return v.has_value();
}

bool Map::labels(const std::string& key, std::map<std::string, std::string>& out) {
  auto v = take(key);
  if (v) v->labels(out);
  return v.has_value();
}

bool Map::file(const std::string& key, std::string& out) {
  auto v = take(key);
  std::string path;
  if (!v || !v->text(path)) return v.has_value();
  if (path.empty()) return false;
  path = value_.context().absolute(path);
  if (auto contents = read_text_file(path); !contents) {
    fail(key, fmt::format("names {}, which cannot be read: {}", path, contents.error().message));
  }
  out = std::move(path);
  return true;
}

bool Map::secret(const std::string& key, SecretKind kind, Secret& out) {
  const std::string file_key = key + "_file";
  auto inline_value = take(key);
  auto file_value = take(file_key);
  if (!inline_value && !file_value) return false;
  // Should anything go wrong, the secret is not empty, so that nobody reports it missing.
  Secret secret;
  secret.value = kPlaceholder;
  if (inline_value && file_value) {
    fail(file_key, fmt::format("contradicts {}; keep one of the two", key));
  } else if (inline_value) {
    if (inline_value->text(secret.value)) {
      const bool placeholder = secret.value == kPlaceholder;
      if (secret.value.empty()) {
        inline_value->fail("is empty; give the secret, or a file with " + file_key);
      } else if (placeholder && !value_.context().allow_placeholders) {
        inline_value->fail("is the placeholder of a printed configuration; put the secret there");
      } else if (auto problem = secret_problem(secret.value, kind); !problem.empty()) {
        inline_value->fail(problem);
      }
    }
  } else if (std::string path; file_value->text(path)) {
    if (path.empty()) {
      file_value->fail("is empty; name the file that holds the secret");
      out = std::move(secret);
      return true;
    }
    secret.file = value_.context().absolute(path);
    auto contents = read_text_file(secret.file);
    if (!contents) {
      fail(file_key, fmt::format("names {}, which cannot be read: {}", secret.file,
                                 contents.error().message));
    } else {
      secret.value = trimmed(*contents);
      auto problem = secret_problem(secret.value, kind);
      if (secret.value.empty()) {
        fail(file_key,
             fmt::format("names {}, which is empty; it must hold the secret", secret.file));
      } else if (!problem.empty()) {
        fail(file_key, fmt::format("names {}, whose secret {}", secret.file, problem));
      }
    }
  }
  out = std::move(secret);
  return true;
}

void Map::unsupported(const std::string& key, std::initializer_list<std::string_view> neutral) {
  auto v = take(key);
  if (!v || v->is_empty()) return;
  if (v->is_scalar() &&
      std::find(neutral.begin(), neutral.end(), v->node().Scalar()) != neutral.end()) {
    return;
  }
  fail(key, "is not supported by this version; remove it");
}

Position Map::at(std::string_view key) const {
  for (const Entry& entry : entries_) {
    if (entry.key == key) return entry.at;
  }
  return value_.node().IsNull() ? value_.key() : value_.at();
}

void Map::fail(std::string_view key, const std::string& what) const {
  if (!value_.is_map() && !value_.is_null()) return;  // reported once, as not being a mapping
  std::string path = value_.path();
  if (!path.empty() && !key.empty()) path += ".";
  path += key;
  value_.context().problems.add(at(key), sentence(path, what));
}

void Map::finish() {
  for (const Entry& entry : entries_) {
    if (entry.known) continue;
    const std::string where = value_.path().empty() ? "at the top level" : "in " + value_.path();
    std::string message = fmt::format("unknown key \"{}\" {}", entry.key, where);
    if (entry.key == "<<") {
      message += "; merge keys are not supported, use an alias for a whole value";
    } else if (const std::string guess = nearest(entry.key, known_); !guess.empty()) {
      message += fmt::format("; the nearest known key is \"{}\"", guess);
    }
    value_.context().problems.add(entry.at, std::move(message));
  }
}

Result<std::string> read_text_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return our_error(Code::kUnavailable, std::strerror(errno));
  // read, not pread: a configuration may come through a pipe.
  std::string out;
  char chunk[16 * 1024];
  for (;;) {
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int code = errno;
      ::close(fd);
      return our_error(Code::kUnavailable, std::strerror(code));
    }
    if (n == 0) break;
    out.append(chunk, static_cast<size_t>(n));
    if (out.size() > kLargestFile) {
      ::close(fd);
      return our_error(Code::kUnavailable,
                       fmt::format("larger than {}", format_size(kLargestFile)));
    }
  }
  ::close(fd);
  return out;
}

}  // namespace tollgate::config
