#include "policy/outcomes.h"

namespace tollgate::policy {

std::optional<uint32_t> Outcomes::Lru::find(const Digest& credential) {
  const auto it = index.find(credential);
  if (it == index.end()) return std::nullopt;
  order.splice(order.begin(), order, it->second);
  return it->second->second;
}

void Outcomes::Lru::put(const Digest& credential, uint32_t source, size_t most) {
  if (find(credential)) {
    order.front().second = source;
    return;
  }
  if (order.size() == most) {
    index.erase(order.back().first);
    order.pop_back();
  }
  order.emplace_front(credential, source);
  index.emplace(credential, order.begin());
}

std::optional<uint32_t> Outcomes::find(const Digest& credential) const {
  auto state = state_.lock();
  if (auto source = state->admitted.find(credential)) return source;
  return state->refused.find(credential);
}

void Outcomes::remember(const Digest& credential, uint32_t source) const {
  auto state = state_.lock();
  if (source == kRefused) {
    state->refused.put(credential, source, kMostRefused);
  } else {
    state->admitted.put(credential, source, kMostAdmitted);
  }
}

size_t Outcomes::size() const {
  auto state = state_.lock();
  return state->admitted.order.size() + state->refused.order.size();
}

}  // namespace tollgate::policy
