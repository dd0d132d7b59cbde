#pragma once

#include <cstdint>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/guarded.h"
#include "policy/credential.h"

namespace tollgate::policy {

// What bcrypt has said about credentials lately, by their salted digest. Refusals and admissions
// are kept apart, so that a flood of wrong passwords cannot push out the right ones.
// Threads: any. Limits: kMostAdmitted + kMostRefused outcomes, the least recently used go.
class Outcomes {
 public:
  static constexpr size_t kMostAdmitted = 500;
  static constexpr size_t kMostRefused = 500;
  static constexpr uint32_t kRefused = UINT32_MAX;

  // The index of the source that takes this credential, or kRefused; nothing if not known.
  std::optional<uint32_t> find(const Digest& credential) const;
  void remember(const Digest& credential, uint32_t source) const;
  size_t size() const;

 private:
  // A digest is random already.
  struct Hash {
    size_t operator()(const Digest& digest) const {
      size_t out;
      std::memcpy(&out, digest.data(), sizeof out);
      return out;
    }
  };
  struct Lru {
    std::list<std::pair<Digest, uint32_t>> order;  // the most recently used first
    std::unordered_map<Digest, std::list<std::pair<Digest, uint32_t>>::iterator, Hash> index;

    std::optional<uint32_t> find(const Digest& credential);
    void put(const Digest& credential, uint32_t source, size_t most);
  };
  struct State {
    Lru admitted;
    Lru refused;
  };
  Guarded<State> state_;
};

}  // namespace tollgate::policy
