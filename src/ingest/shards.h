#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/guarded.h"

namespace tollgate::ingest {

// How many shards each stream has now. Changing a number is safe at any moment: a series moves to
// another lane only with a request that is staged after the change, and deliver sends no block
// while an older one of the same (source, tenant, replica) is pending on a lane of another count.
// Threads: any; readers keep the returned counter and load it without a lock.
class Shards {
 public:
  using Count = std::shared_ptr<std::atomic<uint32_t>>;

  // `configured`: journal.shards; 0 = auto, which starts every stream with one.
  explicit Shards(uint32_t configured) : configured_(configured) {}

  static std::string key(std::string_view source, std::string_view tenant,
                         std::string_view replica) {
    std::string k(source);
    k += '\0';
    k += tenant;
    k += '\0';
    k += replica;
    return k;
  }

  Count count(const std::string& key) {
    auto counts = counts_.lock();
    Count& slot = (*counts)[key];
    const uint32_t configured = configured_.load();
    if (slot == nullptr)
      slot = std::make_shared<std::atomic<uint32_t>>(configured ? configured : 1);
    return slot;
  }

  // Takes a counter away that turned out to have no stream, so that refused keys cost nothing.
  void forget(const std::string& key) { counts_.lock()->erase(key); }

  // Asks for `wanted` shards for a stream; only under auto, and only upwards. True if it changed.
  bool grow(const std::string& key, uint32_t wanted) {
    if (configured_.load() != 0) return false;
    Count slot = count(key);
    if (slot->load() >= wanted) return false;
    slot->store(wanted);
    return true;
  }

  // A reload: a fixed number applies to every stream at once; auto keeps what there is.
  void configure(uint32_t configured) {
    auto counts = counts_.lock();
    configured_ = configured;
    if (configured == 0) return;
    for (auto& [key, slot] : *counts) slot->store(configured);
  }

 private:
  std::atomic<uint32_t> configured_;
  Guarded<std::unordered_map<std::string, Count>> counts_;
};

}  // namespace tollgate::ingest
