#include "config/nearest.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <limits>

namespace tollgate::config {
namespace {

constexpr size_t kLongestWord = 64;  // bounds the work for a hostile key

// remoteWrite, remote-write and remote_write are the same slip.
std::string folded(std::string_view word) {
  std::string out;
  for (char c : word.substr(0, kLongestWord)) {
    if (c == '_' || c == '-') continue;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// Optimal string alignment distance, three rows at a time.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) last[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  const std::string wanted = folded(word);
  size_t best = std::numeric_limits<size_t>::max();
  std::string found;
  for (const std::string& candidate : known) {
    const size_t d = distance(wanted, folded(candidate));
    if (d < best) {
      best = d;
      found = candidate;
    }
  }
  return found;
}

}  // namespace tollgate::config
