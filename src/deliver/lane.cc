#include "deliver/lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <span>

#include "base/log.h"
#include "wire/snappy.h"

namespace tollgate::deliver {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHoldMin{5'000};
constexpr milliseconds kHoldMax{60'000};
constexpr milliseconds kUnreadable{1'000};
// While a stream changes its shard count: rare and short, so looking is simpler than being told.
constexpr milliseconds kBarrierPoll{50};
constexpr double kSaturatedShare = 0.9;

uint64_t next_random(uint64_t& state) {  // xorshift64*
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545f4914f6cdd1dull;
}

std::string first_line(std::string_view body) {
  constexpr size_t kMost = 512;
  return std::string(body.substr(0, std::min(kMost, body.find('\n'))));
}

}  // namespace

void Seat::replace(std::shared_ptr<Endpoint> next) {
  std::erase_if(former, [](const std::weak_ptr<Endpoint>& e) { return e.expired(); });
  if (endpoint != nullptr) former.push_back(endpoint);
  endpoint = std::move(next);
}

void Seat::cancel() {
  if (endpoint != nullptr) endpoint->client().cancel();
  for (const auto& weak : former) {
    if (auto old = weak.lock()) old->client().cancel();
  }
}

Lane::Lane(net::Loop& loop, LaneContext& context, std::shared_ptr<Seat> seat,
           journal::StreamId stream)
    : loop_(loop),
      context_(context),
      seat_(std::move(seat)),
      stream_(stream),
      key_(context.journal.key(stream)),
      timer_(loop.context()),
      random_(0x9e3779b97f4a7c15ull * (stream + 1) ^
              static_cast<uint64_t>(context.clock.monotonic_ns())) {}

void Lane::wake() {
  again_ = true;
  if (running_ || context_.stopping) return;
  running_ = true;
  context_.running++;
  boost::asio::co_spawn(
      loop_.executor(), [self = shared_from_this()] { return self->run(); },
      [self = shared_from_this()](std::exception_ptr failure) {
        // Library exceptions stop at the rooms that wrap them; anything here is our bug.
        TG_CHECK(failure == nullptr);
        self->running_ = false;
        self->context_.running--;
        if (self->again_ && !self->over()) self->wake();
      });
}

void Lane::hurry() {
  if (!running_) return;
  hurried_ = true;
  leave_trouble();  // until the next attempt has failed
  timer_.cancel();
}

bool Lane::over() const { return context_.stopping || seat_->removed; }

net::Task<void> Lane::run() {
  bool more = true;
  while (more) {
    again_ = false;
    more = co_await turn();
    if (!more && again_ && !over()) more = true;
  }
  leave_trouble();
}

net::Task<bool> Lane::turn() {
  if (over()) co_return false;
  const std::string& destination = seat_->destination->name();
  const config::RemoteWrite& settings = seat_->endpoint->settings();
  const uint64_t max_raw = std::min(settings.max_bytes_per_send, learned_max_raw_);
  const uint64_t max_samples = settings.max_samples_per_send;
  auto pending = context_.journal.pending(destination, stream_, max_samples, max_raw);
  if (!pending) co_return false;
  Work work;
  work.blocks = std::move(pending->blocks);
  milliseconds look_again{0};
  if (work.blocks.empty()) {
    if (!pending->unreadable) co_return false;
    look_again = kUnreadable;  // the disk: there are blocks, but we cannot see them now
  } else if (keep_to_barrier(work.blocks)) {
    look_again = kBarrierPoll;
  }
  if (look_again > milliseconds(0)) {
    context_.troubled++;
    co_await sleep(look_again);
    context_.troubled--;
    co_return true;
  }
  for (const auto& block : work.blocks) {
    work.samples += block.samples;
    work.raw += block.raw_length;
    work.max_timestamp = std::max(work.max_timestamp, block.max_timestamp);
  }

  // A request is full when one more block like the last would not fit.
  const auto& last = work.blocks.back();
  const bool full =
      work.samples + last.samples > max_samples || work.raw + last.raw_length > max_raw;
  if (!full && !context_.draining) {
    const auto age = milliseconds(context_.clock.now_ms() - work.blocks.front().appended_ms);
    const auto left = std::min(settings.batch_send_deadline, settings.batch_send_deadline - age);
    if (left > milliseconds(0)) {
      co_await sleep(left);
      again_ = true;
      co_return true;
    }
  }

  const auto& first = work.blocks.front();
  if (first.samples > max_samples || first.raw_length > max_raw) {
    const bool sent_parts = co_await send_in_parts(first);
    co_return sent_parts;
  }

  const int64_t started = context_.clock.monotonic_ns();
  const Outcome outcome = co_await send_until_settled(work);
  switch (outcome) {
    case Outcome::kDelivered:
      settle_all(work, std::nullopt);
      watch_saturation(work, started, full);
      if (learned_max_raw_ != UINT64_MAX) {
        // Grow back slowly, in case the limit was raised.
        learned_max_raw_ += learned_max_raw_ / 64 + 1;
        if (learned_max_raw_ > seat_->endpoint->settings().max_bytes_per_send) {
          learned_max_raw_ = UINT64_MAX;
        }
      }
      co_return true;
    case Outcome::kRefused:
      settle_all(work, model::DropReason::kRefused);
      co_return true;
    case Outcome::kSplit: {
      if (work.blocks.size() > 1) {
        learned_max_raw_ = std::max<uint64_t>(work.raw / 2, work.blocks.front().raw_length);
        co_return true;
      }
      const bool sent_parts = co_await send_in_parts(work.blocks.front());
      co_return sent_parts;
    }
    case Outcome::kGone:
      co_return true;
  }
  co_return false;
}

// Sends one request until the destination has decided: the same blocks at every attempt, so that
// a destination that rolls back a whole request cannot take new samples down with old ones.
net::Task<Lane::Outcome> Lane::send_until_settled(const Work& work) {
  for (;;) {
    if (over()) co_return Outcome::kGone;
    std::shared_ptr<Endpoint> endpoint = seat_->endpoint;
    const config::RemoteWrite& settings = endpoint->settings();
    Destination& destination = *seat_->destination;
    Verdict verdict = Verdict::kRetry;
    std::optional<milliseconds> retry_after;
    {
      std::string preamble;
      Buffer body;
      Status loaded = load(work, preamble, body);
      if (!loaded) {
        if (loaded.error().code == Code::kCorrupt) co_return Outcome::kGone;
        auto cursor = context_.journal.cursor(destination.name(), stream_);
        if (!cursor || work.blocks.empty() || cursor->position > work.blocks.front().position) {
          co_return Outcome::kGone;
        }
        log::error("cannot read the journal; will retry",
                   {{"destination", destination.name()}, {"error", loaded.error().message}});
        co_await sleep(kUnreadable);
        continue;
      }
      const std::string head =
          endpoint->head(key_.tenant, preamble.size() + body.size(), backoff_.attempts());
      const std::string_view pieces[] = {preamble, body.view()};
      const std::span<const std::string_view> parts(pieces);
      co_await endpoint->acquire();
      if (over()) {
        endpoint->release();
        co_return Outcome::kGone;
      }
      const int64_t started = context_.clock.monotonic_ns();
      auto answer = co_await endpoint->client().send(head, parts);
      endpoint->release();
      const double seconds =
          static_cast<double>(context_.clock.monotonic_ns() - started) / 1'000'000'000;
      if (over() && !answer) co_return Outcome::kGone;
      const int status = answer ? answer->status : 0;
      verdict = judge(status, settings.dialect);
      std::string problem;
      if (!answer) {
        problem = answer.error().message;
      } else if (verdict != Verdict::kDelivered) {
        problem = fmt::format("{}: {}", status, first_line(answer->body));
        retry_after = answer->retry_after;
      }
      destination.record(status, seconds, problem);
      if (verdict == Verdict::kDelivered) {
        destination.delivered(work.max_timestamp, preamble.size() + body.size());
        backoff_.reset();
        leave_trouble();
        co_return Outcome::kDelivered;
      }
      if (verdict == Verdict::kSplit && (work.blocks.size() > 1 || work.raw > 0)) {
        backoff_.reset();
        leave_trouble();
        co_return Outcome::kSplit;
      }
      if (verdict == Verdict::kRefused || verdict == Verdict::kSplit) {
        log::warn("destination refused samples; they are dropped",
                  {{"destination", destination.name()},
                   {"tenant", key_.tenant},
                   {"samples", work.samples},
                   {"answer", problem}});
        backoff_.reset();
        leave_trouble();
        co_return Outcome::kRefused;
      }
      if (backoff_.attempts() == 0) {
        log::warn(verdict == Verdict::kHold
                      ? "destination refuses us, not the data; holding everything for it"
                      : "sending failed; will retry until it works",
                  {{"destination", destination.name()},
                   {"tenant", key_.tenant},
                   {"url", settings.url.text},
                   {"error", problem}});
      }
    }
    if (trouble_ != Verdict::kDelivered && trouble_ != verdict) backoff_.reset();
    enter_trouble(verdict);
    const bool held = verdict == Verdict::kHold;
    const milliseconds wait = backoff_.next(held ? kHoldMin : settings.min_backoff,
                                            held ? kHoldMax : settings.max_backoff, retry_after,
                                            settings.max_retry_after, next_random(random_));
    co_await sleep(wait);
  }
}

// Delivers one block in parts that the destination accepts: too many samples, too many bytes, or
// 413 for the block as a whole. The cursor moves when all parts are settled; after a crash the
// whole block is sent again.
net::Task<bool> Lane::send_in_parts(const journal::BlockRef& block) {
  const config::RemoteWrite settings = seat_->endpoint->settings();
  Buffer elements;
  Status read = context_.journal.read(block, elements);
  Buffer raw;
  if (read) read = wire::unpack_elements(elements.view(), block.raw_length, raw);
  if (!read) {
    context_.journal.settle(seat_->destination->name(), block, model::DropReason::kCorrupt);
    co_return true;
  }
  uint64_t max_raw = std::min<uint64_t>(settings.max_bytes_per_send, learned_max_raw_);
  if (block.samples <= settings.max_samples_per_send && block.raw_length <= max_raw) {
    max_raw = std::max<uint64_t>(block.raw_length / 2, 1);  // 413 for the whole
  }
  auto first_cut = wire::split(raw.view(), settings.max_samples_per_send, max_raw);
  if (!first_cut) {
    context_.journal.settle(seat_->destination->name(), block, model::DropReason::kCorrupt);
    co_return true;
  }
  std::deque<wire::Piece> pieces(std::make_move_iterator(first_cut->begin()),
                                 std::make_move_iterator(first_cut->end()));
  uint64_t refused = 0;
  while (!pieces.empty()) {
    wire::Piece piece = std::move(pieces.front());
    pieces.pop_front();
    Work work;
    work.piece = &piece;
    work.samples = piece.samples;
    work.raw = piece.series > 1 ? piece.raw_length : 0;  // 0: cannot be split further
    work.max_timestamp = block.max_timestamp;
    const Outcome outcome = co_await send_until_settled(work);
    if (outcome == Outcome::kGone) co_return true;
    if (outcome == Outcome::kRefused) refused += piece.samples;
    if (outcome != Outcome::kSplit) continue;
    Buffer part;
    Status unpacked = wire::unpack_elements(piece.elements, piece.raw_length, part);
    TG_CHECK(unpacked.ok());
    auto halves = wire::split(part.view(), settings.max_samples_per_send,
                              std::max<uint64_t>(piece.raw_length / 2, 1));
    TG_CHECK(halves.ok());
    pieces.insert(pieces.begin(), std::make_move_iterator(halves->begin()),
                  std::make_move_iterator(halves->end()));
  }
  context_.journal.settle_partly(seat_->destination->name(), block,
                                 static_cast<uint32_t>(std::min<uint64_t>(refused, block.samples)),
                                 model::DropReason::kRefused);
  co_return true;
}

net::Task<void> Lane::sleep(milliseconds duration) {
  if (hurried_ || over()) {
    hurried_ = false;
    co_return;
  }
  timer_.expires_after(duration);
  boost::system::error_code ignored;  // cancelled by hurry()
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<net::Executor>{}, ignored);
  co_await timer_.async_wait(token);
  hurried_ = false;
}

bool Lane::keep_to_barrier(std::vector<journal::BlockRef>& blocks) {
  const std::string& destination = seat_->destination->name();
  for (const journal::StreamId sibling : context_.siblings(stream_)) {
    auto cursor = context_.journal.cursor(destination, sibling);
    if (!cursor) continue;
    const auto pending = context_.journal.next(sibling, cursor->position, 1, 1);
    if (pending.empty()) {
      if (context_.journal.has_blocks(sibling, cursor->position)) return true;  // unreadable now
      continue;
    }
    const journal::Position barrier = pending.front().position;
    while (!blocks.empty() && blocks.back().position > barrier) blocks.pop_back();
    if (blocks.empty()) return true;
  }
  return false;
}

Status Lane::load(const Work& work, std::string& preamble, Buffer& body) {
  if (work.piece != nullptr) {
    wire::append_preamble(work.piece->raw_length, preamble);
    body.append(work.piece->elements);
    return Ok{};
  }
  wire::append_preamble(work.raw, preamble);
  for (size_t i = 0; i < work.blocks.size(); i++) {
    Status read = context_.journal.read(work.blocks[i], body);
    if (read) continue;
    if (read.error().code != Code::kCorrupt) return read;
    log::error("a journal block is damaged; it is skipped and counted",
               {{"destination", seat_->destination->name()}, {"error", read.error().message}});
    // Only the first block can be settled now; a later one will be the first soon.
    if (i == 0) {
      context_.journal.settle(seat_->destination->name(), work.blocks[0],
                              model::DropReason::kCorrupt);
    } else {
      learned_max_raw_ = std::max<uint64_t>(work.blocks[0].raw_length, 1);
    }
    return read;
  }
  return Ok{};
}

void Lane::settle_all(const Work& work, std::optional<model::DropReason> reason) {
  context_.journal.settle(seat_->destination->name(), work.blocks, reason);
}

void Lane::watch_saturation(const Work& work, int64_t sent_ns, bool full) {
  const int64_t window_ns = std::chrono::nanoseconds(context_.saturation_window).count();
  const int64_t now = context_.clock.monotonic_ns();
  window_busy_ns_ += now - sent_ns;
  if (window_start_ns_ == 0 || now - window_start_ns_ > 2 * window_ns || !full) {
    window_start_ns_ = now;
    window_busy_ns_ = 0;
    return;
  }
  if (now - window_start_ns_ < window_ns) return;
  const double share =
      static_cast<double>(window_busy_ns_) / static_cast<double>(now - window_start_ns_);
  window_start_ns_ = now;
  window_busy_ns_ = 0;
  const milliseconds lag(context_.clock.now_ms() - work.blocks.front().appended_ms);
  if (share < kSaturatedShare || lag < context_.saturation_window / 5) return;
  if (key_.shards * 2 > seat_->endpoint->settings().max_shards) return;
  context_.saturated(key_, key_.shards * 2);
}

void Lane::enter_trouble(Verdict verdict) {
  if (trouble_ == verdict) return;
  leave_trouble();
  trouble_ = verdict;
  context_.troubled++;
  if (verdict == Verdict::kHold) {
    seat_->destination->held(1);
  } else {
    seat_->destination->retrying(1);
  }
}

void Lane::leave_trouble() {
  if (trouble_ == Verdict::kDelivered) return;
  context_.troubled--;
  if (trouble_ == Verdict::kHold) {
    seat_->destination->held(-1);
  } else {
    seat_->destination->retrying(-1);
  }
  trouble_ = Verdict::kDelivered;
}

}  // namespace tollgate::deliver
