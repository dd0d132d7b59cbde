#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What a series is called, at both ends of a gateway.
namespace tollgate::bench {

using LabelViews = std::vector<std::pair<std::string_view, std::string_view>>;

// The labels in `fields`: the Label fields (tag 1) of a TimeSeries one after another. False if the
// bytes are not that.
bool read_labels(std::string_view fields, LabelViews& out);

// Appends one Label field.
void put_label(std::string& fields, std::string_view name, std::string_view value);

// {__name__="up", job="node"}, at most about `limit` bytes.
std::string render(const LabelViews& labels, size_t limit = 200);
std::string render_fields(std::string_view fields, size_t limit = 200);

// The same for the same labels in any order, without those named in `except`: what a gateway adds
// or overrides says nothing about which series it was.
uint64_t identity(const LabelViews& labels, const std::set<std::string, std::less<>>& except);

// A value's contribution to the checksum of a series: a sum, so that order does not matter.
inline uint64_t mix_value(uint64_t bits) {
  bits ^= bits >> 32;
  bits *= 0x9e3779b97f4a7c15;
  bits ^= bits >> 29;
  return bits * 0xbf58476d1ce4e5b9 + 1;
}

// What stands for the value of a native histogram: its bytes without the timestamp (field 15). Sets
// `timestamp`; false if the bytes are not protobuf.
bool read_histogram(std::string_view histogram, int64_t& timestamp, uint64_t& bits);

}  // namespace tollgate::bench
