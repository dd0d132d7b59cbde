#include "commands.h"

#include "CLI/CLI.hpp"

namespace tollgate::bench {

void add_record_command(CLI::App&, std::function<int()>&) {}

}  // namespace tollgate::bench
