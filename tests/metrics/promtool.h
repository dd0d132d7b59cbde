#pragma once

#include <string>

namespace tollgate::metrics {

// What `promtool check metrics` finds wrong with an exposition.
struct Verdict {
  bool installed = false;
  int exit_code = -1;  // 0 = nothing to complain about, 1 = unreadable, 3 = bad style
  std::string words;
};

Verdict check_metrics(const std::string& text);

}  // namespace tollgate::metrics

// Skips loudly without promtool (Debian package: prometheus).
#define EXPECT_PROMTOOL_LIKES(text)                                                           \
  do {                                                                                        \
    const std::string checked = (text);                                                       \
    const ::tollgate::metrics::Verdict verdict = ::tollgate::metrics::check_metrics(checked); \
    if (!verdict.installed) {                                                                 \
      GTEST_SKIP() << "promtool IS MISSING, the exposition was NOT checked: apt-get install " \
                      "prometheus";                                                           \
    }                                                                                         \
    EXPECT_EQ(verdict.exit_code, 0) << verdict.words << "\n" << checked;                      \
    EXPECT_EQ(verdict.words, "") << checked;                                                  \
  } while (false)
