#include "journal/codec.h"

#include <gtest/gtest.h>

#include "journal/checkpoint.h"
#include "testing.h"

namespace tollgate::journal {
namespace {

RecordHeader sample_header() {
  RecordHeader h;
  h.stream = 7;
  h.payload_length = 1234;
  h.raw_length = 9999;
  h.samples = 500;
  h.exemplars = 3;
  h.series = 120;
  h.samples_before = 1'000'000'000'000;
  h.min_timestamp = -5;
  h.max_timestamp = INT64_MAX;
  h.appended_ms = 1'700'000'000'123;
  h.payload_crc = 0xdeadbeef;
  return h;
}

TEST(JournalCodec, RecordHeaderComesBack) {
  char bytes[format::kRecordHeaderSize];
  encode(sample_header(), 4096, bytes);
  const auto h = decode_record_header(bytes, 4096);
  ASSERT_TRUE(h);
  EXPECT_EQ(h->stream, 7u);
  EXPECT_EQ(h->payload_length, 1234u);
  EXPECT_EQ(h->raw_length, 9999u);
  EXPECT_EQ(h->samples, 500u);
  EXPECT_EQ(h->exemplars, 3u);
  EXPECT_EQ(h->series, 120u);
  EXPECT_EQ(h->samples_before, 1'000'000'000'000u);
  EXPECT_EQ(h->min_timestamp, -5);
  EXPECT_EQ(h->max_timestamp, INT64_MAX);
  EXPECT_EQ(h->appended_ms, 1'700'000'000'123);
  EXPECT_EQ(h->payload_crc, 0xdeadbeefu);
}

TEST(JournalCodec, RecordHeaderAtAnotherPositionIsRefused) {
  char bytes[format::kRecordHeaderSize];
  encode(sample_header(), 4096, bytes);
  EXPECT_FALSE(decode_record_header(bytes, 4097));
  EXPECT_FALSE(decode_record_header(bytes, 0));
}

TEST(JournalCodec, PayloadAtAnotherPositionIsRefused) {
  EXPECT_NE(payload_crc("elements", 4096), payload_crc("elements", 4097));
}

TEST(JournalCodec, EveryFlippedBitOfARecordHeaderIsNoticed) {
  char bytes[format::kRecordHeaderSize];
  encode(sample_header(), 99, bytes);
  for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_record_header(bytes, 99)) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(JournalCodec, EveryFlippedBitOfASegmentHeaderIsNoticed) {
  std::string bytes = encode(SegmentHeader{format::kVersion, 77, 88});
  ASSERT_EQ(bytes.size(), format::kSegmentHeaderSize);
  const auto decoded = decode_segment_header(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->base, 77u);
  EXPECT_EQ(decoded->created_ms, 88);
  for (size_t bit = 0; bit < bytes.size() * 8; bit++) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_segment_header(bytes)) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(JournalCodec, SegmentNamesAreExact) {
  EXPECT_EQ(segment_name(0xabc), "0000000000000abc.seg");
  EXPECT_EQ(parse_segment_name("0000000000000abc.seg"), Position{0xabc});
  for (const char* bad :
       {"0000000000000ABC.seg", "abc.seg", "0000000000000abc.tmp", "LOCK", "0000000000000abcd.seg",
        "000000000000-abc.seg", "ffffffffffffffff.seg"}) {
    EXPECT_FALSE(parse_segment_name(bad)) << bad;
  }
}

TEST(JournalCodec, KeyComesBackInItsDeclaredSize) {
  StreamKey key = key_of(3);
  key.replica = "cluster/replica";
  key.generation = 1;
  key.shard = 2;
  key.shards = 3;
  const std::string bytes = encode(key);
  EXPECT_EQ(bytes.size(), encoded_size(key));
  EXPECT_EQ(decode_key(bytes), key);
  EXPECT_FALSE(decode_key(bytes + "x"));
  EXPECT_FALSE(decode_key(std::string_view(bytes).substr(1)));
}

TEST(JournalCodec, RowComesBack) {
  BlockRef b = block_ref(sample_header(), 4096);
  char bytes[format::kRowSize];
  encode_row(b, bytes);
  const BlockRef back = decode_row(bytes, 7);
  EXPECT_EQ(back.position, 4096u);
  EXPECT_EQ(back.end, b.end);
  EXPECT_EQ(back.stream, 7u);
  EXPECT_EQ(back.samples_before, b.samples_before);
  EXPECT_EQ(back.min_timestamp, b.min_timestamp);
  EXPECT_EQ(back.max_timestamp, b.max_timestamp);
  EXPECT_EQ(back.appended_ms, b.appended_ms);
  EXPECT_EQ(back.payload_crc, b.payload_crc);
  EXPECT_EQ(back.series, b.series);
  EXPECT_EQ(back.exemplars, b.exemplars);
}

Checkpoint sample_checkpoint() {
  Checkpoint c;
  c.next_stream = 12;
  c.end = 123456;
  StreamKey key = key_of(1);
  key.replica = "a/b";
  key.generation = 2;
  key.shard = 1;
  key.shards = 4;
  c.streams[3] = {key, 1000};
  Cursor cursor;
  cursor.position = 99;
  cursor.baseline = 5;
  cursor.delivered = 6;
  cursor.dropped = {1, 2, 3, 4};
  c.destinations["thanos"][3] = cursor;
  c.destinations["empty"];
  c.removed.push_back({"old", "team-a", 17});
  return c;
}

TEST(JournalCodec, CheckpointComesBack) {
  const Checkpoint c = sample_checkpoint();
  const auto back = decode_checkpoint(encode(c));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->next_stream, c.next_stream);
  EXPECT_EQ(back->end, c.end);
  EXPECT_FALSE(back->destinations_lost);
  ASSERT_EQ(back->streams.size(), 1u);
  EXPECT_EQ(back->streams.at(3).key, c.streams.at(3).key);
  EXPECT_EQ(back->streams.at(3).accepted, 1000u);
  EXPECT_EQ(back->destinations, c.destinations);
  EXPECT_EQ(back->removed, c.removed);
}

TEST(JournalCodec, EveryFlippedBitAndEveryPrefixOfACheckpointIsNoticed) {
  std::string bytes = encode(sample_checkpoint());
  for (size_t bit = 0; bit < bytes.size() * 8; bit++) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_checkpoint(bytes)) << bit;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  }
  for (size_t n = 0; n < bytes.size(); n++) {
    EXPECT_FALSE(decode_checkpoint(std::string_view(bytes).substr(0, n))) << n;
  }
}

}  // namespace
}  // namespace tollgate::journal
