#include "metrics/build_info.h"

namespace tollgate::metrics {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__) + "." +
         std::to_string(__clang_patchlevel__);
#else
  return "gcc " + std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__) + "." +
         std::to_string(__GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

const BuildInfo& build_info() {
  static const BuildInfo kInfo{TOLLGATE_VERSION, TOLLGATE_REVISION, compiler()};
  return kInfo;
}

}  // namespace tollgate::metrics
