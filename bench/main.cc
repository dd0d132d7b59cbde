// tollgate-bench: load, sinks and the verdict for measuring a remote-write gateway as a process.
//   tollgate-bench sink --listen 9001 --require cluster=blue
//   tollgate-bench load --to http://127.0.0.1:19291/api/v1/write --rate 100000 --expect out.expect
//   tollgate-bench verdict --expect out.expect --sink 127.0.0.1:9001
#include <cstdio>
#include <exception>
#include <functional>

#include "CLI/CLI.hpp"
#include "commands.h"
#include "report.h"

int main(int argc, char** argv) {
  using namespace tollgate::bench;  // NOLINT
  CLI::App app("Load, sinks and the verdict for measuring a remote-write gateway.",
               "tollgate-bench");
  app.require_subcommand(1);
  std::function<int()> run;
  add_load_command(app, run);
  add_sink_command(app, run);
  add_record_command(app, run);
  add_verdict_command(app, run);
  add_report_commands(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    return run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tollgate-bench: %s\n", e.what());
    return 2;
  }
}
