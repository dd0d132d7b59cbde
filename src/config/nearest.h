#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tollgate::config {

// The word of `known` that `word` was most likely meant to be: the smallest edit distance (insert,
// delete, replace, swap neighbours) without regard to case, '-' and '_'. Empty if `known` is.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace tollgate::config
