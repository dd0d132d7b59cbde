#pragma once

namespace tollgate::app {

// The command line (design §7). Returns the exit code: 0 fine, 1 the thing checked is wrong, 2 it
// could not be checked, or wrong usage.
int run(int argc, char** argv);

}  // namespace tollgate::app
