// What becomes of a run's results.json (written by bench/run.py): the subcommands
//   tollgate-bench report results.json [--html page.html] [--svg-dir DIR] [--markdown page.md]
//   tollgate-bench compare before.json after.json [--threshold 10%]
// Exit codes: 0 fine, 1 `compare` found a regression, 2 a file could not be read or written, or the
// two results cannot be compared.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace tollgate::bench {

/// Adds `report` and `compare` to the command line. When one of them is parsed, `run` becomes what
/// it does; the function returns the exit code of the process. `app` and `run` outlive parsing.
void add_report_commands(CLI::App& app, std::function<int()>& run);

}  // namespace tollgate::bench
