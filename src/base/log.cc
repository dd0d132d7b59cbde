#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <ctime>

#include "base/clock.h"

namespace tollgate::log {
namespace {

std::atomic<Format> g_format{Format::kLogfmt};

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto l = std::make_shared<spdlog::logger>("tollgate",
                                              std::make_shared<spdlog::sinks::stderr_sink_mt>());
    l->set_pattern("%v");
    l->set_level(spdlog::level::info);
    return l;
  }();
  return *instance;
}

std::string_view level_name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "DEBUG";
    case Level::kInfo:
      return "INFO";
    case Level::kWarn:
      return "WARN";
    case Level::kError:
      return "ERROR";
  }
  return "INFO";
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

bool needs_quotes(std::string_view text) {
  if (text.empty()) return true;
  for (char c : text) {
    if (c == ' ' || c == '"' || c == '=' || c == '\\' || static_cast<unsigned char>(c) < 0x20) {
      return true;
    }
  }
  return false;
}

std::string timestamp(int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms % 1000);
}

}  // namespace

void configure(Level level, Format format) {
  g_format = format;
  logger().set_level(to_spdlog(level));
}

bool parse_level(std::string_view text, Level& out) {
  if (text == "debug") return out = Level::kDebug, true;
  if (text == "info") return out = Level::kInfo, true;
  if (text == "warn") return out = Level::kWarn, true;
  if (text == "error") return out = Level::kError, true;
  return false;
}

bool parse_format(std::string_view text, Format& out) {
  if (text == "logfmt") return out = Format::kLogfmt, true;
  if (text == "json") return out = Format::kJson, true;
  return false;
}

std::string render(Format format, Level level, int64_t now_ms, std::string_view message,
                   std::initializer_list<Field> fields) {
  std::string out;
  if (format == Format::kLogfmt) {
    out = fmt::format("time={} level={} msg=", timestamp(now_ms), level_name(level));
    append_quoted(out, message);
    for (const Field& f : fields) {
      out += ' ';
      out += f.key;
      out += '=';
      if (needs_quotes(f.value)) {
        append_quoted(out, f.value);
      } else {
        out += f.value;
      }
    }
    return out;
  }
  out = fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"msg\":", timestamp(now_ms),
                    level_name(level));
  append_quoted(out, message);
  for (const Field& f : fields) {
    out += ',';
    append_quoted(out, f.key);
    out += ':';
    append_quoted(out, f.value);
  }
  out += '}';
  return out;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  auto& l = logger();
  if (!l.should_log(to_spdlog(level))) return;
  l.log(to_spdlog(level), "{}",
        render(g_format.load(), level, Clock::real().now_ms(), message, fields));
  l.flush();
}

}  // namespace tollgate::log
