#include "model/tenant.h"

namespace tollgate::model {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool valid_tenant(std::string_view id) {
  constexpr size_t kMaxLength = 150;
  constexpr std::string_view kSpecial = "!_.*'()-";
  if (id.empty() || id.size() > kMaxLength || id == "." || id == "..") return false;
  for (char c : id) {
    if (!is_letter(c) && !is_digit(c) && kSpecial.find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool valid_label_name(std::string_view name) {
  if (name.empty() || is_digit(name[0])) return false;
  for (char c : name) {
    if (!is_letter(c) && !is_digit(c) && c != '_') return false;
  }
  return true;
}

}  // namespace tollgate::model
