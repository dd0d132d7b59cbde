#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"

// The snappy block format (google/snappy format_description.txt): a varint with the decoded
// length, then elements whose copies only reach backwards. Because of that, the element streams
// of several blocks may be concatenated under one new length: that is splicing.
namespace tollgate::wire {

// The decoded length that a block declares, without decoding it. Errors: kInvalid if there is no
// length, or (naming the limit) if it is over `limit`; nothing is allocated.
Result<uint64_t> declared_length(std::string_view block, uint64_t limit);

// Decodes a block into `out` (replacing its contents). Errors: kInvalid as above or for corrupt
// bytes, with the framed format ("sNaPpY") named when that is what was sent.
Status unpack(std::string_view block, uint64_t limit, Buffer& out);

// Appends the element stream of `raw` (a snappy block without its length) to `out`. Who packs often
// keeps a Packer instead.
void pack_elements(std::string_view raw, Buffer& out);

// Appends the length preamble of a block that decodes to `raw_length` bytes (at most 2^32-1).
void append_preamble(uint64_t raw_length, std::string& out);

// Decodes one element stream of known decoded length.
Status unpack_elements(std::string_view elements, uint64_t raw_length, Buffer& out);

}  // namespace tollgate::wire
