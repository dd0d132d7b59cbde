#pragma once

#include <span>
#include <string>
#include <string_view>

#include "wire/labels.h"

// Words for people about a series that was refused. Never on the hot path.
namespace tollgate::wire {

// `text` in double quotes, with \", \\, \n and \xNN for bytes that are not UTF-8; cut, with an
// ellipsis inside the quotes, where it would be longer than `limit` (at least 8) bytes.
std::string quoted(std::string_view text, size_t limit);

// `{a="x", b="y"}` with at most `limit` bytes; what does not fit is replaced by an ellipsis.
std::string render_series(std::span<const LabelRef> labels, size_t limit);

}  // namespace tollgate::wire
