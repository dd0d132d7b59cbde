#pragma once

#include <string_view>

namespace tollgate::model {

// True if `id` may name a tenant: 1 to 150 of `A-Za-z0-9!_.*'()-`, but neither "." nor ".."
// (the rules of Mimir and Thanos, so that an id is safe as a header value and a path segment).
bool valid_tenant(std::string_view id);

// True for `[a-zA-Z_][a-zA-Z0-9_]*`, what a configured label may be called.
bool valid_label_name(std::string_view name);

}  // namespace tollgate::model
