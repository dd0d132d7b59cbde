#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace tollgate::deliver {

// Exponential back-off: doubles from `min` to `max`, with up to 10 % of jitter added so that lanes
// do not march in step (at most that, so that senders' compliance suites see growing intervals).
// A Retry-After replaces the wait, up to a cap.
class Backoff {
 public:
  using ms = std::chrono::milliseconds;

  void reset() { attempts_ = 0; }
  uint32_t attempts() const { return attempts_; }

  // The wait before the next attempt. `random` is any 64 random bits.
  ms next(ms min, ms max, std::optional<ms> retry_after, ms retry_after_cap, uint64_t random) {
    const uint32_t doublings = std::min<uint32_t>(attempts_++, 20);
    ms wait = std::min(max, ms(std::max<int64_t>(min.count(), 1) << doublings));
    wait += ms(static_cast<int64_t>(random % 1024) * wait.count() / 10240);
    if (retry_after) wait = std::max(wait, std::min(*retry_after, retry_after_cap));
    return wait;
  }

 private:
  uint32_t attempts_ = 0;
};

}  // namespace tollgate::deliver
