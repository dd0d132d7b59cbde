#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/buffer.h"
#include "journal/block.h"

namespace tollgate::journal {

// The elements of the newest blocks, as they were appended: destinations that keep up are served
// from here, without reading the disk and without checking what was not read. Owner: the Journal,
// in a Guarded. Memory: kMaxBytes and kMaxBlocks, whichever comes first.
class Tail {
 public:
  static constexpr uint64_t kMaxBytes = 4 << 20;

  // Positions must grow.
  void push(Position position, Buffer elements);
  // Nothing if the block is older, or was dropped.
  std::shared_ptr<const Buffer> find(Position position) const;
  // Forgets blocks before `position`.
  void drop_before(Position position);

 private:
  static constexpr size_t kMaxBlocks = 64 * 1024;
  struct Entry {
    Position position;
    std::shared_ptr<const Buffer> elements;
  };
  void pop();

  std::deque<Entry> entries_;  // oldest first
  uint64_t bytes_ = 0;
};

}  // namespace tollgate::journal
