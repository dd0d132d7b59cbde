#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "journal/by_id.h"
#include "journal/journal.h"

namespace tollgate::journal {

// The contents of the file `cursors`: all that a restart cannot read from the segments.
struct Checkpoint {
  struct Stream {
    StreamKey key;
    uint64_t accepted = 0;
    bool operator==(const Stream&) const = default;
  };
  StreamId next_stream = 1;
  Position end = 0;  // no position below it is ever given out again
  // The cursors were lost earlier and the destinations have not been declared since: the next
  // declaration starts them at the oldest block.
  bool destinations_lost = false;
  ById<Stream> streams;
  std::map<std::string, ById<Cursor>> destinations;
  std::vector<Removed> removed;
};

std::string encode(const Checkpoint& checkpoint);
// Nothing if the bytes are not a complete checkpoint of a version that we know.
std::optional<Checkpoint> decode_checkpoint(std::string_view bytes);

}  // namespace tollgate::journal
