#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.h"

namespace tollgate::journal {

// A logical byte position in the log. Positions only grow, over segments and restarts; a segment
// file is named by the position of its first byte.
using Position = uint64_t;

// Identifies a StreamKey inside one open journal; stable over restarts of the same directory.
using StreamId = uint32_t;

// One unit of order: data that may share an outgoing request and that is delivered in sequence.
// `generation` tells the streams of one (tenant, source, replica) with different numbers of shards
// apart; between them, the order is that of positions (decision 5).
struct StreamKey {
  std::string tenant;
  std::string source;
  std::string replica;  // "<cluster>/<replica>" of a Prometheus HA pair; empty without
  uint32_t generation = 0;
  uint32_t shard = 0;
  uint32_t shards = 1;
  bool operator==(const StreamKey&) const = default;
};

// A block to be appended: a snappy element stream (no length preamble) of concatenated
// WriteRequest fields.
struct NewBlock {
  StreamId stream = 0;
  Buffer elements;
  uint32_t raw_length = 0;  // decoded length of `elements`
  uint32_t samples = 0;     // float samples + native histograms: what the ledger counts
  uint32_t exemplars = 0;
  uint32_t series = 0;
  int64_t min_timestamp = INT64_MAX;  // ms; over samples and histograms
  int64_t max_timestamp = INT64_MIN;
};

// A durable block, as the index knows it (its bytes are read with Journal::read).
struct BlockRef {
  Position position = 0;  // of its header
  Position end = 0;       // of the byte after its payload
  StreamId stream = 0;
  uint32_t elements_length = 0;
  uint32_t raw_length = 0;
  uint32_t samples = 0;
  uint32_t exemplars = 0;
  uint32_t series = 0;
  uint32_t payload_crc = 0;     // of the elements, seeded with the position
  uint64_t samples_before = 0;  // of this stream, from the beginning of time
  int64_t min_timestamp = INT64_MAX;
  int64_t max_timestamp = INT64_MIN;
  int64_t appended_ms = 0;  // wall time at which it was written
};

}  // namespace tollgate::journal
