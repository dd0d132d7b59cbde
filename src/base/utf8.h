#pragma once

#include <string>
#include <string_view>

namespace tollgate {

// `bytes` with whatever is not UTF-8 (RFC 3629) replaced by U+FFFD, one for each offending byte.
// For words of others on their way into JSON or metrics, whose readers refuse the whole document.
std::string to_utf8(std::string_view bytes);

}  // namespace tollgate
