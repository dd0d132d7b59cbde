#include "deliver/verdict.h"

namespace tollgate::deliver {

Verdict judge(int status, config::Dialect dialect) {
  (void)dialect;  // every dialect agrees on what to do; they differ in what was stored (later)
  if (status >= 200 && status < 300) return Verdict::kDelivered;
  switch (status) {
    case 400:
    case 409:
    case 422:
      return Verdict::kRefused;
    case 413:
      return Verdict::kSplit;
    case 0:
    case 408:
    case 429:
      return Verdict::kRetry;
    default:
      break;
  }
  if (status >= 500) return Verdict::kRetry;
  // 401, 403, 404, 407; a redirect, a wrong method or type: somebody configured this wrongly, and
  // the data is good. Never drop data because of that.
  return Verdict::kHold;
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kDelivered:
      return "delivered";
    case Verdict::kRetry:
      return "retry";
    case Verdict::kHold:
      return "hold";
    case Verdict::kSplit:
      return "split";
    case Verdict::kRefused:
      return "refused";
  }
  return "unknown";
}

}  // namespace tollgate::deliver
