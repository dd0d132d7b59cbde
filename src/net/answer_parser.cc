#include "net/answer_parser.h"

#include <algorithm>

#include "net/http_date.h"

namespace tollgate::net {
namespace {

constexpr size_t kMaxExcerpt = 1024;
// A longer body is not read to its end: a new connection is cheaper.
constexpr uint64_t kMaxBody = 1 << 20;
constexpr uint32_t kMaxAnswerHead = 64 * 1024;

}  // namespace

AnswerParser::AnswerParser(bool no_body) {
  header_limit(kMaxAnswerHead);
  body_limit(boost::none);
  skip(no_body);
}

void AnswerParser::on_field_impl(Name name, View, View value, ErrorCode&) {
  if (!in_head_) return;
  if (name == Name::retry_after) {
    retry_after_.assign(value.data(), value.size());
  } else if (name == Name::date) {
    response_.date.assign(value.data(), value.size());
  } else if (name == Name::location) {
    response_.location.assign(value.data(), value.size());
  }
}

std::size_t AnswerParser::keep(View body) {
  const size_t room = kMaxExcerpt - response_.body.size();
  response_.body.append(body.data(), std::min(room, body.size()));
  body_bytes_ += body.size();
  return body.size();
}

bool AnswerParser::enough() const {
  if (body_bytes_ > kMaxBody) return true;
  if (!is_header_done() || response_.body.size() < kMaxExcerpt) return false;
  const auto length = content_length();
  return length && *length > kMaxBody;
}

ClientResponse AnswerParser::take(int64_t now_ms) {
  // The peer's own clock decides how far away its date is.
  const auto date = parse_http_date(response_.date);
  response_.retry_after = parse_retry_after(retry_after_, date.value_or(now_ms));
  return std::move(response_);
}

}  // namespace tollgate::net
