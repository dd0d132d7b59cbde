#include "wire/snappy.h"

#include <snappy-sinksource.h>
#include <snappy.h>

#include <algorithm>
#include <limits>

#include "wire/proto_bytes.h"

namespace tollgate::wire {
namespace {

constexpr std::string_view kFramed("\xff\x06\x00\x00sNaPpY", 10);
constexpr size_t kMaxPreamble = 5;

// The densest element is a 3-byte copy of 64 bytes: a block cannot decode to more than this.
constexpr uint64_t most_decoded(uint64_t element_bytes) { return element_bytes / 3 * 64 + 64; }

struct Preamble {
  uint64_t length;
  size_t size;
};

Result<Preamble> read_preamble(std::string_view block) {
  uint64_t length = 0;
  for (size_t i = 0; i < kMaxPreamble && i < block.size(); i++) {
    const uint64_t byte = static_cast<uint8_t>(block[i]);
    length |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      if (length > std::numeric_limits<uint32_t>::max()) break;
      return Preamble{length, i + 1};
    }
  }
  return sender_error(Code::kInvalid, block.empty()
                                          ? "bad snappy block: the body is empty"
                                          : "bad snappy block: no decoded length at its start");
}

// The preamble of `block`, judged.
Result<Preamble> check_preamble(std::string_view block, uint64_t limit) {
  if (block.starts_with(kFramed)) {
    return sender_error(Code::kInvalid,
                        "the body is in snappy's framed format (sNaPpY); remote write needs the "
                        "block format");
  }
  auto preamble = read_preamble(block);
  if (!preamble) return preamble;
  if (preamble->length > limit) {
    return sender_error(Code::kInvalid,
                        "the snappy block declares " + std::to_string(preamble->length) +
                            " decoded bytes, over the limit of " + std::to_string(limit));
  }
  if (preamble->length > most_decoded(block.size() - preamble->size)) {
    return sender_error(Code::kInvalid, "bad snappy block: it declares " +
                                            std::to_string(preamble->length) +
                                            " decoded bytes, more than its " +
                                            std::to_string(block.size()) + " bytes can hold");
  }
  return preamble;
}

// Two pieces of memory read as one: a made-up preamble before an element stream.
class TwoPieces final : public snappy::Source {
 public:
  TwoPieces(std::string_view first, std::string_view second) : now_(first), then_(second) {}
  size_t Available() const override { return now_.size() + then_.size(); }
  const char* Peek(size_t* length) override {
    if (now_.empty()) now_ = std::exchange(then_, {});
    *length = now_.size();
    return now_.data();
  }
  void Skip(size_t n) override {
    while (n > now_.size()) {
      n -= now_.size();
      now_ = std::exchange(then_, {});
    }
    now_.remove_prefix(n);
  }

 private:
  std::string_view now_;
  std::string_view then_;
};

// Appends what Google's encoder writes to a Buffer, without the preamble that comes first.
class ElementSink final : public snappy::Sink {
 public:
  ElementSink(size_t preamble, Buffer& out) : preamble_(preamble), out_(out) {}
  char* GetAppendBuffer(size_t length, char* scratch) override {
    return preamble_ > 0 ? scratch : out_.grow(length);
  }
  void Append(const char* bytes, size_t n) override {
    const size_t skipped = std::min(n, preamble_);
    preamble_ -= skipped;
    if (bytes == out_.data() + out_.size()) {
      out_.commit(n);  // written in place
    } else {
      out_.append({bytes + skipped, n - skipped});
    }
  }

 private:
  size_t preamble_;  // bytes of it still to come
  Buffer& out_;
};

}  // namespace

Result<uint64_t> declared_length(std::string_view block, uint64_t limit) {
  auto preamble = check_preamble(block, limit);
  if (!preamble) return preamble.error();
  return preamble->length;
}

Status unpack(std::string_view block, uint64_t limit, Buffer& out) {
  out.clear();
  auto preamble = check_preamble(block, limit);
  if (!preamble) return preamble.error();
  out.grow(preamble->length);
  if (!snappy::RawUncompress(block.data(), block.size(), out.data())) {
    return sender_error(Code::kInvalid,
                        "bad snappy block: its elements are corrupt or do not add "
                        "up to the declared " +
                            std::to_string(preamble->length) + " bytes");
  }
  out.commit(preamble->length);
  return Ok{};
}

Status unpack_elements(std::string_view elements, uint64_t raw_length, Buffer& out) {
  out.clear();
  if (raw_length > std::numeric_limits<uint32_t>::max() ||
      raw_length > most_decoded(elements.size())) {
    return our_error(Code::kCorrupt, "a snappy element stream of " +
                                         std::to_string(elements.size()) +
                                         " bytes cannot decode to " + std::to_string(raw_length));
  }
  char preamble[kMaxPreamble];
  const char* const preamble_end = write_varint(preamble, raw_length);
  TwoPieces source({preamble, static_cast<size_t>(preamble_end - preamble)}, elements);
  out.grow(raw_length);
  if (!snappy::RawUncompress(&source, out.data())) {
    return our_error(Code::kCorrupt, "a snappy element stream does not decode to its " +
                                         std::to_string(raw_length) + " bytes");
  }
  out.commit(raw_length);
  return Ok{};
}

// Hot: bench/wire_bench.cc, BM_Pack. An encoder of our own with a table that is kept from call to
// call was no faster and 1 % less dense, so the library's few allocations a block stay.
void pack_elements(std::string_view raw, Buffer& out) {
  TG_CHECK(raw.size() <= std::numeric_limits<uint32_t>::max());
  snappy::ByteArraySource source(raw.data(), raw.size());
  ElementSink sink(varint_size(raw.size()), out);
  snappy::Compress(&source, &sink);
}

void append_preamble(uint64_t raw_length, std::string& out) {
  TG_CHECK(raw_length <= std::numeric_limits<uint32_t>::max());
  char preamble[kMaxPreamble];
  out.append(preamble, write_varint(preamble, raw_length));
}

}  // namespace tollgate::wire
