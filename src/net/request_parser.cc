#include "net/request_parser.h"

#include <algorithm>

namespace tollgate::net {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view std_view(boost::beast::string_view view) { return {view.data(), view.size()}; }

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

void HeadFields::clear() {
  text_.clear();
  fields_.clear();
  method_ = {};
  target_ = {};
  http_1_0_ = false;
}

HeadFields::Range HeadFields::store(std::string_view text) {
  const Range range{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(text.size())};
  text_ += text;
  return range;
}

void HeadFields::set_request(std::string_view method, std::string_view target, int version) {
  method_ = store(method);
  target_ = store(target);
  http_1_0_ = version < 11;
}

void HeadFields::add(std::string_view name, std::string_view value) {
  const Range stored_name = store(name);
  fields_.push_back(Field{stored_name, store(value)});
}

std::string_view HeadFields::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (equal_ignoring_case(view(field.name), name)) return view(field.value);
  }
  return {};
}

std::string_view RequestHead::header(std::string_view name) const {
  return static_cast<const HeadFields*>(fields)->find(name);
}

RequestParser::RequestParser(HeadFields& fields, BodySink& sink) : fields_(fields), sink_(sink) {
  fields_.clear();
  header_limit(kMaxHead);
  body_limit(boost::none);
}

void RequestParser::on_request_impl(Verb, View method, View target, int version, ErrorCode&) {
  fields_.set_request(std_view(method), std_view(target), version);
}

void RequestParser::on_field_impl(Name, View name, View value, ErrorCode&) {
  // Trailers come the same way; nobody here looks at them.
  if (in_head_) fields_.add(std_view(name), std_view(value));
}

std::size_t RequestParser::on_body_impl(View body, ErrorCode& ec) {
  if (!sink_.take(std_view(body))) ec = boost::beast::http::error::body_limit;
  return body.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, View body, ErrorCode& ec) {
  if (!sink_.take(std_view(body))) ec = boost::beast::http::error::body_limit;
  return body.size();
}

}  // namespace tollgate::net
