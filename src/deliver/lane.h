#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "deliver/backoff.h"
#include "deliver/destination.h"
#include "deliver/verdict.h"
#include "journal/journal.h"
#include "wire/split.h"

namespace tollgate::deliver {

// What lanes need from the service; one per process.
struct LaneContext {
  journal::Journal& journal;
  const Clock& clock;
  // Streams of the same (tenant, source, replica) with another shard count. A lane sends no block
  // that is younger than a pending one of these: that keeps order while a stream is re-sharded.
  std::function<std::vector<journal::StreamId>(journal::StreamId)> siblings;
  // A lane cannot keep up although its destination answers: ask for more shards.
  std::function<void(const journal::StreamKey&, uint32_t wanted)> saturated;
  // Saturation is judged over windows this long; a lane that was busy nearly all of one and lags by
  // a fifth of it asks for twice its shards.
  std::chrono::milliseconds saturation_window{10'000};
  std::atomic<bool> draining{false};  // send what there is at once
  std::atomic<bool> stopping{false};
  std::atomic<int> running{0};   // lanes with work
  std::atomic<int> troubled{0};  // of these, lanes in back-off, held, or behind such a one
};

// One loop's share of a destination; its endpoint is replaced on reload.
struct Seat {
  std::shared_ptr<Destination> destination;
  std::shared_ptr<Endpoint> endpoint;
  // Former endpoints, while requests of theirs are in flight.
  std::vector<std::weak_ptr<Endpoint>> former;
  bool removed = false;

  void replace(std::shared_ptr<Endpoint> next);
  // Fails every request in flight.
  void cancel();
};

// (destination, stream): takes blocks from the cursor on, splices them into one request, and does
// not go on before the destination has settled it. One request in flight, own back-off.
//
//   Idle -> Gathering | new blocks
//   Gathering -> Gathering | an older block of a sibling is pending: look again in a moment
//   Gathering -> Sending | a full request, or batch_send_deadline has passed
//   Sending -> Gathering | delivered or refused: the cursor moves
//   Sending -> Waiting | retry or hold; the same blocks again after the back-off
//   Sending -> Sending | 413: fewer blocks, then parts of one block
//   Gathering -> Idle | nothing left
//
// Owner: the loop's map of lanes; a running lane holds itself. Threads: its loop's only.
class Lane : public std::enable_shared_from_this<Lane> {
 public:
  Lane(net::Loop& loop, LaneContext& context, std::shared_ptr<Seat> seat, journal::StreamId stream);

  // There may be new blocks, or the way may be free again. Cheap when already running.
  void wake();
  // Ends a wait now: after a reload, for a drain, or to stop.
  void hurry();

 private:
  enum class Outcome { kDelivered, kRefused, kSplit, kGone };
  // What one request carries: whole blocks, or a part of one.
  struct Work {
    std::vector<journal::BlockRef> blocks;
    const wire::Piece* piece = nullptr;
    uint64_t samples = 0;
    uint64_t raw = 0;
    int64_t max_timestamp = INT64_MIN;
  };

  net::Task<void> run();
  // One turn of Gathering and Sending; false when there is nothing (more) to do.
  net::Task<bool> turn();
  net::Task<Outcome> send_until_settled(const Work& work);
  net::Task<bool> send_in_parts(const journal::BlockRef& block);
  net::Task<void> sleep(std::chrono::milliseconds duration);
  bool over() const;
  // Cuts off what must wait for a sibling; true if that is everything.
  bool keep_to_barrier(std::vector<journal::BlockRef>& blocks);
  Status load(const Work& work, std::string& preamble, Buffer& body);
  void settle_all(const Work& work, std::optional<model::DropReason> reason);
  void watch_saturation(const Work& work, int64_t sent_ns, bool full);
  void enter_trouble(Verdict verdict);
  void leave_trouble();

  net::Loop& loop_;
  LaneContext& context_;
  const std::shared_ptr<Seat> seat_;
  const journal::StreamId stream_;
  const journal::StreamKey key_;
  Timer timer_;
  Backoff backoff_;
  Verdict trouble_ = Verdict::kDelivered;  // kRetry or kHold while in trouble
  bool running_ = false;
  bool again_ = false;                     // woken while running
  bool hurried_ = false;                   // do not sleep now
  uint64_t learned_max_raw_ = UINT64_MAX;  // from 413 answers
  uint64_t random_;
  int64_t window_start_ns_ = 0;  // saturation: busy time in a window
  int64_t window_busy_ns_ = 0;
};

}  // namespace tollgate::deliver
