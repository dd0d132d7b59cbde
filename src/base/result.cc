#include "base/result.h"

namespace tollgate {

std::string_view name(Code code) {
  switch (code) {
    case Code::kInvalid:
      return "invalid";
    case Code::kUnauthenticated:
      return "unauthenticated";
    case Code::kPermissionDenied:
      return "permission_denied";
    case Code::kTooLarge:
      return "too_large";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kLimited:
      return "limited";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

bool retryable(Code code) { return code == Code::kLimited || code == Code::kUnavailable; }

int http_status(Code code) {
  switch (code) {
    case Code::kInvalid:
      return 400;
    case Code::kUnauthenticated:
      return 401;
    case Code::kPermissionDenied:
      return 403;
    case Code::kTooLarge:
      return 413;
    case Code::kUnsupported:
      return 415;
    case Code::kLimited:
      return 429;
    case Code::kUnavailable:
      return 503;
    case Code::kCorrupt:
      return 500;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

}  // namespace tollgate
