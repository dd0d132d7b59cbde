#pragma once

// TG_CHECK(condition): an invariant of ours. Aborts in release builds too, with file and line.
// Never use it to judge input.
namespace tollgate {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define TG_CHECK(condition)                          \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::tollgate::check_failed(#condition, __FILE__, __LINE__))
