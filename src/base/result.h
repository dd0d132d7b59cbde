#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace tollgate {

// What kind of failure it is. Whether to retry derives from the code alone.
enum class Code {
  kInvalid,           // malformed or contradictory input; retrying cannot help
  kUnauthenticated,   // no or wrong credentials
  kPermissionDenied,  // known identity, not allowed
  kTooLarge,          // over a size limit that the message names
  kUnsupported,       // content type, encoding or feature we do not speak
  kLimited,           // over a rate or count limit that the message names; retry later
  kUnavailable,       // a disk, network or peer problem, or stopping; retry later
  kCorrupt,           // stored bytes fail their checksum
  kInternal,          // our own bug
};

// Who caused it, and so who has to act.
enum class Origin { kSender, kDestination, kUs };

std::string_view name(Code code);
// True for the codes where the same call may succeed later.
bool retryable(Code code);
// The HTTP status a sender gets for an error of this code.
int http_status(Code code);

// A failure with a message that a person can act upon: what happened, where, what to do.
struct Error {
  Code code = Code::kInternal;
  Origin origin = Origin::kUs;
  std::string message;
};

// A value or an Error. Immutable sum type; reading the wrong side aborts (our bug).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return *check(std::get_if<0>(&state_)); }
  const T& value() const& { return *check(std::get_if<0>(&state_)); }
  T&& value() && { return std::move(*check(std::get_if<0>(&state_))); }
  T* operator->() { return &value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const Error& error() const { return *check(std::get_if<1>(&state_)); }

 private:
  template <typename P>
  static P* check(P* p) {
    TG_CHECK(p != nullptr);
    return p;
  }
  std::variant<T, Error> state_;
};

// The Result of something that yields nothing: `return Ok{}`.
struct Ok {};
using Status = Result<Ok>;

inline Error sender_error(Code code, std::string message) {
  return Error{code, Origin::kSender, std::move(message)};
}
inline Error destination_error(Code code, std::string message) {
  return Error{code, Origin::kDestination, std::move(message)};
}
inline Error our_error(Code code, std::string message) {
  return Error{code, Origin::kUs, std::move(message)};
}

}  // namespace tollgate
