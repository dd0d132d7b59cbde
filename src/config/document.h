#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"

// Walking a YAML document against a schema that exists only as the calls that read it: each key
// that a section asks for is thereby known, and what is left over at the end is an error.
namespace tollgate::config {

// A place in the file, both from 1.
struct Position {
  int line = 1;
  int column = 1;
};

// What is wrong with a file, in the order of the file.
class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  void add(Position at, std::string what);
  bool empty() const { return found_.empty(); }
  size_t size() const { return found_.size(); }
  // "file:line:column: what", one a line, at most 20 lines.
  Error error() const;

 private:
  const std::string file_;
  std::vector<std::pair<Position, std::string>> found_;
};

// One load. Outlives every Value and Map made from it.
struct Context {
  Problems problems;
  std::string directory;            // relative file names are relative to it
  bool allow_placeholders = false;  // `<secret>` may stand for a secret

  std::string absolute(const std::string& path) const;
};

// What a printed configuration shows for a secret.
inline constexpr std::string_view kPlaceholder = "<secret>";

// What a secret may consist of.
enum class SecretKind {
  kPassword,  // anything but control characters
  kToken,     // printable ASCII without space: it is sent or compared as a header
};

// A node and where it stands. Cheap to copy. The readers return false after reporting a problem
// at this position; `out` is unchanged then.
class Value {
 public:
  Value(Context& context, YAML::Node node, std::string path, Position key)
      : context_(&context), node_(std::move(node)), path_(std::move(path)), key_(key) {}

  Context& context() const { return *context_; }
  const YAML::Node& node() const { return node_; }
  const std::string& path() const { return path_; }  // "ingest.listen", "sources[0].auth"
  Position at() const;
  Position key() const { return key_; }
  bool is_map() const { return node_.IsMap(); }
  bool is_scalar() const { return node_.IsScalar(); }
  bool is_null() const { return node_.IsNull(); }
  // Nothing in it: null, "", [] or {}.
  bool is_empty() const;

  // Reports "<path> <what>" at this value.
  void fail(const std::string& what) const;

  // The scalar with ${env:NAME} and ${env:NAME:-default} replaced; `$${env:` stands for `${env:`.
  bool text(std::string& out) const;
  bool duration(milliseconds& out) const;
  bool size(uint64_t& out) const;
  bool count(uint32_t& out, uint32_t least, uint32_t most) const;
  bool boolean(bool& out) const;
  bool address(Address& out) const;
  bool labels(std::map<std::string, std::string>& out) const;
  // The elements, with their positions; none (and a problem) if it is not a list.
  std::vector<Value> list() const;

  template <typename Enum>
  bool choice(Enum& out, std::initializer_list<std::pair<std::string_view, Enum>> names) const {
    std::string word;
    if (!text(word)) return false;
    std::string known;
    for (const auto& [name, value] : names) {
      if (word == name) return out = value, true;
      known += known.empty() ? "" : ", ";
      known += name;
    }
    return fail("\"" + word + "\" is not one of " + known), false;
  }

 private:
  bool expand(std::string& text) const;

  Context* context_;
  YAML::Node node_;
  std::string path_;
  Position key_;
};

// A mapping being read. Every reader returns true if the key is there, be its value good or not
// (a bad one has been reported), so that what follows from its absence is not reported as well.
class Map {
 public:
  // Null counts as an empty mapping; anything else that is not one is reported.
  explicit Map(const Value& value);

  const Value& value() const { return value_; }
  bool has(std::string_view key) const;
  std::vector<std::string> keys() const;
  // Marks `key` as known and returns its value.
  std::optional<Value> take(const std::string& key);
  // The mapping under `key`; an empty one if it is absent.
  Map map(const std::string& key);
  std::vector<Value> list(const std::string& key);

  bool text(const std::string& key, std::string& out);
  bool duration(const std::string& key, milliseconds& out);
  bool size(const std::string& key, uint64_t& out);
  bool count(const std::string& key, uint32_t& out, uint32_t least, uint32_t most);
  bool boolean(const std::string& key, bool& out);
  bool address(const std::string& key, Address& out);
  bool labels(const std::string& key, std::map<std::string, std::string>& out);
  // A path of a file that must be readable, made absolute; "" stays empty.
  bool file(const std::string& key, std::string& out);
  // `<key>` or `<key>_file`, not both. A file must be readable and not empty.
  bool secret(const std::string& key, SecretKind kind, Secret& out);
  template <typename Enum>
  bool choice(const std::string& key, Enum& out,
              std::initializer_list<std::pair<std::string_view, Enum>> names) {
    auto v = take(key);
    if (v) v->choice(out, names);
    return v.has_value();
  }

  // A key of the contract whose feature is not there yet: only its neutral values pass.
  void unsupported(const std::string& key, std::initializer_list<std::string_view> neutral = {});

  // Where `key` stands, or the mapping itself if it is absent.
  Position at(std::string_view key) const;
  // Reports a problem with `key` (or its absence).
  void fail(std::string_view key, const std::string& what) const;

  // Reports the keys nobody asked for, each with the nearest known one.
  void finish();

 private:
  struct Entry {
    std::string key;
    Position at;
    YAML::Node node;
    bool known = false;
  };
  Entry* find(std::string_view key);

  Value value_;
  std::vector<Entry> entries_;
  std::vector<std::string> known_;
};

// A small file as text. The message says what the system says.
Result<std::string> read_text_file(const std::string& path);

}  // namespace tollgate::config
