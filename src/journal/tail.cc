#include "journal/tail.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tollgate::journal {

void Tail::push(Position position, Buffer elements) {
  TG_CHECK(entries_.empty() || entries_.back().position < position);
  bytes_ += elements.capacity();
  entries_.push_back({position, std::make_shared<const Buffer>(std::move(elements))});
  while (bytes_ > kMaxBytes || entries_.size() > kMaxBlocks) pop();
}

std::shared_ptr<const Buffer> Tail::find(Position position) const {
  const auto at = std::partition_point(entries_.begin(), entries_.end(),
                                       [&](const Entry& e) { return e.position < position; });
  if (at == entries_.end() || at->position != position) return nullptr;
  return at->elements;
}

void Tail::drop_before(Position position) {
  while (!entries_.empty() && entries_.front().position < position) pop();
}

void Tail::pop() {
  bytes_ -= entries_.front().elements->capacity();
  entries_.pop_front();
}

}  // namespace tollgate::journal
