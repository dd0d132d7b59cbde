#include "app/commands.h"

#include <fmt/format.h>
#include <pthread.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "app/gateway.h"
#include "base/log.h"
#include "config/config.h"
#include "journal/inspect.h"
#include "metrics/build_info.h"

namespace tollgate::app {
namespace {

constexpr int kFine = 0;
constexpr int kWrong = 1;
constexpr int kNotChecked = 2;

struct Flags {
  std::string config_file = "tollgate.yml";
  std::string log_level = "info";
  std::string log_format = "logfmt";
  std::string drain_timeout = "10s";
  std::string grace_period = "5s";
  size_t loops = 0;
};

void print_error(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

std::string version_text() {
  const auto& build = metrics::build_info();
  return fmt::format("tollgate {} (revision {}, {})", build.version, build.revision,
                     build.compiler);
}

int check_config(const Flags& flags) {
  auto text = fs::read_file(fs::FileSystem::real(), flags.config_file);
  if (!text) {
    print_error("cannot read the configuration: " + text.error().message);
    return kNotChecked;
  }
  auto config = config::load(flags.config_file);
  if (!config) {
    print_error(config.error().message);
    return kWrong;
  }
  std::printf("%s is valid: %zu source(s), %zu destination(s)\n", flags.config_file.c_str(),
              config->sources.size(), config->remote_write.size());
  for (const auto& source : config->sources) {
    if (source.auth.kind == config::AuthKind::kNone) {
      std::printf("note: source \"%s\" has no auth: anybody who reaches ingest.listen may write\n",
                  source.name.c_str());
    }
  }
  return kFine;
}

int inspect_journal(const std::string& path) {
  auto segments = journal::inspect(fs::FileSystem::real(), path);
  if (!segments) {
    print_error("cannot inspect the journal: " + segments.error().message);
    return kNotChecked;
  }
  bool damaged = false;
  uint64_t bytes = 0;
  uint64_t samples = 0;
  for (const auto& segment : *segments) {
    std::printf("%s\n", journal::to_line(segment).c_str());
    damaged = damaged || segment.damaged();
    bytes += segment.size;
    samples += segment.samples;
  }
  std::printf("%zu segment(s), %llu bytes, %llu samples, %s\n", segments->size(),
              static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(samples),
              damaged ? "DAMAGED: see above" : "no damage");
  return damaged ? kWrong : kFine;
}

int serve(const Flags& flags, sigset_t signals) {
  ServeOptions options;
  options.config_file = flags.config_file;
  options.loops = flags.loops;
  options.flags = {{"config.file", flags.config_file},
                   {"log.level", flags.log_level},
                   {"log.format", flags.log_format},
                   {"shutdown.drain-timeout", flags.drain_timeout},
                   {"shutdown.grace-period", flags.grace_period},
                   {"loops", std::to_string(flags.loops)}};
  auto drain = config::parse_duration(flags.drain_timeout);
  auto grace = config::parse_duration(flags.grace_period);
  if (!drain || !grace) {
    print_error("a --shutdown flag is no duration: " +
                (drain ? grace.error() : drain.error()).message);
    return kNotChecked;
  }
  options.drain_timeout = *drain;
  options.grace_period = *grace;

  auto gateway = Gateway::start(std::move(options));
  if (!gateway) {
    log::error("cannot start", {{"error", gateway.error().message}});
    return kWrong;
  }
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) {
      // The outcome is logged and in the metrics; a broken file changes nothing.
      static_cast<void>((*gateway)->reload());
      continue;
    }
    log::info("signal received", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
    break;
  }
  // A second SIGINT or SIGTERM ends the process at once; the journal is safe by design.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*gateway)->stop();
  return kFine;
}

}  // namespace

int run(int argc, char** argv) {
  // Blocked before any thread exists, so that only sigwait sees them.
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGHUP, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  Flags flags;
  CLI::App cli("Tollgate: the gateway that a company's metrics pass through.", "tollgate");
  cli.set_version_flag("--version", [] { return version_text(); });
  cli.require_subcommand(0, 1);
  auto common = [&flags](CLI::App& app) {
    app.add_option("--config.file", flags.config_file, "The configuration file.")
        ->capture_default_str();
    app.add_option("--log.level", flags.log_level, "debug | info | warn | error")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
        ->capture_default_str();
    app.add_option("--log.format", flags.log_format, "logfmt | json")
        ->check(CLI::IsMember({"logfmt", "json"}))
        ->capture_default_str();
  };
  auto serving = [&flags](CLI::App& app) {
    app.add_option("--shutdown.drain-timeout", flags.drain_timeout,
                   "How long a stopping gateway goes on sending; the rest stays in the journal.")
        ->capture_default_str();
    app.add_option("--shutdown.grace-period", flags.grace_period,
                   "How long a stopping gateway waits for requests in progress.")
        ->capture_default_str();
    app.add_option("--loops", flags.loops, "Event loops; 0 = one per usable core.")
        ->capture_default_str();
  };
  common(cli);
  serving(cli);
  CLI::App* serve_command = cli.add_subcommand("serve", "Run the gateway (the default command).");
  common(*serve_command);
  serving(*serve_command);
  CLI::App* check = cli.add_subcommand("check", "Check something and say what is wrong.");
  check->require_subcommand(1);
  CLI::App* check_config_command =
      check->add_subcommand("config", "Check the configuration file and every file it names.");
  common(*check_config_command);
  CLI::App* journal = cli.add_subcommand("journal", "Look at a journal directory.");
  journal->require_subcommand(1);
  CLI::App* inspect = journal->add_subcommand(
      "inspect", "List segments, streams and damage; works beside a running gateway.");
  common(*inspect);
  std::string journal_path;
  inspect->add_option("--journal.path", journal_path,
                      "The directory; default: journal.path of the configuration.");
  CLI::App* version = cli.add_subcommand("version", "Print the version.");
  common(*version);

  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = cli.exit(e);
    return code == 0 ? kFine : kNotChecked;
  }
  log::Level level = log::Level::kInfo;
  log::Format format = log::Format::kLogfmt;
  log::parse_level(flags.log_level, level);
  log::parse_format(flags.log_format, format);
  log::configure(level, format);

  if (version->parsed()) {
    std::printf("%s\n", version_text().c_str());
    return kFine;
  }
  if (check_config_command->parsed()) return check_config(flags);
  if (inspect->parsed()) {
    if (journal_path.empty()) {
      auto config = config::load(flags.config_file);
      if (!config) {
        print_error(config.error().message);
        return kNotChecked;
      }
      journal_path = config->journal.path;
    }
    return inspect_journal(journal_path);
  }
  return serve(flags, signals);
}

}  // namespace tollgate::app
