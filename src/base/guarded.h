#pragma once

#include <mutex>
#include <utility>

namespace tollgate {

// Data that cannot be reached without its lock (after KJ's MutexGuarded).
//   Guarded<State> state;  auto s = state.lock();  s->count++;
// Never hold a Locked over a co_await.
template <typename T>
class Guarded {
 public:
  class Locked {
   public:
    explicit Locked(Guarded& owner) : lock_(owner.mutex_), value_(owner.value_) {}
    T* operator->() { return &value_; }
    T& operator*() { return value_; }
    std::unique_lock<std::mutex>& raw_lock() { return lock_; }

   private:
    std::unique_lock<std::mutex> lock_;
    T& value_;
  };

  template <typename... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] Locked lock() const { return Locked(const_cast<Guarded&>(*this)); }

 private:
  std::mutex mutex_;
  T value_;
};

}  // namespace tollgate
