#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tollgate {

using std::chrono::milliseconds;

// The time, as a seam. Threads: all methods may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time in milliseconds since the Unix epoch (Prometheus's timestamp unit).
  virtual int64_t now_ms() const = 0;
  // Monotonic time in nanoseconds; only differences mean something.
  virtual int64_t monotonic_ns() const = 0;

  // The process-wide real clock.
  static const Clock& real();
};

// A clock that moves only when told to; both times move together.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(int64_t start_ms = 1'700'000'000'000) : now_ns_(start_ms * 1'000'000) {}
  int64_t now_ms() const override { return now_ns_.load() / 1'000'000; }
  int64_t monotonic_ns() const override { return now_ns_.load(); }
  void advance(std::chrono::nanoseconds by) { now_ns_ += by.count(); }

 private:
  std::atomic<int64_t> now_ns_;
};

}  // namespace tollgate
