#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"

// Internal to net: Beast's parser for one request, keeping the head in one flat string.
namespace tollgate::net {

// The head of a request as text and offsets; its memory is reused from request to request.
class HeadFields {
 public:
  void clear();
  void set_request(std::string_view method, std::string_view target, int version);
  void add(std::string_view name, std::string_view value);
  // The first value of that name, or null.
  std::string_view find(std::string_view name) const;

  std::string_view method() const { return view(method_); }
  std::string_view target() const { return view(target_); }
  bool http_1_0() const { return http_1_0_; }

 private:
  struct Range {
    uint32_t offset = 0;
    uint32_t size = 0;
  };
  struct Field {
    Range name;
    Range value;
  };
  Range store(std::string_view text);
  std::string_view view(Range range) const { return {text_.data() + range.offset, range.size}; }

  std::string text_;
  std::vector<Field> fields_;
  Range method_;
  Range target_;
  bool http_1_0_ = false;
};

// Takes the body bytes of a chunked request.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // False stops the parser (put() then fails with an error that the sink knows the reason of).
  virtual bool take(std::string_view bytes) = 0;
};

// Heads, and chunked bodies. A body with Content-Length is read by the session without it.
class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  RequestParser(HeadFields& fields, BodySink& sink);

 private:
  using Verb = boost::beast::http::verb;
  using Name = boost::beast::http::field;
  using View = boost::beast::string_view;
  using ErrorCode = boost::beast::error_code;

  void on_request_impl(Verb, View method, View target, int version, ErrorCode&) override;
  void on_response_impl(int, View, int, ErrorCode&) override {}
  void on_field_impl(Name, View name, View value, ErrorCode&) override;
  void on_header_impl(ErrorCode&) override { in_head_ = false; }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, ErrorCode&) override {}
  std::size_t on_body_impl(View body, ErrorCode& ec) override;
  void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, ErrorCode& ec) override;
  void on_finish_impl(ErrorCode&) override {}

  HeadFields& fields_;
  BodySink& sink_;
  bool in_head_ = true;
};

// A head larger than this is answered 431.
constexpr uint32_t kMaxHead = 32 * 1024;

bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace tollgate::net
