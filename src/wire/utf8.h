#pragma once

#include <string_view>

namespace tollgate::wire {

// True if no byte has its high bit set. Hot: a few ns for the labels of a series.
bool is_ascii(std::string_view text);

// True if `text` is UTF-8 as Go and RFC 3629 define it: no overlong forms, no surrogates, nothing
// above U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace tollgate::wire
