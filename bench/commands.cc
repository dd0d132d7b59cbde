#include "commands.h"

#include "CLI/CLI.hpp"
#include "report.h"

namespace tollgate::bench {

void add_load_command(CLI::App&, std::function<int()>&) {}
void add_sink_command(CLI::App&, std::function<int()>&) {}
void add_record_command(CLI::App&, std::function<int()>&) {}
void add_verdict_command(CLI::App&, std::function<int()>&) {}
[[gnu::weak]] void add_report_commands(CLI::App&, std::function<int()>&) {}

}  // namespace tollgate::bench
