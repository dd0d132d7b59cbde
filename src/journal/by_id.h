#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "journal/block.h"

namespace tollgate::journal {

// Stream ids are given out one by one and never taken back, so that what belongs to streams lies in
// arrays. An id beyond this limit was not given out by us.
inline constexpr StreamId kMaxStreamId = 1 << 24;

// A map from stream ids, as an array: a lookup is one index. Memory: proportional to the greatest
// id. References are valid until a greater id comes. Threads: as those of its owner.
template <typename T>
class ById {
 public:
  T* find(StreamId id) { return id < slots_.size() && slots_[id] ? &*slots_[id] : nullptr; }
  const T* find(StreamId id) const {
    return id < slots_.size() && slots_[id] ? &*slots_[id] : nullptr;
  }
  bool contains(StreamId id) const { return find(id) != nullptr; }
  T& at(StreamId id) {
    T* found = find(id);
    TG_CHECK(found != nullptr);
    return *found;
  }
  const T& at(StreamId id) const {
    const T* found = find(id);
    TG_CHECK(found != nullptr);
    return *found;
  }
  // The entry, made if there is none.
  T& operator[](StreamId id) {
    if (id >= slots_.size()) {
      TG_CHECK(id <= kMaxStreamId);
      slots_.resize(id + 1);
    }
    if (!slots_[id]) {
      slots_[id] = T{};
      count_++;
    }
    return *slots_[id];
  }
  size_t size() const { return count_; }
  // Above all ids that occur.
  StreamId end_id() const { return static_cast<StreamId>(slots_.size()); }
  // f(id, entry), in the order of ids.
  template <typename F>
  void each(F&& f) {
    for (StreamId id = 0; id < slots_.size(); id++) {
      if (slots_[id]) f(id, *slots_[id]);
    }
  }
  template <typename F>
  void each(F&& f) const {
    for (StreamId id = 0; id < slots_.size(); id++) {
      if (slots_[id]) f(id, *slots_[id]);
    }
  }
  bool operator==(const ById&) const = default;

 private:
  std::vector<std::optional<T>> slots_;
  size_t count_ = 0;
};

}  // namespace tollgate::journal
