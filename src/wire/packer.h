#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/buffer.h"

namespace tollgate::wire {

// The snappy encoder of blocks. Google's cuts its input into fragments of 64 KiB that know nothing
// of each other; this one goes through the whole block with one window of 64 KiB, so that a block
// of 500 KB comes out 5 % smaller, at the same cost. Greedy, as Google's: a hash of four bytes
// finds the latest place that began the same way, and the longer nothing is found, the longer the
// steps. Whatever the bytes are, the output is at most snappy::MaxCompressedLength(raw.size())
// long.
//
// Owner and threads: one thread at a time. Memory: 32 KB, kept from call to call; nothing else is
// allocated. Cost and ratio: bench/wire_bench.cc, BM_Pack against BM_PackGoogle.
// Source of the format: google/snappy format_description.txt.
class Packer {
 public:
  // Appends the element stream of `raw` (a snappy block without its length; at most 2^32-1 bytes)
  // to `out`.
  void pack(std::string_view raw, Buffer& out);

 private:
  static constexpr uint32_t kTableBits = 13;

  // By hash of four bytes: offset of their latest occurrence. 0 also stands for none.
  std::array<uint32_t, 1 << kTableBits> table_;
};

}  // namespace tollgate::wire
