#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

// Structured logging to stderr as Prometheus does it: `time=… level=INFO msg="…" key=value …`
// (logfmt) or the same keys as one JSON object a line. Threads: any. Never on the per-sample path.
namespace tollgate::log {

enum class Level { kDebug, kInfo, kWarn, kError };
enum class Format { kLogfmt, kJson };

// A key and its value, rendered when the line is written.
struct Field {
  template <typename T>
  Field(std::string_view k, const T& v) : key(k) {  // NOLINT
    if constexpr (std::is_same_v<T, bool>) {
      value = v ? "true" : "false";
    } else if constexpr (std::is_arithmetic_v<T>) {
      value = std::to_string(v);
    } else {
      value = std::string(std::string_view(v));
    }
  }
  std::string_view key;
  std::string value;
};

// Set once at start-up (and on reload). Defaults: kInfo, kLogfmt.
void configure(Level level, Format format);
// "debug" | "info" | "warn" | "error"; false if `text` is none of them.
bool parse_level(std::string_view text, Level& out);
bool parse_format(std::string_view text, Format& out);

void write(Level level, std::string_view message, std::initializer_list<Field> fields);
// The line without its newline, for tests.
std::string render(Format format, Level level, int64_t now_ms, std::string_view message,
                   std::initializer_list<Field> fields);

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kDebug, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kInfo, m, f);
}
inline void warn(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kWarn, m, f);
}
inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kError, m, f);
}

}  // namespace tollgate::log
