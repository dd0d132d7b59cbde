#pragma once

#include <functional>

namespace CLI {
class App;
}

// The subcommands of tollgate-bench. Each adds its options to `app` and, when it was chosen on the
// command line, leaves in `run` what is to be done; `run` returns the exit code of the process
// (0 fine, 1 what was checked is wrong, 2 could not be checked) and may throw std::exception, which
// main() prints and turns into 2.
namespace tollgate::bench {

void add_load_command(CLI::App& app, std::function<int()>& run);
void add_sink_command(CLI::App& app, std::function<int()>& run);
void add_record_command(CLI::App& app, std::function<int()>& run);
void add_verdict_command(CLI::App& app, std::function<int()>& run);

}  // namespace tollgate::bench
