#pragma once

#include <string_view>

#include "config/config.h"

namespace tollgate::deliver {

// What an answer of a destination means (design §6). Pure.
enum class Verdict {
  kDelivered,  // the cursor moves on
  kRetry,      // the same bytes again, for ever, with back-off
  kHold,       // our fault or our configuration: retry slowly, raise the alert metric, drop nothing
  kSplit,      // too large: the same data in smaller requests
  kRefused,    // final for this data
};

// `status` is the HTTP status; 0 stands for "no answer" (refused, reset, timed out).
Verdict judge(int status, config::Dialect dialect);

std::string_view name(Verdict verdict);

}  // namespace tollgate::deliver
