#pragma once

#include <string>

namespace tollgate::metrics {

// What this binary was built from.
struct BuildInfo {
  std::string version;   // CMake's project version: "0.1.0"
  std::string revision;  // git commit when CMake ran, or "unknown"
  std::string compiler;  // "gcc 12.2.0" | "clang 19.1.4"
};

const BuildInfo& build_info();

}  // namespace tollgate::metrics
