#include "net/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <exception>

#include "base/log.h"

namespace tollgate::net {
namespace {

using std::chrono::milliseconds;
using Io = Transport::Io;
namespace http = boost::beast::http;

constexpr milliseconds kNoLimit{0};
// An unread body up to this is read away so that the connection can go on.
constexpr uint64_t kMaxDrain = 1 << 20;
constexpr milliseconds kDrainTime{5'000};
// After a last answer: how long we wait for more bytes, and how long in all.
constexpr milliseconds kLingerGap{2'000};
constexpr milliseconds kLingerTime{30'000};
// The first step of a body's memory; the following ones double what has arrived.
constexpr uint64_t kFirstStep = 16 * 1024;
// Memory that an idle connection may keep.
constexpr size_t kKeepIdle = 4096;
// What may be unparsed of a chunked body: a chunk's head with extensions, or the trailers.
constexpr size_t kMaxChunkHead = 16 * 1024;

std::string sentence_of(boost::system::error_code ec) {
  if (ec == http::error::bad_version) return "bad HTTP version; send HTTP/1.1 or HTTP/1.0";
  if (ec == http::error::bad_method) return "bad HTTP method";
  if (ec == http::error::bad_target) return "bad HTTP request target";
  if (ec == http::error::bad_field) return "bad HTTP header name";
  if (ec == http::error::bad_value) return "bad HTTP header value";
  if (ec == http::error::bad_line_ending) return "bad HTTP line ending; lines end with CR LF";
  if (ec == http::error::bad_content_length || ec == http::error::multiple_content_length) {
    return "bad or contradictory Content-Length";
  }
  if (ec == http::error::bad_transfer_encoding) {
    return "Transfer-Encoding contradicts another header";
  }
  if (ec == http::error::bad_chunk || ec == http::error::bad_chunk_extension) {
    return "bad chunk in a chunked body";
  }
  return "bad HTTP request: " + ec.message();
}

}  // namespace

Session::Session(std::shared_ptr<ServerCore> core, std::unique_ptr<Transport> transport,
                 std::string peer)
    : core_(std::move(core)), transport_(std::move(transport)), peer_(std::move(peer)) {
  const milliseconds age = core_->options.max_connection_age;
  if (age > milliseconds(0)) {
    std::uniform_real_distribution<double> jitter(0.8, 1.2);
    const double limit = static_cast<double>(age.count()) * jitter(core_->random);
    close_after_ = std::chrono::steady_clock::now() + milliseconds(static_cast<int64_t>(limit));
  }
  core_->joined(*this);
}

Session::~Session() {
  free_body();
  core_->left(*this);
}

void Session::free_body() {
  body_ = Buffer();
  if (reserved_ > 0 && core_->handler != nullptr) core_->handler->release(reserved_);
  reserved_ = 0;
}

void Session::abandon() {
  free_body();
  boost::system::error_code ignored;  // nobody is left to hear of it
  transport_->socket().close(ignored);
}

void Session::enter(Phase phase, milliseconds limit) {
  phase_ = phase;
  transport_->resume();
  progress(limit);
}

void Session::progress(milliseconds limit) {
  deadline_ = limit > kNoLimit ? std::chrono::steady_clock::now() + limit : SteadyTime::max();
}

void Session::check_deadline(SteadyTime now) {
  if (now < deadline_) return;
  deadline_ = SteadyTime::max();
  transport_->interrupt();
}

void Session::close_if_idle() {
  if (phase_ == Phase::kIdle) transport_->interrupt();
}

Task<void> Session::run() {
  enter(Phase::kHandshake, core_->options.header_timeout);
  const Io shaken = co_await transport_->handshake();
  if (shaken != Io::kDone) {
    if (shaken == Io::kFailed) {
      log::debug("TLS handshake failed", {{"peer", peer_}, {"error", transport_->problem()}});
      // So that the peer can read the alert.
      co_await linger();
    }
    co_return;
  }
  bool keep = true;
  while (keep) keep = co_await serve_one();
  transport_->shutdown_send();
}

// One request and its answer. False: the connection has ended.
Task<bool> Session::serve_one() {
  End end = co_await read_head();
  if (end == End::kClosed) co_return false;
  if (end == End::kComplete) {
    make_request_head();
    max_body_ = 0;
    refusal_ = core_->handler->on_head(core_->loop, head_, max_body_);
    end = End::kRefused;
    if (!refusal_) end = co_await read_body(max_body_);
    if (end == End::kClosed) co_return false;
  }
  Response response;
  bool keep = !broken_;
  if (end == End::kRefused) {
    free_body();
    response = std::move(*refusal_);
    refusal_.reset();
    if (keep) keep = co_await drain();
  } else {
    keep_input();
    enter(Phase::kHandling, kNoLimit);
    try {
      response = co_await core_->handler->on_request(core_->loop, head_, body_);
    } catch (const std::exception& e) {
      log::error("request failed", {{"peer", peer_}, {"path", head_.path}, {"error", e.what()}});
      response = Response();
      response.status = 500;
      response.body = "internal error\n";
    }
    free_body();
  }
  const bool unread = !keep;
  if (keep) {
    keep = parser_->keep_alive() && !response.close && !core_->shared->stopping &&
           std::chrono::steady_clock::now() < close_after_;
  }
  const bool written = co_await answer(std::move(response), keep);
  if (!written) co_return false;
  if (keep) co_return true;
  // Closing a socket with unread bytes resets the connection, and the peer may lose the answer.
  size_t n = 0;
  if (unread || transport_->try_read(core_->scratch.get(), kScratch, n) == Io::kDone) {
    co_await linger();
  }
  co_return false;
}

// Moves unused input out of the shared scratch before something suspends.
void Session::keep_input() {
  if (in_.empty()) {
    if (pending_.capacity() > kKeepIdle) {
      std::string().swap(pending_);
    } else {
      pending_.clear();
    }
    in_ = {};
    return;
  }
  const bool owned =
      in_.data() >= pending_.data() && in_.data() < pending_.data() + pending_.size();
  if (owned) {
    pending_.erase(0, static_cast<size_t>(in_.data() - pending_.data()));
  } else {
    pending_.assign(in_);
  }
  in_ = pending_;
}

Task<Io> Session::fill(bool expect_wait) {
  keep_input();
  size_t n = 0;
  const Io io = co_await transport_->read(core_->scratch.get(), kScratch, expect_wait, n);
  if (io == Io::kDone) {
    const std::string_view bytes(core_->scratch.get(), n);
    if (in_.empty()) {
      in_ = bytes;
    } else {
      pending_.append(bytes);
      in_ = pending_;
    }
  }
  co_return io;
}

Task<Session::End> Session::read_head() {
  BodySink& sink = *this;
  parser_.emplace(fields_, sink);
  head_bytes_ = 0;
  taken_ = 0;
  discarding_ = false;
  discarded_ = 0;
  if (in_.empty()) {
    if (core_->shared->stopping) co_return End::kClosed;
    enter(Phase::kIdle, core_->options.idle_timeout);
  } else {
    enter(Phase::kHead, core_->options.header_timeout);
  }
  for (;;) {
    End end = End::kComplete;
    if (!in_.empty() && parse_head(end)) co_return end;
    const Io io = co_await fill(true);
    if (io == Io::kInterrupted && phase_ == Phase::kHead) {
      broken_ = true;
      co_return refuse(408, fmt::format("the request's head did not arrive within {} ms",
                                        core_->options.header_timeout.count()));
    }
    if (io != Io::kDone) co_return End::kClosed;
    if (phase_ == Phase::kIdle) enter(Phase::kHead, core_->options.header_timeout);
  }
}

// Feeds the parser. True when the head is complete or hopeless, as `end` says.
bool Session::parse_head(End& end) {
  // RFC 9112 §2.2: empty lines before a request are ignored.
  while (!parser_->got_some() && (in_.starts_with("\r\n") || in_ == "\r")) {
    if (in_.size() == 1) return false;
    in_.remove_prefix(2);
    head_bytes_ += 2;
    if (head_bytes_ > kMaxHead) break;
  }
  boost::beast::error_code ec;
  if (!in_.empty()) {
    const size_t used = parser_->put(boost::asio::buffer(in_.data(), in_.size()), ec);
    in_.remove_prefix(used);
    head_bytes_ += static_cast<uint32_t>(used);
  }
  if (ec == http::error::need_more) ec = {};
  // The parser's own limit starts anew with each line that arrives late.
  const bool over =
      head_bytes_ > kMaxHead || (!parser_->is_header_done() && head_bytes_ + in_.size() > kMaxHead);
  if (ec == http::error::header_limit || over) {
    broken_ = true;
    end = refuse(431, fmt::format("the request's head is over {} bytes", kMaxHead));
    return true;
  }
  if (ec) {
    broken_ = true;
    end = refuse(400, sentence_of(ec));
    return true;
  }
  if (!parser_->is_header_done()) return false;
  if (!parser_->chunked() && !fields_.find("Transfer-Encoding").empty()) {
    broken_ = true;
    end = refuse(501, "this Transfer-Encoding is not supported; send chunked or Content-Length");
    return true;
  }
  end = End::kComplete;
  return true;
}

void Session::make_request_head() {
  std::string_view target = fields_.target();
  // Absolute form, as sent to proxies: the path begins after the authority.
  const size_t scheme = target.starts_with('/') ? std::string_view::npos : target.find("://");
  if (scheme != std::string_view::npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  const size_t question = target.find('?');
  head_.method = fields_.method();
  head_.path = target.substr(0, question);
  head_.query =
      question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  head_.peer = peer_;
  head_.fields = &fields_;
  head_.content_length.reset();
  if (!parser_->chunked()) {
    if (auto length = parser_->content_length()) head_.content_length = *length;
  }
  continue_awaited_ = !fields_.http_1_0() && !body_complete() && in_.empty() &&
                      equal_ignoring_case(fields_.find("Expect"), "100-continue");
}

bool Session::body_complete() const {
  return parser_->chunked() ? parser_->is_done() : taken_ == head_.content_length.value_or(0);
}

Session::End Session::refuse(Response response) {
  refusal_ = std::move(response);
  return End::kRefused;
}

Session::End Session::refuse(int status, std::string sentence) {
  Response response;
  response.status = status;
  response.body = std::move(sentence);
  response.body += '\n';
  return refuse(std::move(response));
}

// Makes room for `size` more body bytes, of at most `limit` in all, and accounts for it.
bool Session::make_room(uint64_t size, uint64_t limit) {
  const uint64_t needed = body_.size() + size;
  if (needed <= reserved_) return true;
  const uint64_t target = std::max(needed, std::min(limit, std::max(2 * reserved_, kFirstStep)));
  if (!core_->handler->reserve(target - reserved_)) return false;
  reserved_ = target;
  body_.grow(target - body_.size());
  return true;
}

Task<Session::End> Session::read_body(uint64_t max_body) {
  if (body_complete()) co_return End::kComplete;
  if (head_.content_length && *head_.content_length > max_body) {
    co_return refuse(core_->handler->too_large(head_, max_body));
  }
  enter(Phase::kBody, core_->options.body_timeout);
  if (continue_awaited_) {
    const bool sent = co_await send_continue();
    if (!sent) co_return End::kClosed;
    continue_awaited_ = false;
  }
  End end = End::kComplete;
  if (parser_->chunked()) {
    end = co_await read_chunked_body();
  } else {
    end = co_await read_sized_body(*head_.content_length);
  }
  co_return end;
}

Task<bool> Session::send_continue() {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  iovec piece{const_cast<char*>(kContinue.data()), kContinue.size()};
  const std::span<iovec> pieces(&piece, 1);
  const Io io = co_await transport_->write(pieces);
  co_return io == Io::kDone;
}

Session::End Session::body_ended_early(Io io) {
  if (io != Io::kInterrupted) return End::kClosed;
  broken_ = true;
  return refuse(408, fmt::format("no byte of the request's body arrived for {} ms",
                                 core_->options.body_timeout.count()));
}

Task<Session::End> Session::read_sized_body(uint64_t size) {
  // What follows the head is usually there already.
  bool expect_wait = false;
  for (;;) {
    const size_t part = std::min<uint64_t>(in_.size(), size - taken_);
    if (part > 0) {
      if (!make_room(part, size)) co_return refuse(core_->handler->overloaded(head_));
      body_.append(in_.substr(0, part));
      in_.remove_prefix(part);
      taken_ += part;
    }
    if (taken_ == size) co_return End::kComplete;
    if (body_.size() < kScratch) {
      const Io io = co_await fill(expect_wait);
      if (io != Io::kDone) co_return body_ended_early(io);
    } else {
      // Large: straight to its place, in steps of what has already arrived.
      if (!make_room(1, size)) co_return refuse(core_->handler->overloaded(head_));
      const size_t room = reserved_ - body_.size();
      size_t n = 0;
      const Io io = co_await transport_->read(body_.grow(room), room, true, n);
      if (io != Io::kDone) co_return body_ended_early(io);
      body_.commit(n);
      taken_ += n;
    }
    expect_wait = true;
    progress(core_->options.body_timeout);
  }
}

// Body bytes of a chunked request. False stops the parser.
bool Session::take(std::string_view bytes) {
  if (discarding_) {
    discarded_ += bytes.size();
    return discarded_ <= kMaxDrain;
  }
  if (body_.size() + bytes.size() > max_body_) {
    refuse(core_->handler->too_large(head_, max_body_));
    return false;
  }
  if (!make_room(bytes.size(), max_body_)) {
    refuse(core_->handler->overloaded(head_));
    return false;
  }
  body_.append(bytes);
  return true;
}

// Feeds the parser with the input there is. False: it failed, or the sink refused.
bool Session::put_chunks(boost::beast::error_code& ec) {
  while (!in_.empty() && !parser_->is_done()) {
    const size_t used = parser_->put(boost::asio::buffer(in_.data(), in_.size()), ec);
    in_.remove_prefix(used);
    if (ec == http::error::need_more) {
      ec = {};
      if (in_.size() <= kMaxChunkHead) return true;
      ec = http::error::bad_chunk_extension;
    }
    if (ec) return false;
  }
  return true;
}

Task<Session::End> Session::read_chunked_body() {
  bool expect_wait = false;
  for (;;) {
    boost::beast::error_code ec;
    if (!put_chunks(ec)) {
      if (refusal_) co_return End::kRefused;
      broken_ = true;
      co_return refuse(400, sentence_of(ec));
    }
    if (parser_->is_done()) co_return End::kComplete;
    const Io io = co_await fill(expect_wait);
    if (io != Io::kDone) co_return body_ended_early(io);
    expect_wait = true;
    progress(core_->options.body_timeout);
  }
}

// Reads the rest of a refused body away. False if it is too long, too slow, or may never come.
Task<bool> Session::drain() {
  if (body_complete()) co_return true;
  if (continue_awaited_) co_return false;
  const bool chunked = parser_->chunked();
  if (!chunked && *head_.content_length - taken_ > kMaxDrain) co_return false;
  enter(Phase::kDraining, kDrainTime);
  discarding_ = true;
  for (;;) {
    if (chunked) {
      boost::beast::error_code ec;
      if (!put_chunks(ec)) co_return false;
    } else {
      const size_t part = std::min<uint64_t>(in_.size(), *head_.content_length - taken_);
      in_.remove_prefix(part);
      taken_ += part;
    }
    if (body_complete()) co_return true;
    const Io io = co_await fill(true);
    if (io != Io::kDone) co_return false;
  }
}

void Session::write_head(const Response& response, bool keep) {
  out_.clear();
  const std::string_view reason =
      http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status)));
  fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} {}\r\n", response.status, reason);
  const auto add = [this](std::string_view name, std::string_view value) {
    out_ += name;
    out_ += ": ";
    const size_t from = out_.size();
    out_ += value;
    // A line break in a value would start a header of somebody else's choice.
    std::replace_if(
        out_.begin() + static_cast<ptrdiff_t>(from), out_.end(),
        [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
    out_ += "\r\n";
  };
  if (response.status != 204 && response.status != 304) {
    if (!response.body.empty()) add("Content-Type", response.content_type);
    fmt::format_to(std::back_inserter(out_), "Content-Length: {}\r\n", response.body.size());
  }
  for (const auto& [name, value] : response.headers) add(name, value);
  if (!keep) {
    out_ += "Connection: close\r\n";
  } else if (fields_.http_1_0()) {
    out_ += "Connection: keep-alive\r\n";
  }
  out_ += "\r\n";
}

// Hot: with a head of some lines and an empty body this is one sendmsg.
Task<bool> Session::answer(Response response, bool keep) {
  keep_input();
  enter(Phase::kWriting, core_->options.body_timeout);
  write_head(response, keep);
  const bool bodiless =
      response.status == 204 || response.status == 304 || fields_.method() == "HEAD";
  iovec pieces[2] = {{out_.data(), out_.size()},
                     {response.body.data(), bodiless ? 0 : response.body.size()}};
  const std::span<iovec> all(pieces, 2);
  const Io io = co_await transport_->write(all);
  if (out_.capacity() > kKeepIdle) std::string().swap(out_);
  co_return io == Io::kDone;
}

// Ends our side and reads on for a moment, so that the peer finds the answer and not a reset.
Task<void> Session::linger() {
  transport_->shutdown_send();
  const SteadyTime end = std::chrono::steady_clock::now() + kLingerTime;
  enter(Phase::kLingering, kLingerGap);
  size_t n = 0;
  Io io = Io::kDone;
  while (io == Io::kDone && std::chrono::steady_clock::now() < end) {
    io = co_await transport_->read(core_->scratch.get(), kScratch, true, n);
    progress(kLingerGap);
  }
}

}  // namespace tollgate::net
