#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/http_client.h"

// Internal to net: Beast's parser for one answer, keeping what ClientResponse wants.
namespace tollgate::net {

class AnswerParser final : public boost::beast::http::basic_parser<false> {
 public:
  // `no_body`: the answer to HEAD.
  explicit AnswerParser(bool no_body);

  // More of the body than is worth reading has come, or is announced.
  bool enough() const;
  // What has been parsed so far; complete as of is_header_done().
  ClientResponse take(int64_t now_ms);
  int status_code() const { return response_.status; }

 private:
  using Verb = boost::beast::http::verb;
  using Name = boost::beast::http::field;
  using View = boost::beast::string_view;
  using ErrorCode = boost::beast::error_code;

  void on_request_impl(Verb, View, View, int, ErrorCode&) override {}
  void on_response_impl(int status, View, int, ErrorCode&) override { response_.status = status; }
  void on_field_impl(Name name, View, View value, ErrorCode&) override;
  void on_header_impl(ErrorCode&) override { in_head_ = false; }
  void on_body_init_impl(boost::optional<std::uint64_t> const&, ErrorCode&) override {}
  std::size_t on_body_impl(View body, ErrorCode&) override { return keep(body); }
  void on_chunk_header_impl(std::uint64_t, View, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, ErrorCode&) override {
    return keep(body);
  }
  void on_finish_impl(ErrorCode&) override {}
  std::size_t keep(View body);

  ClientResponse response_;
  std::string retry_after_;
  uint64_t body_bytes_ = 0;
  bool in_head_ = true;
};

}  // namespace tollgate::net
