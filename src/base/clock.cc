#include "base/clock.h"

#include <ctime>

namespace tollgate {
namespace {

int64_t read_ns(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return static_cast<int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec;
}

class RealClock final : public Clock {
 public:
  int64_t now_ms() const override { return read_ns(CLOCK_REALTIME) / 1'000'000; }
  int64_t monotonic_ns() const override { return read_ns(CLOCK_MONOTONIC); }
};

}  // namespace

const Clock& Clock::real() {
  static const RealClock clock;
  return clock;
}

}  // namespace tollgate
