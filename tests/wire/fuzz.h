#pragma once

#include <string>
#include <string_view>

// What the fuzzers check of one input, and what the replay of their corpus checks: an empty string
// if all is as it should be, or what is not.
namespace tollgate::wire {

// The first byte picks a label plan, the rest is a request: see differs_from_libprotobuf().
std::string fuzz_walker(std::string_view input);

// The input as a snappy block (Google's decoder judges ours), as bytes to pack, splice and unpack
// again, and as a request to split.
std::string fuzz_snappy(std::string_view input);

}  // namespace tollgate::wire
