#pragma once

#include <cstdint>
#include <string_view>

namespace tollgate {

// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `data`, continuing from `seed` (the CRC of the
// bytes before it; 0 to start). Uses SSE4.2 where the processor has it.
uint32_t crc32c(std::string_view data, uint32_t seed = 0);

}  // namespace tollgate
