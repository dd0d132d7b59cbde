#pragma once

#include <string_view>

#include "base/buffer.h"

namespace tollgate::wire {

// Appends `raw` as snappy elements (google/snappy format_description.txt) to `out`. A greedy
// search with one hash table over fragments of 64 KiB, as Google's encoder does it, but with the
// table kept from call to call, so that nothing is allocated, and with matches extended backwards.
// Threads: any; each has its own table (32 KiB).
void encode_elements(std::string_view raw, Buffer& out);

}  // namespace tollgate::wire
